/**
 * A second Keystone on the keys and the database of a running stack, whose tokens have a short lifetime.
 *
 * Invariant: the stack's Glance accepts these tokens, and the stack itself is unchanged.
 */
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startKeystone } from './keystone.ts';
import { claimPorts } from './ports.ts';
import { createProcesses } from './processes.ts';
import { ini } from './wsgi.ts';

export interface BriefKeystone extends AsyncDisposable {
  /** With its version. */
  readonly authUrl: string;
}

/** `more`: text for the end of keystone.conf. */
export async function startBriefKeystone(
  stackDirectory: string,
  tokenSeconds: number,
  more = '',
): Promise<BriefKeystone> {
  const block = await claimPorts();
  const processes = createProcesses();
  const stop = async () => {
    await processes.stop();
    await block.release();
  };
  try {
    const [port = 0] = block.ports;
    const text = await readFile(join(stackDirectory, 'keystone-conf', 'keystone.conf'), 'utf8');
    const file = join(processes.directory, 'keystone.conf');
    writeFileSync(file, `${text}\n${ini({ token: { expiration: tokenSeconds } })}\n${more}`);
    await startKeystone(processes, file, port);
    return { authUrl: `http://127.0.0.1:${port}/v3`, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

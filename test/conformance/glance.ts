/**
 * A second Glance in addition to the stack's, for the many images of a comparison.
 *
 * Invariant: it uses the same database and stores. It only caches the validation of tokens and reads no quotas, which
 * would take three quarters of the time.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { startGlance } from '../env/glance.ts';
import { type Openstack, openstackOf, openstackSchema } from '../env/openstack.ts';
import { claimPorts } from '../env/ports.ts';
import { createProcesses } from '../env/processes.ts';
import type { Stack } from '../env/stack.ts';

export interface UnlimitedCloud {
  openstack: Openstack;
  stop(): Promise<void>;
}

export async function startUnlimitedCloud(stack: Stack): Promise<UnlimitedCloud> {
  const { openstack } = z.object({ openstack: openstackSchema }).parse(JSON.parse(await readFile(stack.file, 'utf8')));
  const block = await claimPorts();
  const processes = createProcesses();
  const stop = async () => {
    await processes.stop();
    await block.release();
  };
  try {
    const [port = 0] = block.ports;
    const directory = join(processes.directory, 'glance');
    await mkdir(directory);
    const configuration = join(directory, 'glance-api.conf');
    const limited = await readFile(join(stack.directory, 'glance', 'glance-api.conf'), 'utf8');
    const changes = { use_keystone_limits: 'false', token_cache_time: '300' };
    const unlimited = Object.entries(changes).reduce(
      (text, [key, value]) => text.replace(new RegExp(`^${key} = .*$`, 'm'), `${key} = ${value}`),
      limited,
    );
    await writeFile(configuration, unlimited);
    await startGlance(processes, configuration, port);
    return { openstack: openstackOf({ ...openstack, imageUrl: `http://127.0.0.1:${port}` }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Another Glance in addition to the stack's, configured in another way.
 *
 * Invariant: it uses the same database and stores, so both show the same images.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { startGlance } from './glance.ts';
import { type Openstack, openstackOf, openstackSchema } from './openstack.ts';
import { claimPorts } from './ports.ts';
import { createProcesses } from './processes.ts';
import type { Stack } from './stack.ts';
import { ini } from './wsgi.ts';

export interface OtherCloud extends AsyncDisposable {
  /** The stack's, by way of this Glance. */
  openstack: Openstack;
}

export interface OtherGlanceOptions {
  /** Other values of options that glance-api.conf sets. */
  changes?: Record<string, string>;
  /** More sections of glance-api.conf, and options of `DEFAULT`. */
  sections?: Record<string, Record<string, string>>;
  /** Files in the directory of glance-api.conf, by name. */
  files?: Record<string, string>;
}

export async function startOtherGlance(stack: Stack, options: OtherGlanceOptions): Promise<OtherCloud> {
  const { changes = {}, sections: { DEFAULT = {}, ...sections } = {}, files = {} } = options;
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
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    const usual = await readFile(join(stack.directory, 'glance', 'glance-api.conf'), 'utf8');
    const changed = Object.entries(changes).reduce(
      (text, [key, value]) => text.replace(new RegExp(`^${key} = .*$`, 'm'), `${key} = ${value}`),
      usual,
    );
    const defaults = Object.entries(DEFAULT).map(([key, value]) => `${key} = ${value}\n`);
    const text = changed.replace('[DEFAULT]\n', `[DEFAULT]\n${defaults.join('')}`);
    const configuration = join(directory, 'glance-api.conf');
    await writeFile(configuration, `${text}\n${ini(sections)}`);
    await startGlance(processes, configuration, port);
    const imageUrl = `http://127.0.0.1:${port}`;
    return { openstack: openstackOf({ ...openstack, imageUrl }), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

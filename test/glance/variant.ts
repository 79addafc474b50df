/**
 * A second Glance in addition to the stack's, on the same database and stores, with another configuration: it has a
 * read-only store, shows no locations with its images, and gives some custom properties a type.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { claimPorts } from '../env/ports.ts';
import { createProcesses } from '../env/processes.ts';
import type { Stack } from '../env/stack.ts';
import { startWsgi } from '../env/wsgi.ts';

export interface Variant {
  /** Without a version: `http://127.0.0.1:N`. */
  imageUrl: string;
  stop(): Promise<void>;
}

const typed = {
  hw_cpu_cores: { type: 'integer', description: 'Number of cores.' },
  hw_boot_menu: { type: ['null', 'boolean'], description: 'Whether the boot menu is shown.' },
  kernel_id: { type: ['null', 'string'], description: 'Id of the kernel.' },
};

export async function startVariant(stack: Stack): Promise<Variant> {
  const processes = createProcesses();
  const ports = await claimPorts();
  const [port = 0] = ports.ports;
  const directory = join(processes.directory, 'glance');
  mkdirSync(directory);
  const configuration = readFileSync(join(stack.directory, 'glance', 'glance-api.conf'), 'utf8')
    .replace('enabled_backends = fast:file,slow:file', 'enabled_backends = fast:file,slow:file,web:http')
    .replace('show_multiple_locations = true', 'show_multiple_locations = false')
    .replace('allowed_ports = [', `allowed_ports = [${new URL(stack.openstack.imageUrl).port},`);
  writeFileSync(join(directory, 'glance-api.conf'), `${configuration}\n[web]\n`);
  writeFileSync(join(directory, 'schema-image.json'), JSON.stringify(typed));
  await startWsgi(processes, {
    name: 'glance',
    module: 'glance.wsgi.api:application',
    port,
    directory,
    processes: 1,
    threads: 8,
    env: { OS_GLANCE_CONFIG_DIR: directory, OS_GLANCE_CONFIG_FILES: 'glance-api.conf' },
  });
  return {
    imageUrl: `http://127.0.0.1:${port}`,
    async stop() {
      await processes.stop();
      await ports.release();
    },
  };
}

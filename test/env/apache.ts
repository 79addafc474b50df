/**
 * Apache with mod_auth_openidc of Debian, as it stands in front of a Keystone with federation.
 *
 * Guarantees: it listens on loopback only, and ends with its owner.
 */
import { readFileSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { folders } from './parts.mjs';
import { claimPorts, listens } from './ports.ts';
import { createProcesses, unprivileged } from './processes.ts';

export interface Apache extends AsyncDisposable {
  readonly port: number;
  log(): string;
}

export interface ApacheOptions {
  /** The configuration behind the modules. */
  configure: (port: number) => string;
  /** Files that it names, by their names in the directory that `directory` stands for in it. */
  files: Readonly<Record<string, string>>;
}

const modules = [
  'mpm_event',
  'authn_core',
  'authz_core',
  'proxy',
  'proxy_http',
  'socache_shmcb',
  'ssl',
  'auth_openidc',
];
const home = join(folders.apache, 'usr');

/** In the configuration, `@` before the name of a file stands for its directory. */
export async function startApache({ configure, files }: ApacheOptions): Promise<Apache> {
  const processes = createProcesses();
  const block = await claimPorts();
  const identity = await unprivileged();
  const [port = 0] = block.ports;
  const file = (name: string) => join(processes.directory, name);
  // It drops its rights, and a child reads the certificate authorities.
  if (identity !== undefined) await chmod(processes.directory, 0o755);
  for (const [name, text] of Object.entries(files)) await writeFile(file(name), text);
  const lines = [
    `ServerRoot "${processes.directory}"`,
    'ServerName 127.0.0.1',
    `PidFile "${file('apache.pid')}"`,
    `DefaultRuntimeDir "${processes.directory}"`,
    `Mutex file:${processes.directory} default`,
    `ErrorLog "${file('error.log')}"`,
    'LogLevel warn auth_openidc:info',
    ...(identity === undefined ? [] : [`User #${identity.uid}`, `Group #${identity.gid}`]),
    // One child, with a few threads.
    'StartServers 1',
    'ServerLimit 1',
    'ThreadsPerChild 8',
    'MaxRequestWorkers 8',
    ...modules.map((name) => `LoadModule ${name}_module "${join(home, 'lib/apache2/modules', `mod_${name}.so`)}"`),
    configure(port).replaceAll('@', `${processes.directory}/`),
  ];
  await writeFile(file('apache.conf'), `${lines.join('\n')}\n`);
  const libraries = join(home, 'lib', process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
  await processes.start({
    name: 'apache',
    command: join(home, 'sbin', 'apache2'),
    args: ['-D', 'FOREGROUND', '-f', file('apache.conf')],
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
    ready: () => listens(port),
  });
  return {
    port,
    log: () => readFileSync(file('error.log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      await processes.stop();
      await block.release();
    },
  };
}

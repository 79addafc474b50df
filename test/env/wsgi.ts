/** Keystone and Glance under uwsgi, as their own documentation runs them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from './http.ts';
import { folders } from './parts.mjs';
import type { Processes, ServerProcess } from './processes.ts';
import { store } from './releases.mjs';
import { s3Modules } from './s3.ts';

const home = folders.python;
export const python = join(home, 'bin', 'python');

/** The arguments to `python` that run one of the environment's own scripts, which the folder's move left with a wrong shebang. */
export function script(name: string, ...args: string[]): string[] {
  return [join(home, 'bin', name), ...args];
}

export interface WsgiApplication {
  name: string;
  module: string;
  port: number;
  /** Where the configuration lies and uwsgi's own is written. */
  directory: string;
  processes: number;
  threads: number;
  env: Readonly<Record<string, string>>;
}

export async function startWsgi(processes: Processes, application: WsgiApplication): Promise<ServerProcess> {
  const { name, directory, port } = application;
  const settings = [
    ['http-socket', `127.0.0.1:${port}`],
    ['venv', home],
    ...(store === 's3' ? [['pythonpath', s3Modules] as const] : []),
    ['module', application.module],
    ['master', 'true'],
    ['processes', application.processes],
    ['threads', application.threads],
    // Without it the threads that import images never run.
    ['enable-threads', 'true'],
    ['lazy-apps', 'true'],
    ['die-on-term', 'true'],
    // All four, for request bodies without a Content-Length.
    ['http-auto-chunked', 'true'],
    ['http-chunked-input', 'true'],
    ['http-raw-body', 'true'],
    ['wsgi-manage-chunked-input', 'true'],
    ['buffer-size', 65535],
    // How long the body of a request may pause: in a campaign ten minutes. The default of 4 s turns a slow upload into a 500.
    ['socket-timeout', 900],
    ['listen', 100],
    ['disable-logging', 'true'],
    ['log-4xx', 'true'],
    ['log-5xx', 'true'],
    ['add-header', 'Connection: close'],
    ...Object.entries(application.env).map(([key, value]) => ['env', `${key}=${value}`]),
  ];
  const file = join(directory, 'uwsgi.ini');
  writeFileSync(file, `[uwsgi]\n${settings.map(([key, value]) => `${key} = ${value}`).join('\n')}\n`);
  return processes.start({
    name,
    command: join(home, 'bin', 'uwsgi'),
    args: ['--ini', file],
    ready: async () => (await ask('GET', `http://127.0.0.1:${port}/`, { timeoutMs: 5_000 })).status < 500,
  });
}

/** The text of an INI file as oslo.config reads it. */
export function ini(sections: Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>): string {
  return Object.entries(sections)
    .map(([name, values]) => [`[${name}]`, ...Object.entries(values).map(([key, to]) => `${key} = ${to}`)].join('\n'))
    .join('\n\n')
    .concat('\n');
}

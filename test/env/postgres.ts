/**
 * PostgreSQL, the database of Keystone and Glance (SQLite locks up under a handful of writers).
 *
 * Invariant: no data outlives the test, so it never waits for a disk.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { folders } from './parts.mjs';
import { type Processes, run, type ServerProcess, unprivileged } from './processes.ts';

const programs = join(folders.postgres, 'package', 'native', 'bin');

export const databases = ['keystone', 'glance'] as const;
export type Database = (typeof databases)[number];

export function databaseUrl(port: number, database: Database): string {
  return `postgresql+psycopg2://os@127.0.0.1:${port}/${database}`;
}

/** Makes an empty cluster in `directory`, whose parent the unprivileged user must be able to write to. */
export async function initialise(directory: string): Promise<void> {
  const identity = await unprivileged();
  const args = ['-D', directory, '-A', 'trust', '-U', 'os', '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1'];
  await run(join(programs, 'initdb'), args, identity);
}

export async function startPostgres(processes: Processes, directory: string, port: number): Promise<ServerProcess> {
  const identity = await unprivileged();
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '300',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    autovacuum_naptime: '10s',
    shared_buffers: '64MB',
    log_min_messages: 'warning',
  };
  return processes.start({
    name: 'postgres',
    command: join(programs, 'postgres'),
    args: [
      '-D',
      directory,
      '-p',
      String(port),
      ...Object.entries(settings).flatMap(([key, to]) => ['-c', `${key}=${to}`]),
    ],
    ready: () => accepts(port),
    ...(identity ? { identity } : {}),
  });
}

/** Runs SQL through psycopg2, because the PostgreSQL package brings no psql. Each statement is its own transaction. */
export async function sql(port: number, database: Database | 'postgres', statements: readonly string[]): Promise<void> {
  const program = `import sys, psycopg2
connection = psycopg2.connect(host="127.0.0.1", port=int(sys.argv[1]), user="os", dbname=sys.argv[2])
connection.autocommit = True
for statement in sys.argv[3:]: connection.cursor().execute(statement)`;
  await run(join(folders.python, 'bin', 'python'), ['-c', program, String(port), database, ...statements]);
}

/**
 * Whether the server takes clients: it lets one in, where a server that is still starting sends an error.
 */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const startup = Buffer.from('\0\0\0\0\0\x03\0\0user\0os\0database\0postgres\0\0', 'latin1');
    startup.writeInt32BE(startup.length);
    socket.once('connect', () => socket.write(startup));
    // 'R': authentication accepted. 'E': the database system is starting up.
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data[0] === 'R'.charCodeAt(0));
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

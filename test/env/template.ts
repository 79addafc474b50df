/**
 * Makes the template of the databases: `node template.ts DIRECTORY` leaves there a PostgreSQL cluster with Keystone and
 * Glance bootstrapped, Keystone's keys, and the ids that later runs need.
 *
 * Invariant: a stack that copies it differs only in its ports from one that was bootstrapped by hand.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { chown, cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { adminPassword, bootstrapCloud, type Cloud, cloudSchema, region } from './bootstrap.ts';
import { configureGlance } from './glance.ts';
import { configureKeystone, startKeystone } from './keystone.ts';
import { folders } from './parts.mjs';
import { claimPorts, type PortBlock } from './ports.ts';
import { databases, initialise, sql, startPostgres } from './postgres.ts';
import { createProcesses, type Processes, run, unprivileged } from './processes.ts';
import { Session } from './session.ts';
import { makeTls } from './tls.ts';
import { python, script } from './wsgi.ts';

/** Puts a copy of the template into `directory`: `postgres/` and `keystone/`. */
export async function copyTemplate(directory: string): Promise<Cloud> {
  for (const part of ['postgres', 'keystone'])
    await run('cp', ['-Rp', join(folders.template, part), join(directory, part)]);
  const identity = await unprivileged();
  if (identity) await run('chown', ['-R', `${identity.uid}:${identity.gid}`, join(directory, 'postgres')]);
  return cloudSchema.parse(JSON.parse(await readFile(join(folders.template, 'cloud.json'), 'utf8')));
}

async function makeTemplate(target: string, processes: Processes, block: PortBlock): Promise<void> {
  const [postgresPort = 0, keystonePort = 0, glancePort = 0] = block.ports;
  const at = (name: string) => join(processes.directory, name);
  mkdirSync(at('database'));
  const identity = await unprivileged();
  if (identity) await chown(at('database'), identity.uid, identity.gid);
  const cluster = join(at('database'), 'postgres');
  await initialise(cluster);
  const postgres = await startPostgres(processes, cluster, postgresPort);
  await sql(
    postgresPort,
    'postgres',
    databases.map((name) => `CREATE DATABASE ${name}`),
  );

  const keys = { fernetKeys: at('keystone/fernet-keys'), credentialKeys: at('keystone/credential-keys') };
  await mkdir(keys.fernetKeys, { recursive: true, mode: 0o700 });
  await mkdir(keys.credentialKeys, { mode: 0o700 });
  const keystoneConf = await configureKeystone({ directory: at('keystone-conf'), ...keys }, postgresPort);
  const glanceConf = await configureGlance({
    directory: at('glance'),
    postgresPort,
    keystonePort,
    endpointId: '',
    sourcePorts: [],
  });
  const keystoneManage = (...args: string[]) =>
    run(python, script('keystone-manage', '--config-file', keystoneConf, ...args));
  await Promise.all([
    keystoneManage('db_sync'),
    run(python, script('glance-manage', '--config-file', glanceConf, 'db_sync')),
  ]);
  const me = [String(process.getuid?.()), String(process.getgid?.())] as const;
  for (const kind of ['fernet_setup', 'credential_setup'])
    await keystoneManage(kind, '--keystone-user', me[0], '--keystone-group', me[1]);
  const authUrl = `http://127.0.0.1:${keystonePort}/v3`;
  const urls = ['admin', 'internal', 'public'].flatMap((kind) => [`--bootstrap-${kind}-url`, authUrl]);
  await keystoneManage('bootstrap', '--bootstrap-password', adminPassword, '--bootstrap-region-id', region, ...urls);
  const keystone = await startKeystone(processes, keystoneConf, keystonePort);
  const admin = new Session({ authUrl, username: 'admin', password: adminPassword, project: { name: 'admin' } });
  const cloud = await bootstrapCloud(admin, authUrl, `http://127.0.0.1:${glancePort}`);
  await keystone.end('SIGTERM');
  // Fast shutdown, with a checkpoint: the files are then whole.
  await postgres.end('SIGINT');

  await cp(cluster, join(target, 'postgres'), { recursive: true });
  await cp(at('keystone'), join(target, 'keystone'), { recursive: true });
  await mkdir(join(target, 'tls'));
  await makeTls(join(target, 'tls'));
  writeFileSync(join(target, 'cloud.json'), JSON.stringify(cloud));
}

if (import.meta.main) {
  const target = process.argv[2];
  if (target === undefined) throw new Error('usage: template.ts DIRECTORY');
  const processes = createProcesses();
  const block = await claimPorts();
  try {
    await makeTemplate(target, processes, block);
  } finally {
    await processes.stop();
    await block.release();
  }
}

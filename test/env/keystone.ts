/**
 * Keystone, the identity service.
 *
 * Invariant: a changed limit, role or password takes effect immediately in all threads, which share one process and its
 * cache.
 */
import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { adminPassword } from './bootstrap.ts';
import { databaseUrl } from './postgres.ts';
import type { Processes, ServerProcess } from './processes.ts';
import { wsgi } from './releases.mjs';
import { Session } from './session.ts';
import { ini, startWsgi } from './wsgi.ts';

export interface KeystoneFolders {
  /** Where the configuration is written. */
  directory: string;
  fernetKeys: string;
  credentialKeys: string;
}

/** Writes keystone.conf and returns its path. */
export async function configureKeystone(folders: KeystoneFolders, postgresPort: number): Promise<string> {
  await mkdir(folders.directory, { recursive: true });
  const file = join(folders.directory, 'keystone.conf');
  const text = ini({
    DEFAULT: { insecure_debug: true },
    database: { connection: databaseUrl(postgresPort, 'keystone') },
    token: { provider: 'fernet' },
    fernet_tokens: { key_repository: folders.fernetKeys },
    credential: { key_repository: folders.credentialKeys },
    // Passwords are for tests: the least work that bcrypt takes.
    identity: { password_hash_rounds: 4 },
    oslo_messaging_notifications: { driver: 'noop' },
    // Without it every request reads roles and projects a dozen times over, at half a second each.
    cache: { enabled: true, backend: 'dogpile.cache.memory' },
  });
  writeFileSync(file, text);
  return file;
}

export async function startKeystone(processes: Processes, configuration: string, port: number): Promise<ServerProcess> {
  const server = await startWsgi(processes, {
    name: 'keystone',
    module: wsgi.keystone,
    port,
    directory: join(configuration, '..'),
    // One process, because each has a cache of its own.
    processes: 1,
    threads: 8,
    env: { OS_KEYSTONE_CONFIG_FILES: configuration },
  });
  await readPolicies(`http://127.0.0.1:${port}/v3`);
  return server;
}

/**
 * Keystone reads its policies at the first request that they govern. A concurrent request in another thread sees half
 * of them, and is rejected or gets no response at all.
 */
async function readPolicies(authUrl: string): Promise<void> {
  const admin = new Session({ authUrl, username: 'admin', password: adminPassword, project: { name: 'admin' } });
  (await admin.ask('GET', `${authUrl}/projects`)).ok();
}

/**
 * Glance, the image service: two stores, every import method, quotas by Keystone's unified limits.
 *
 * Invariant: it is configured as in production, except that only the loopback address and the stack's own source ports
 * are open to web-download.
 */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { folders } from './parts.mjs';
import { databaseUrl } from './postgres.ts';
import type { Processes, ServerProcess } from './processes.ts';
import { wsgi } from './releases.mjs';
import { s3Store } from './s3.ts';
import { ini, startWsgi } from './wsgi.ts';

export const glancePassword = 'glance';
/** Glance rejects a body that is declared larger than this, in bytes, with 413. */
export const imageSizeCap = 20 * 1024 ** 3;

export interface GlanceOptions {
  directory: string;
  postgresPort: number;
  keystonePort: number;
  /** The id of the image service's public endpoint in Keystone, by which limits are looked up. */
  endpointId: string;
  sourcePorts: readonly number[];
  /** Of an S3 server, which is then the default store. */
  s3Port?: number | undefined;
  /** Whether Glance reads the project's limits from Keystone, which makes a call several times slower. Default true. */
  quotas?: boolean;
}

/** Writes Glance's configuration and makes its stores; returns the path of glance-api.conf. */
export async function configureGlance(options: GlanceOptions): Promise<string> {
  const { directory, s3Port } = options;
  const at = (name: string) => join(directory, name);
  for (const store of ['fast', 'slow', 'staging', 'tasks', 'lock']) await mkdir(at(store), { recursive: true });
  await copyFile(join(folders.python, 'etc', 'glance', 'glance-api-paste.ini'), at('glance-api-paste.ini'));
  const authUrl = `http://127.0.0.1:${options.keystonePort}/v3`;
  const text = ini({
    DEFAULT: {
      enabled_backends: `fast:${s3Port === undefined ? 'file' : 's3'},slow:file`,
      enabled_import_methods: '[glance-direct,web-download,copy-image,glance-download]',
      show_image_direct_url: true,
      show_multiple_locations: true,
      image_size_cap: imageSizeCap,
      use_keystone_limits: options.quotas ?? true,
    },
    glance_store: { default_backend: 'fast' },
    fast: s3Port === undefined ? { filesystem_store_datadir: at('fast') } : s3Store(s3Port),
    slow: { filesystem_store_datadir: at('slow') },
    os_glance_staging_store: { filesystem_store_datadir: at('staging') },
    os_glance_tasks_store: { filesystem_store_datadir: at('tasks') },
    database: { connection: databaseUrl(options.postgresPort, 'glance') },
    oslo_concurrency: { lock_path: at('lock') },
    paste_deploy: { flavor: 'keystone', config_file: at('glance-api-paste.ini') },
    import_filtering_opts: {
      allowed_schemes: '[http,https]',
      allowed_hosts: '[127.0.0.1]',
      allowed_ports: `[80,443,${options.sourcePorts.join(',')}]`,
    },
    keystone_authtoken: {
      www_authenticate_uri: authUrl,
      auth_url: authUrl,
      auth_type: 'password',
      user_domain_name: 'Default',
      project_domain_name: 'Default',
      project_name: 'service',
      username: 'glance',
      password: glancePassword,
      // A token that was revoked, or a role that was taken, counts after this many seconds.
      token_cache_time: 10,
    },
    oslo_limit: {
      auth_url: authUrl,
      auth_type: 'password',
      user_domain_id: 'default',
      username: 'glance',
      password: glancePassword,
      system_scope: 'all',
      endpoint_id: options.endpointId,
    },
  });
  const file = at('glance-api.conf');
  writeFileSync(file, text);
  return file;
}

/** The order of the tags that Glance sends depends on it. */
const hashSeed = () => process.env['PYTHONHASHSEED'] ?? String(randomInt(2 ** 32));

export function startGlance(processes: Processes, configuration: string, port: number): Promise<ServerProcess> {
  const directory = join(configuration, '..');
  return startWsgi(processes, {
    name: 'glance',
    module: wsgi.glance,
    port,
    directory,
    processes: 2,
    threads: 8,
    env: { OS_GLANCE_CONFIG_DIR: directory, OS_GLANCE_CONFIG_FILES: 'glance-api.conf', PYTHONHASHSEED: hashSeed() },
  });
}

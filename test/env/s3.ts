/** A small S3 server, and Glance's store on it. Invariant: its objects are gone when the stack stops. */
import { join } from 'node:path';
import { ask } from './http.ts';
import { folders } from './parts.mjs';
import type { Processes, ServerProcess } from './processes.ts';

const bucket = 'glance';

/** The options of the store in glance-api.conf. */
export const s3Store = (port: number) => ({
  s3_store_host: `http://127.0.0.1:${port}`,
  s3_store_access_key: 'key',
  s3_store_secret_key: 'secret',
  s3_store_bucket: bucket,
  s3_store_region_name: 'us-east-1',
  s3_store_bucket_url_format: 'path',
  // The smallest that it accepts, in MiB, so that images of tests have several parts.
  s3_store_large_object_size: 1,
  s3_store_large_object_chunk_size: 5,
});

/** The Python modules that the store needs. */
export const s3Modules = join(folders.s3, 'python');

export function startS3(processes: Processes, port: number): Promise<ServerProcess> {
  const host = `127.0.0.1:${port}`;
  return processes.start({
    name: 's3',
    command: join(folders.s3, 'gofakes3'),
    args: ['-host', host, '-backend', 'memory', '-initialbucket', bucket],
    ready: async () => (await ask('GET', `http://${host}/`, { timeoutMs: 2_000 })).status === 200,
  });
}

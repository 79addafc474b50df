import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port without a listener: it was free a moment ago, and the system does not assign it again soon. */
export async function claimPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the system gave no port');
  return address.port;
}

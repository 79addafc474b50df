/** Bodies in small pieces, over connections that receive up to 1 MiB at once. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { giveBack } from '../../src/http/receive-buffers.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { digestOf, generated } from '../env/content.ts';

const mib = 2 ** 20;

/** Of part of a body, in chunks of this length. */
function chunked(part: Buffer, chunkBytes: number): Buffer {
  const lines: Buffer[] = [];
  for (let at = 0; at < part.length; at += chunkBytes) {
    const chunk = part.subarray(at, at + chunkBytes);
    lines.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat(lines);
}

/** Reads a body that a server sends in chunks of this length. Returns the number of pieces. */
async function read(t: TestContext, size: number, chunkBytes: number) {
  const content = generated(size);
  async function send(socket: Socket): Promise<void> {
    await once(socket, 'data');
    socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n');
    for (let from = 0; from < size && !socket.destroyed; from += mib / 4)
      if (!socket.write(chunked(content.slice(from, from + mib / 4), chunkBytes))) await once(socket, 'drain');
    socket.end('0\r\n\r\n');
  }
  const server = createServer((socket) => void send(socket).catch(() => socket.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  t.after(() => transport.close());
  const url = new URL(`http://127.0.0.1:${address.port}/image.raw`);
  const { body } = await transport.get(url, {}, new AbortController().signal);
  const hash = createHash('sha256');
  let pieces = 0;
  for await (const piece of body) {
    pieces++;
    hash.update(piece);
    giveBack(piece);
  }
  assert.equal(hash.digest('hex'), digestOf(content));
  return pieces;
}

test('small chunks that arrive together are read together, because for each piece the client copies the rest of what it has received', async (t) => {
  const size = mib / 2;
  const pieces = await read(t, size, 16);
  assert(pieces < size / 16 / 32, `${pieces} pieces`);
});

/** Responses in chunks of a few bytes, which connections receive by up to 1 MiB at once. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createPlainServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { giveBack } from '../../src/http/receive-buffers.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { makeCertificates } from '../env/certificates.ts';
import { digestOf, generated } from '../env/content.ts';

const content = generated(2 ** 19).slice(0, 2 ** 19);
const certificates = await makeCertificates();
const { signal } = new AbortController();

function chunked(chunkBytes: number): Buffer {
  const lines: Buffer[] = [];
  for (let at = 0; at < content.length; at += chunkBytes) {
    const chunk = content.subarray(at, at + chunkBytes);
    lines.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...lines, Buffer.from('0\r\n\r\n')]);
}

for (const protocol of ['http', 'https'] as const)
  for (const connection of ['of one response', 'that is kept'] as const) {
    /** The response to a request, in chunks of this length, which the server sends as soon as the system takes them. */
    async function respond(t: TestContext, chunkBytes: number) {
      const send = async (socket: Socket) => {
        socket.on('error', () => {});
        await once(socket, 'data');
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        socket.write(chunked(chunkBytes));
      };
      const onSocket = (socket: Socket) => void send(socket).catch(() => {});
      const server =
        protocol === 'http' ? createPlainServer(onSocket) : createTlsServer({ ...certificates.good }, onSocket);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      assert(typeof address === 'object' && address !== null);
      const policy = createEgressPolicy({ allow: ['127.0.0.1'], deny: [] });
      const transport = createSourceTransport(policy, { ca: certificates.ca });
      t.after(async () => {
        await transport.close();
        server.close();
      });
      const { get } = connection === 'that is kept' ? (transport.keep?.('pipelined') ?? assert.fail()) : transport;
      const url = new URL(`${protocol}://127.0.0.1:${address.port}/image.raw`);
      const { body } = await get(url, {}, signal);
      return body;
    }

    test(`small chunks that arrive together over a connection with ${protocol} ${connection} are read together`, async (t) => {
      const hash = createHash('sha256');
      let pieces = 0;
      for await (const piece of await respond(t, 16)) {
        pieces++;
        hash.update(piece);
        giveBack(piece);
      }
      assert.equal(hash.digest('hex'), digestOf(content));
      // Each piece costs a copy of all that was received with it.
      assert(pieces < content.length / 16 / 16, `${pieces} pieces`);
    });

    test(`no more than some thousand chunks wait over a connection with ${protocol} ${connection}, whose objects take memory`, async (t) => {
      const body = await respond(t, 1);
      await once(body, 'readable');
      for (let turn = 0; turn < 300; turn++) await new Promise(setImmediate);
      assert(body.readableLength < 3000, `${body.readableLength} chunks of one byte`);
      assert(body.readableLength > 0);
    });
  }

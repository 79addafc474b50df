/** The memory of pieces on their way through real connections: it is written over when an upload has sent it, or received into. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createPlainServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type TestContext, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { giveBack } from '../../src/http/receive-buffers.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { HttpUpload } from '../../src/openstack/exchange.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { openHttpSource } from '../../src/source/http.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { makeCertificates } from '../env/certificates.ts';
import { digestOf, generated, pieces } from '../env/content.ts';
import { listen } from '../openstack/stub.ts';

const mib = 2 ** 20;

const { signal } = new AbortController();
const certificates = await makeCertificates();

for (const protocol of ['http', 'https'] as const) {
  const serve = async (t: TestContext, handler: RequestListener) => {
    const server =
      protocol === 'http' ? createPlainServer(handler) : createTlsServer({ ...certificates.good }, handler);
    return `${protocol}://127.0.0.1:${await listen(t, server)}`;
  };

  /**
   * Uploads a body to a server that reads in fits: it waits until nothing more is taken of the body, because all buffers are full. Resolves
   * with the digest of what came.
   */
  async function upload(t: TestContext, size: number, body: AsyncIterable<Uint8Array>, onSent: HttpUpload['onSent']) {
    const received = createHash('sha256');
    let reads = 0;
    let taken = 0;
    async function* counted() {
      for await (const chunk of body) {
        taken++;
        yield chunk;
      }
    }
    const origin = await serve(t, async (request, response) => {
      for await (const chunk of request) {
        received.update(chunk);
        if (++reads % 50 !== 0) continue;
        for (let before = -1; taken > before; ) {
          before = taken;
          for (let turns = 0; turns < 40; turns++) await new Promise(setImmediate);
        }
      }
      response.writeHead(204).end();
    });
    const tls = { ca: certificates.ca, verify: true, client: undefined };
    const cloud = createTransport({ tls, userAgent: 'test', clock: systemClock });
    t.after(() => cloud.close());
    const request = {
      purpose: { service: 'image', operation: 'upload' },
      method: 'PUT',
      url: `${origin}/file`,
      headers: {},
      requestId: 'req-1',
      responseDeadlineMs: 60_000,
      signal,
    } as const;
    const { status } = await cloud.upload({ ...request, body: counted(), size, onSent }, () => {});
    assert.equal(status, 204);
    return received.digest('hex');
  }

  for (const sizes of [
    [256 * 1024, 100_000, 65_536, 300, 16_384],
    [1000, 300, 5000],
  ])
    test(`memory in pieces of ${sizes.join(', ')} bytes that is written over as soon as an upload over ${protocol} has sent it changes nothing of what arrives`, async (t) => {
      const content = generated(16 * mib);
      const unsent: Uint8Array[] = [];
      let sent = 0;
      const reported = new Set<Uint8Array>();
      let repeated = 0;
      async function* body() {
        let at = 0;
        for (let from = 0; from < content.size; ) {
          const size = sizes[at++ % sizes.length] ?? 1;
          // Each with memory of its own.
          const piece = new Uint8Array(content.slice(from, from + size));
          unsent.push(piece);
          yield piece;
          from += size;
        }
      }
      const found = await upload(t, content.size, body(), (last) => {
        if (reported.has(last)) repeated++;
        reported.add(last);
        const at = unsent.findIndex(({ buffer }) => buffer === last.buffer);
        for (const piece of unsent.splice(0, Math.max(at, 0))) {
          piece.fill(0);
          sent += piece.length;
        }
        // The client may have sent the beginning of a piece only.
        last.fill(0);
      });
      assert.equal(found, digestOf(content));
      // By then its memory may have another user.
      assert.equal(repeated, 0);
      // A response does not show it: a server can respond before it has received everything.
      assert(
        ![...reported].some(({ buffer }) => buffer === unsent.at(-1)?.buffer),
        'the last piece was reported as sent',
      );
      assert(sent > content.size / 2, `only ${sent} bytes were reported as sent`);
    });

  test(`a file that is downloaded over ${protocol} and uploaded is the same after its memory was used again`, async (t) => {
    const content = generated(24 * mib);
    const sizes = [1000, 70_000, 300_000, 16_384, 200, 1_000_000];
    const origin = await serve(t, async (_request, response) => {
      response.writeHead(200, { 'content-length': content.size, etag: '"1"' });
      let at = 0;
      for (const piece of pieces(content, 0, content.size, 2 * mib)) {
        for (let from = 0; from < piece.length; ) {
          const size = sizes[at++ % sizes.length] ?? 1;
          if (!response.write(piece.subarray(from, from + size))) await once(response, 'drain');
          from += size;
        }
      }
      response.end();
    });
    const policy = createEgressPolicy({ allow: ['127.0.0.1'], deny: [] });
    const transport = createSourceTransport(policy, { ca: certificates.ca });
    t.after(() => transport.close());
    const source = await openHttpSource({
      urls: [`${origin}/image.raw`],
      transport,
      clock: systemClock,
      random: () => 0.5,
      hasDigest: true,
      limits: { maxBytes: content.size, stallBytes: 1, stallWindowMs: 60_000 },
      signal,
    });
    const memory = new Set<ArrayBufferLike>();
    async function* body() {
      for await (const chunk of source.body) {
        memory.add(chunk.buffer);
        yield chunk;
      }
    }
    assert.equal(await upload(t, content.size, body(), giveBack), digestOf(content));
    // A few, and pieces that the client had to join.
    assert(memory.size < 150, `the data was in ${memory.size} buffers`);
  });
}

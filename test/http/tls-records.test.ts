/** What a connection with TLS receives: records of at most 16 KiB, which reach the reader together. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { createPool, createReceiveBuffers, giveBack, noConnections } from '../../src/http/receive-buffers.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { makeCertificates } from '../env/certificates.ts';
import { contentOf, digestOf, generated } from '../env/content.ts';
import { listen } from '../openstack/stub.ts';

const recordBytes = 16 * 1024;
const mib = 2 ** 20;
const { signal } = new AbortController();
const certificates = await makeCertificates();

/** What Node does with the buffers of a connection that receives records. */
function connection() {
  const buffers = createReceiveBuffers(createPool(noConnections()), 'records');
  const pushed: (Uint8Array | null)[] = [];
  const socket = new Socket();
  const toRead: Uint8Array[] = [];
  let unread = 0;
  Object.defineProperty(socket, 'readableLength', { get: () => unread });
  socket.push = (piece) => pushed.push(piece) > 0;
  socket.read = () => toRead.shift() ?? null;
  buffers.receiveFor(socket);
  const { buffer, callback } = buffers.onread;
  assert(typeof buffer === 'function');
  let next = buffer();
  let received = 0;
  return {
    pushed,
    /** Returns whether it reads on. */
    receive(length: number): boolean {
      let readsOn = true;
      for (let left = length; left > 0; ) {
        const bytes = Math.min(left, next.length);
        for (let at = 0; at < bytes; at++) next[at] = (received + at) % 251;
        received += bytes;
        left -= bytes;
        readsOn = callback(bytes, next);
        next = buffer();
      }
      return readsOn;
    },
    end: () => socket.push(null),
    socket,
    toRead,
    leaveUnread(bytes: number) {
      unread = bytes;
    },
  };
}

test('records that arrive together reach the reader as one piece', async () => {
  const { pushed, receive } = connection();
  for (let at = 0; at < 3; at++) receive(recordBytes);
  assert.equal(pushed.length, 0);
  await turn();
  assert.deepEqual(
    pushed.map((piece) => piece?.length),
    [3 * recordBytes],
  );
  await turn();
  assert.equal(pushed.length, 1);
});

test('the end of a connection reaches the reader after all that came before it', async () => {
  const { pushed, receive, end } = connection();
  receive(100);
  end();
  await turn();
  assert.deepEqual(
    pushed.map((piece) => piece?.length),
    [100, undefined],
  );
});

test('a client gets what came before its connection was reset, and the error when it asks for more', async () => {
  const { pushed, receive, socket } = connection();
  socket.on('error', () => {});
  receive(100);
  socket.destroy(Object.assign(new Error('read ECONNRESET'), { syscall: 'read' }));
  assert.deepEqual(
    pushed.map((piece) => piece?.length),
    [100],
  );
  await turn();
  assert.equal(socket.destroyed, false);
  assert.equal(socket.read(), null);
  // The client is still in the middle of that.
  assert.equal(socket.destroyed, false);
  await turn();
  assert.equal(socket.destroyed, true);
});

test('the error of a reset waits for a client that has not asked for more, or has not read everything', async () => {
  for (const unread of [0, 100]) {
    const { socket, toRead, leaveUnread } = connection();
    socket.on('error', () => {});
    const piece = new Uint8Array(100);
    toRead.push(piece);
    if (unread === 0) assert.equal(socket.read(), piece);
    leaveUnread(unread);
    socket.destroy(Object.assign(new Error('read ECONNRESET'), { syscall: 'read' }));
    await turn();
    assert.equal(socket.destroyed, false);
  }
});

test('a client that has read everything and waits for more gets the error of a reset at once', () => {
  const { socket } = connection();
  socket.on('error', () => {});
  assert.equal(socket.read(), null);
  socket.destroy(Object.assign(new Error('read ECONNRESET'), { syscall: 'read' }));
  assert.equal(socket.destroyed, true);
});

test('a client that ends a connection waits for nothing', () => {
  for (const error of [undefined, new Error('its deadline has passed')]) {
    const { pushed, receive, socket } = connection();
    socket.on('error', () => {});
    receive(100);
    socket.destroy(error);
    assert.deepEqual([pushed.length, socket.destroyed], [0, true]);
  }
});

test('a client that reads before all records have come gets those that are there', () => {
  const { pushed, receive, socket } = connection();
  receive(100);
  socket.read(0);
  assert.equal(pushed.length, 0);
  socket.read();
  assert.equal(pushed.length, 1);
});

test('no more is received from a connection whose reader is behind', () => {
  const { receive, leaveUnread } = connection();
  assert.equal(receive(recordBytes), true);
  leaveUnread(1);
  assert.equal(receive(recordBytes), false);
  leaveUnread(0);
  assert.equal(receive(recordBytes), true);
});

test('the reader gets all records in their order, whenever they come and whenever their memory is given back', async () => {
  const step = fc.record({ length: fc.integer({ min: 1, max: 40_000 }), turns: fc.boolean(), isRead: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
      const { pushed, receive, end } = connection();
      let at = 0;
      let total = 0;
      const read = () => {
        for (const piece of pushed.splice(0)) {
          for (const byte of piece ?? []) if (byte !== at++ % 251) assert.fail(`byte ${at - 1} is another one`);
          if (piece !== null) giveBack(piece);
        }
      };
      for (const { length, turns, isRead } of steps) {
        receive(length);
        total += length;
        if (turns) await turn();
        if (isRead) read();
      }
      end();
      read();
      assert.equal(at, total);
    }),
    { numRuns: 30 },
  );
});

async function download(t: TestContext, url: string, onPiece: (piece: Uint8Array) => Promise<void> | undefined) {
  const policy = createEgressPolicy({ allow: ['127.0.0.1'], deny: [] });
  const transport = createSourceTransport(policy, { ca: certificates.ca });
  t.after(() => transport.close());
  const { body } = await transport.get(new URL(url), {}, signal);
  for await (const piece of body) {
    assert(piece instanceof Uint8Array);
    await onPiece(piece);
  }
}

for (const [framing, headers] of [
  ['a length', { 'content-length': `${8 * mib + 5}` }],
  ['chunks', {}],
  ['the end of its connection', { 'transfer-encoding': 'identity', connection: 'close' }],
] as const)
  test(`a body that is delimited by ${framing} arrives whole over TLS, while its memory is used again`, async (t) => {
    const content = generated(8 * mib + 5);
    const server = createServer({ ...certificates.good }, async (_request, response) => {
      response.writeHead(200, headers);
      const sizes = [100, 70_000, 16_384, 400_000, 1];
      for (let from = 0, at = 0; from < content.size; at++) {
        const size = sizes[at % sizes.length] ?? 1;
        if (!response.write(content.slice(from, from + size))) await once(response, 'drain');
        if (at % 7 === 0) await turn();
        from += size;
      }
      response.end();
    });
    const url = `https://127.0.0.1:${await listen(t, server)}/`;
    const received: Buffer[] = [];
    let count = 0;
    await download(t, url, async (piece) => {
      received.push(Buffer.from(piece));
      giveBack(piece);
      if (count++ % 5 === 0) await turn();
    });
    const whole = Buffer.concat(received);
    assert.equal(whole.length, content.size);
    assert.equal(digestOf(contentOf(whole)), digestOf(content));
  });

test('a server that sends without end over TLS is stopped by a reader that waits', async (t) => {
  let sent = 0;
  const server = createServer({ ...certificates.good }, async (_request, response) => {
    response.on('error', () => {});
    response.writeHead(200);
    const piece = Buffer.alloc(mib);
    const closed = once(response, 'close');
    while (!response.destroyed) {
      sent += piece.length;
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), closed]);
    }
  });
  const url = `https://127.0.0.1:${await listen(t, server)}/`;
  const policy = createEgressPolicy({ allow: ['127.0.0.1'], deny: [] });
  const transport = createSourceTransport(policy, { ca: certificates.ca });
  t.after(() => transport.close());
  const { body } = await transport.get(new URL(url), {}, signal);
  const received: AsyncIterator<unknown> = body[Symbol.asyncIterator]();
  for (let read = 0; read < 40 * mib; ) {
    const { value } = await received.next();
    assert(value instanceof Uint8Array);
    read += value.length;
    giveBack(value);
  }
  for (let before = -1; sent > before; ) {
    before = sent;
    for (let turns = 0; turns < 200; turns++) await turn();
  }
  assert(sent < 100 * mib, `the server could send ${sent} bytes`);
  body.destroy();
});

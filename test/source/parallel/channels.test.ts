/** Connections that are kept for parts of a file, where they fail. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createEgressPolicy } from '../../../src/http/egress.ts';
import { SourceError } from '../../../src/source/errors.ts';
import { createChannels } from '../../../src/source/parallel/channels.ts';
import type { RangeReader } from '../../../src/source/source.ts';
import { createSourceTransport, type SourceTransport } from '../../../src/source/transport.ts';
import { listen } from '../server.ts';

const broken = () => new SourceError('SourceTooShort', 'the connection broke');

/** Channels whose connections have sent other responses before, and read each part in this way. Counts the connections that are made. */
function channelsOf(read: RangeReader['read'], signal = new AbortController().signal) {
  const made = { connections: 0 };
  const transport: SourceTransport = {
    get: () => assert.fail(),
    keep() {
      made.connections++;
      return { get: () => assert.fail(), responses: 5, close: () => {} };
    },
    close: async () => {},
  };
  return { made, channels: createChannels({ transport, signal, createReader: () => ({ size: () => 100, read }) }) };
}

async function bytesOf(parts: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const { length } of parts) bytes += length;
  return bytes;
}

test('a part whose connections all fail is read twice, from its first missing byte on', async () => {
  const read: number[] = [];
  const { made, channels } = channelsOf(async function* (from) {
    read.push(from);
    yield Buffer.alloc(10);
    throw broken();
  });
  await assert.rejects(bytesOf(channels.open().read(0, 100)), broken());
  assert.deepEqual(read, [0, 10]);
  assert.equal(made.connections, 2);
});

test('no connection is made for a part that fails because it is not read any more', async () => {
  const controller = new AbortController();
  const { made, channels } = channelsOf(async function* () {
    yield Buffer.alloc(10);
    controller.abort(new Error('it is over'));
    throw broken();
  }, controller.signal);
  await assert.rejects(bytesOf(channels.open().read(0, 100)), /it is over/);
  assert.equal(made.connections, 1);
});

test('a part that waits behind one that is read again comes after it, on the new connection', async () => {
  const events: string[] = [];
  let reads = 0;
  const { channels } = channelsOf(async function* (from) {
    const number = ++reads;
    events.push(`${from} begins`);
    // Both fail with their connection.
    if (number <= 2) throw broken();
    await new Promise(setImmediate);
    events.push(`${from} ends`);
    yield Buffer.alloc(10);
  });
  const channel = channels.open();
  assert.deepEqual(await Promise.all([bytesOf(channel.read(0, 10)), bytesOf(channel.read(10, 20))]), [10, 10]);
  assert.deepEqual(events, ['0 begins', '10 begins', '0 begins', '0 ends', '10 begins', '10 ends']);
});

test('a part that begins while the one before is read again comes after it', async () => {
  const events: string[] = [];
  const isReadAgain = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let reads = 0;
  const { channels } = channelsOf(async function* (from) {
    events.push(`${from} begins`);
    if (++reads === 1) throw broken();
    isReadAgain.resolve();
    await goOn.promise;
    events.push(`${from} ends`);
    yield Buffer.alloc(10);
  });
  const channel = channels.open();
  const first = bytesOf(channel.read(0, 10));
  await isReadAgain.promise;
  const second = bytesOf(channel.read(10, 20));
  await new Promise(setImmediate);
  goOn.resolve();
  assert.deepEqual(await Promise.all([first, second]), [10, 10]);
  assert.deepEqual(events, ['0 begins', '0 begins', '0 ends', '10 begins', '10 ends']);
});

/** A server on plain sockets that sends a file of one byte, and its transport. */
async function served(t: TestContext, respond: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => respond(socket));
  });
  const port = await listen(server);
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  t.after(async () => {
    await transport.close();
    server.close();
  });
  return { sockets, transport, url: new URL(`http://127.0.0.1:${port}/image.raw`) };
}

const { signal } = new AbortController();

test('the responses of a kept connection are counted from its last beginning on', async (t) => {
  const { transport, url, sockets } = await served(t, (socket) => {
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx');
  });
  const kept = transport.keep?.('kept') ?? assert.fail();
  for (let count = 1; count <= 3; count++) {
    const { body } = await kept.get(url, {}, signal);
    assert.equal(await bytesOf(body), 1);
    assert.equal(kept.responses, 1);
    assert.equal(sockets.length, count);
  }
});

test('a transport that is closed has closed the connections that were kept, also in the middle of a response', async (t) => {
  const { transport, url, sockets } = await served(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx');
  });
  const kept = transport.keep?.('kept') ?? assert.fail();
  const { body } = await kept.get(url, {}, signal);
  const [socket] = sockets;
  assert(socket !== undefined);
  const closed = once(socket, 'close');
  await transport.close();
  await closed;
  assert(body.destroyed);
});

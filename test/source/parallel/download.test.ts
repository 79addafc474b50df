/**
 * A server that shapes its connections, in a time that is counted in its own ticks: what a test asserts are bytes, requests and ticks,
 * whatever the speed of the machine.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createEgressPolicy } from '../../../src/http/egress.ts';
import { giveBack } from '../../../src/http/receive-buffers.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { createMemoryBudget } from '../../../src/lib/memory-budget.ts';
import { openHttpSource } from '../../../src/source/http.ts';
import { createSharedDownloads, downloadsOf, readAheadBytes } from '../../../src/source/parallel/downloads.ts';
import { createSourceTransport } from '../../../src/source/transport.ts';
import { digestOf, generated } from '../../env/content.ts';
import { listen } from '../server.ts';

const kib = 1024;
const tickMs = 64;
const latencyTicks = 2;
const content = generated(72 * kib * kib);
const digest = digestOf(content);

interface Shape {
  /** Bytes that a connection sends in a tick while so many are open. */
  share: (open: number) => number;
  /** Default: `"1"`. */
  etag?: string | undefined;
  /** The response to a request for a part. Default: the part. */
  part?: (number: number) => 'sent' | 'rejected' | 'other file' | 'broken' | 'silent';
  /** The connection after a response, or a request that comes before its end. Default: closed. */
  kept?: 'closed' | 'pipelined' | 'dropped';
}

/** What a connection sends. */
interface Sending {
  to: number;
  at: number;
  /** The tick in which it begins. */
  begin: number;
  response: Response;
}

/** Each response of the server: where it begins, and how many bytes it sent. */
interface Response {
  from: number;
  sent: number;
  isBroken: boolean;
}

/** `isPart`: with an end, as further connections ask. */
function askedFor(head: string): { from: number; to: number; isPart: boolean } {
  const [, begin = '0', end = ''] = /range: bytes=(\d+)-(\d*)/i.exec(head) ?? [];
  return { from: Number(begin), to: end === '' ? content.size : Number(end) + 1, isPart: end !== '' };
}

function headOf({ from, to, etag }: { from: number; to: number; etag: string }): string {
  const range = from === 0 ? [] : [`content-range: bytes ${from}-${to - 1}/${content.size}`];
  const status = from === 0 ? 'HTTP/1.1 200 OK' : 'HTTP/1.1 206 Partial Content';
  const validator = etag === '' ? [] : [`etag: ${etag}`];
  return [status, `content-length: ${to - from}`, ...validator, ...range, '', ''].join('\r\n');
}

async function shaped(t: TestContext, { share, etag = '"1"', part = () => 'sent', kept = 'closed' }: Shape) {
  const responses: Response[] = [];
  const open = new Map<Socket, Sending>();
  const seen = { ticks: 0, mostOpen: 0, connections: 0, dropped: 0 };
  let parts = 0;
  const server = createServer((socket) => {
    // The last bytes of a response do not wait for an acknowledgement, which takes real time.
    socket.setNoDelay(true);
    seen.connections++;
    /** Requests that wait for the end of the response. */
    const waiting: string[] = [];
    waits.set(socket, waiting);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    const take = (head: string) => {
      if (!open.has(socket)) respond(socket, head);
      else if (kept === 'pipelined') waiting.push(head);
      else seen.dropped++;
    };
    // The client sends each head at once.
    if (kept === 'closed') socket.once('data', (head) => respond(socket, head.toString()));
    else
      socket.on('data', (heads) =>
        heads
          .toString()
          .split(/(?<=\r\n\r\n)/)
          .forEach(take),
      );
  });
  const waits = new WeakMap<Socket, string[]>();
  function respond(socket: Socket, head: string): void {
    const { from, to, isPart } = askedFor(head);
    const kind = isPart ? part(++parts) : 'sent';
    const response = { from, sent: 0, isBroken: kind === 'broken' };
    responses.push(response);
    if (kind === 'silent') return;
    if (kind === 'rejected') return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    socket.write(headOf({ from, to, etag: kind === 'other file' ? '"2"' : etag }));
    const last = kind === 'broken' ? from + Math.floor((to - from) / 2) : to;
    open.set(socket, { to: last, at: from, begin: seen.ticks + latencyTicks, response });
    seen.mostOpen = Math.max(seen.mostOpen, open.size);
  }
  function ended(socket: Socket, { response: { isBroken } }: Sending): void {
    open.delete(socket);
    if (kept === 'closed' || isBroken) return void socket.destroySoon();
    const next = waits.get(socket)?.shift();
    if (next !== undefined) respond(socket, next);
  }
  const timers = new Set<{ at: number; callback: () => void }>();
  let isOver = false;
  const tick = () => {
    if (isOver) return;
    seen.ticks++;
    const bytes = Math.floor(share(open.size));
    for (const [socket, state] of open) {
      if (seen.ticks < state.begin || socket.writableNeedDrain) continue;
      const to = Math.min(state.at + bytes, state.to);
      state.response.sent += to - state.at;
      socket.write(content.slice(state.at, to));
      state.at = to;
      if (to < state.to) continue;
      ended(socket, state);
    }
    for (const timer of timers) {
      if (timer.at > seen.ticks * tickMs) continue;
      timers.delete(timer);
      timer.callback();
    }
    setImmediate(tick);
  };
  setImmediate(tick);
  const port = await listen(server);
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  t.after(async () => {
    isOver = true;
    await transport.close();
    server.close();
  });
  const clock: Clock = {
    ...systemClock,
    monotonic: () => seen.ticks * tickMs,
    sleep: async (_ms, signal) => signal?.throwIfAborted(),
    schedule(ms, callback) {
      const timer = { at: seen.ticks * tickMs + ms, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };

  /** Resolves with the digest of what was read. */
  async function download({
    hasDigest = true,
    signal = new AbortController().signal,
    onChunk = () => {},
    readAhead = createMemoryBudget(readAheadBytes),
    by = transport,
  } = {}) {
    const resumes: number[] = [];
    const source = await openHttpSource({
      urls: [`http://127.0.0.1:${port}/image.raw`],
      transport: by,
      clock,
      random: () => 0.5,
      hasDigest,
      downloads: { ...downloadsOf(createSharedDownloads().join(), clock), readAhead },
      limits: { maxBytes: content.size, stallBytes: 1, stallWindowMs: 600_000 },
      signal,
      onResume: (_why, from) => resumes.push(from),
    });
    const hash = createHash('sha256');
    for await (const chunk of source.body) {
      hash.update(chunk);
      giveBack(chunk);
      onChunk();
    }
    assert.equal(hash.digest('hex'), digest);
    return { resumes, source };
  }

  const closed = async () => {
    while (open.size > 0) await new Promise(setImmediate);
  };
  const sent = () => responses.reduce((sum, response) => sum + response.sent, 0);
  return { download, responses, seen, sent, closed, transport };
}

const limited = () => 64 * kib;
const ticksOfOne = content.size / (64 * kib);

test('a source that limits each connection is read by up to 8, and the file is the same', async (t) => {
  const { download, seen, responses } = await shaped(t, { share: limited });
  const { resumes } = await download();
  assert(seen.mostOpen > 4 && seen.mostOpen <= 8, `${seen.mostOpen} connections`);
  assert(seen.ticks < ticksOfOne / 3, `${seen.ticks} ticks, by one connection they are ${ticksOfOne}`);
  assert(responses.length < 300, `${responses.length} requests`);
  assert.deepEqual(resumes, [], 'nothing failed');
});

test('a source that is not limited for each connection gets one more at most, and few bytes twice', async (t) => {
  const { download, seen, sent } = await shaped(t, { share: (open) => (64 * kib) / Math.max(open, 1) });
  await download();
  assert(seen.mostOpen <= 2, `${seen.mostOpen} connections`);
  assert(sent() < content.size * 1.1, `${sent()} bytes were sent`);
});

test('a download has no more connections than there is memory for, and returns it at its end', async (t) => {
  for (const [part, most] of [
    [0, 1],
    [1, 2],
    [2, 2],
    [4, 4],
  ] as const) {
    const { download, seen } = await shaped(t, { share: limited });
    const readAhead = createMemoryBudget((readAheadBytes * part) / 8);
    await download({ readAhead });
    // The first one closes when the others take over.
    assert(seen.mostOpen <= most + 1 && (part > 0 || seen.mostOpen === 1), `${seen.mostOpen} connections for ${part}`);
    assert.equal(readAhead.used, 0);
  }
});

test('a file without a strong validator and without a digest is read by one connection', async (t) => {
  for (const etag of ['', 'W/"1"']) {
    const { download, responses } = await shaped(t, { share: limited, etag });
    await download({ hasDigest: false });
    assert.equal(responses.length, 1);
  }
});

test('a file with a strong validator needs no digest to be read by several connections', async (t) => {
  const { download, seen } = await shaped(t, { share: limited });
  await download({ hasDigest: false });
  assert(seen.mostOpen > 4);
});

for (const kind of ['rejected', 'other file', 'silent'] as const) {
  test(`if the response to the first request for a part is ${kind}, the first connection goes on to the end`, async (t) => {
    const { download, responses } = await shaped(t, { share: limited, part: () => kind });
    const { resumes } = await download();
    // One that does not begin is asked for once more, by another connection.
    assert.equal(responses.length, kind === 'silent' ? 3 : 2);
    assert.deepEqual(resumes, []);
  });
}

test('a download knows when parts of it may be of another file, and when they came from an address of this network', async (t) => {
  const untagged = await shaped(t, { share: limited, etag: '' });
  const assumed = await untagged.download();
  assert(untagged.seen.mostOpen > 1);
  assert.equal(assumed.source.isSpliced, true);
  const tagged = await shaped(t, { share: limited });
  const { transport } = tagged;
  const by: typeof transport = {
    ...transport,
    get: async (url, headers, signal) => ({
      ...(await transport.get(url, headers, signal)),
      isPublic: headers['range'] === undefined,
    }),
  };
  const moved = await tagged.download({ by });
  assert(tagged.seen.mostOpen > 1);
  assert.deepEqual([moved.source.isSpliced, moved.source.isPublic], [false, false]);
});

test('after a part that breaks, or of another file, the rest is read by one connection from the first missing byte on', async (t) => {
  for (const kind of ['broken', 'other file', 'rejected'] as const) {
    const { download, responses, sent } = await shaped(t, {
      share: limited,
      part: (number) => (number === 5 ? kind : 'sent'),
    });
    await download();
    assert.equal(responses.length > 6, true);
    const last = responses.at(-1);
    assert.equal(last?.sent, content.size - (last?.from ?? 0), 'the last response has the rest');
    assert((last?.sent ?? 0) > content.size / 2, 'it is no part');
    assert(sent() < content.size + 40 * kib * kib, `${sent()} bytes were sent`);
  }
});

test('a server that keeps connections open sends all parts by eight of them, and by none twice', async (t) => {
  const { download, seen, responses, sent } = await shaped(t, { share: limited, kept: 'pipelined' });
  await download();
  assert(responses.length > 20);
  // Nine, and more on a machine that is so slow that one is idle for a second.
  assert(seen.connections < responses.length / 3, `${seen.connections} connections were made`);
  assert.equal(sent() < content.size * 1.02, true, `${sent()} bytes were sent`);
});

test('a server that drops requests which come too early gets them again, and others only one by one', async (t) => {
  const { download, seen, responses } = await shaped(t, { share: limited, kept: 'dropped' });
  const { resumes } = await download();
  assert(seen.dropped > 0 && seen.dropped <= 8, `${seen.dropped} requests were dropped`);
  assert(seen.mostOpen > 4, `${seen.mostOpen} connections`);
  assert.deepEqual(resumes, []);
  assert((responses.at(-1)?.sent ?? 0) < content.size / 8, 'the last response is only a part');
});

test('a part whose connection breaks after it has sent another one is read again, and as many connections go on', async (t) => {
  const { download, responses } = await shaped(t, {
    share: limited,
    kept: 'pipelined',
    part: (number) => (number % 10 === 9 && number > 12 ? 'broken' : 'sent'),
  });
  await download();
  assert(responses.filter(({ isBroken }) => isBroken).length > 2, 'connections broke');
  const last = responses.at(-1);
  assert((last?.sent ?? 0) < content.size / 8, 'the last response is only a part');
});

test('an abort while several connections are open ends the download with its reason, and closes all of them', async (t) => {
  const controller = new AbortController();
  const reason = new Error('deleted');
  const { download, seen, closed } = await shaped(t, { share: limited });
  const onChunk = () => {
    if (seen.mostOpen >= 4) controller.abort(reason);
  };
  await assert.rejects(download({ signal: controller.signal, onChunk }), reason);
  await closed();
});

test('a reader that stops while several connections are open closes all of them', async (t) => {
  const { download, seen, closed } = await shaped(t, { share: limited });
  const reason = new Error('enough');
  const onChunk = () => {
    if (seen.mostOpen >= 4) throw reason;
  };
  await assert.rejects(download({ onChunk }), reason);
  await closed();
});

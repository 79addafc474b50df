/**
 * A server whose connections have a latency and a limit, and a reader with a limit of its own, in virtual time: nothing here takes longer
 * or is slower on a slow machine.
 */
import { Readable } from 'node:stream';
import { Assembly } from '../../../src/source/assembly.ts';
import { createSharedDownloads, downloadsOf } from '../../../src/source/parallel/downloads.ts';
import { createWidening } from '../../../src/source/parallel/widening.ts';

const tickMs = 5;

export interface Simulated {
  /** Of the file. */
  bytes: number;
  /** Bytes per second of a connection while so many send. */
  rate: (sending: number) => number;
  /** From a request to its first byte. */
  latencyMs: number;
  /** Of a connection, before its first request. */
  connectMs: number;
  /** The same, of single ones, in the order in which they are opened from 0 on. */
  slowToConnect?: Readonly<Record<number, number>>;
  /** The rate of a new connection grows to its limit for so long. Default: it has it at once. */
  slowStartMs?: number;
  /** Bytes per second that a reader takes. */
  readerRate: number;
  /** Which download the file at once. Default: 1. */
  readers?: number;
  /** Whether a request that is made while another response is sent is served without a pause. Default: true. */
  isPipelined?: boolean;
}

export interface Outcome {
  seconds: number;
  /** Until so many connections send, by their number. */
  secondsTo: ReadonlyMap<number, number>;
  /** Bytes that were sent, also those that were not used. */
  sent: number;
  /** Bytes that have arrived and wait for those before them, at most. */
  mostHeld: number;
  requests: number;
  /** Of the time since the largest number of connections was sending: which part of their limits they used, up to the last stripes. */
  use: number;
}

interface Request {
  dueAt: number;
  left: number;
  push(bytes: number): void;
}

interface Connection {
  readonly openedAt: number;
  readonly requests: Request[];
}

/** Downloads the file. */
export async function simulate(options: Simulated): Promise<Outcome> {
  const { bytes, rate, latencyMs, connectMs, readerRate, slowStartMs = 0, isPipelined = true } = options;
  const { slowToConnect = {}, readers = 1 } = options;
  /** More than a connection sends in a tick. */
  const zeros = Buffer.alloc(4 * 2 ** 20);
  let now = 0;
  let sent = 0;
  let held = 0;
  let requests = 0;
  let opened = 0;
  let mostHeld = 0;
  const secondsTo = new Map<number, number>();
  const connections = new Set<Connection>();
  const sleepers: { at: number; wake: () => void }[] = [];
  let sinceMost = { at: 0, sent: 0, count: 0 };
  let lastFull = sinceMost;

  const until = (at: number) =>
    new Promise<void>((wake) => {
      if (at <= now) wake();
      else sleepers.push({ at, wake });
    });

  /** What a connection sends in a tick. */
  function send({ openedAt, requests: queue }: Connection, limit: number): void {
    const ramp = slowStartMs === 0 ? 1 : Math.min(1, (now - openedAt) / slowStartMs);
    for (let share = (limit * ramp * tickMs) / 1000; share >= 1; ) {
      const [first] = queue;
      if (first === undefined || first.dueAt > now) return;
      const part = Math.floor(Math.min(share, first.left));
      share -= part;
      sent += part;
      first.left -= part;
      first.push(part);
      if (first.left > 0) continue;
      queue.shift();
      const [next] = queue;
      if (next !== undefined && !isPipelined) next.dueAt = now + latencyMs;
    }
  }

  function tick(): void {
    now += tickMs;
    const sending = [...connections].filter(({ requests: [first] }) => first !== undefined && first.dueAt <= now);
    if (!secondsTo.has(sending.length)) secondsTo.set(sending.length, now / 1000);
    if (sending.length > sinceMost.count) sinceMost = { at: now, sent, count: sending.length };
    for (const connection of sending) send(connection, rate(sending.length));
    if (sending.length === sinceMost.count) lastFull = { at: now, sent, count: sending.length };
    for (const sleeper of sleepers.splice(0)) {
      if (sleeper.at <= now) sleeper.wake();
      else sleepers.push(sleeper);
    }
  }

  function connect(signal: AbortSignal) {
    const connection: Connection = { openedAt: now + (slowToConnect[opened++] ?? connectMs), requests: [] };
    connections.add(connection);
    const close = () => void connections.delete(connection);
    signal.addEventListener('abort', close);
    async function* read(from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
      requests++;
      const arrived: number[] = [];
      let wake = () => {};
      const push = (part: number) => {
        arrived.push(part);
        wake();
      };
      connection.requests.push({ dueAt: Math.max(now, connection.openedAt) + latencyMs, left: to - from, push });
      for (let left = to - from; left > 0; ) {
        while (arrived.length === 0) {
          const { promise, resolve } = Promise.withResolvers<void>();
          wake = resolve;
          await promise;
          signal.throwIfAborted();
        }
        for (const part of arrived.splice(0)) {
          left -= part;
          yield zeros.subarray(0, part);
        }
      }
    }
    return { read, close };
  }

  const { signal } = new AbortController();
  const url = new URL('http://server.example/image.raw');
  const validators = { server: url.origin, url: url.href, etag: '"1"', lastModified: undefined };
  const received = {
    url,
    validators,
    size: bytes,
    endIsCertain: true,
    isPublic: true,
    isNamed: true,
    start: 0,
    end: bytes,
  };
  const clock = { monotonic: () => now };
  const downloads = downloadsOf(createSharedDownloads().join(), clock);

  async function* file(): AsyncGenerator<Uint8Array, void, undefined> {
    const limits = { maxBytes: bytes, stallBytes: 1, stallWindowMs: 60_000 };
    const assembly = new Assembly({ limits, hasDigest: true });
    const widening = createWidening({
      ...{ assembly, clock, downloads, signal },
      hasDigest: true,
      hasParts: () => true,
      createChannels({ signal: closed }) {
        const over = new AbortController();
        return {
          open() {
            const { read } = connect(AbortSignal.any([closed, over.signal]));
            return {
              async *read(from, to) {
                for await (const chunk of read(from, to)) {
                  held += chunk.length;
                  mostHeld = Math.max(mostHeld, held);
                  yield chunk;
                }
              },
            };
          },
          close: () => over.abort(),
        };
      },
    });
    try {
      for (;;) {
        const one = connect(signal);
        if (assembly.delivered === 0) assembly.use(0, { ...received, body: Readable.from([]) }, []);
        const goesOn = yield* widening.first(one.read(assembly.delivered, bytes));
        one.close();
        if (!goesOn) return;
        for await (const chunk of widening.further()) {
          held -= chunk.length;
          yield chunk;
        }
        if (assembly.delivered === bytes) return;
      }
    } finally {
      widening.end();
    }
  }

  async function readAll(): Promise<void> {
    let busyUntil = 0;
    for await (const chunk of file()) {
      busyUntil = Math.max(busyUntil, now - tickMs) + (chunk.length / readerRate) * 1000;
      if (busyUntil > now) await until(busyUntil);
    }
  }

  let isOver = false;
  const reading = Promise.all(Array.from({ length: readers }, readAll)).finally(() => {
    isOver = true;
  });
  const failure = reading.catch(() => {});
  while (!isOver) {
    tick();
    await new Promise(setImmediate);
  }
  await failure;
  await reading;
  const full = lastFull.at - sinceMost.at;
  const use = (lastFull.sent - sinceMost.sent) / ((rate(sinceMost.count) * sinceMost.count) / 1000) / full;
  return { seconds: now / 1000, secondsTo, sent, mostHeld, requests, use };
}

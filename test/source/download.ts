/**
 * A whole download from servers of test/env/source.ts, in time that the test owns: pauses pass at once, and deadlines pass when a
 * server has fallen silent and all that it sent has been read. So every fault strikes at its byte, and no test waits.
 */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type HttpSourceOptions, openHttpSource } from '../../src/source/http.ts';
import type { Source, SourceLimits } from '../../src/source/source.ts';
import { createSourceTransport, type SourceTransport } from '../../src/source/transport.ts';
import { createVirtualClock, type VirtualClock } from '../clock.ts';
import type { Source as Server, SourceRequest } from '../env/source.ts';

export const limits: SourceLimits = { maxBytes: 10_000_000, stallBytes: 1000, stallWindowMs: 60_000 };

/** Servers on loopback count as public, unless `nearby` leaves them what they are. */
export function loopback(nearby = false): SourceTransport {
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.0/8', '::1'], deny: [] }));
  if (nearby) return transport;
  return { ...transport, get: async (...request) => ({ ...(await transport.get(...request)), isPublic: true }) };
}

export interface DownloadOptions {
  servers: readonly Server[];
  transport: SourceTransport;
  hasDigest?: boolean;
  headers?: HttpSourceOptions['headers'];
  limits?: Partial<SourceLimits>;
  signal?: AbortSignal;
  /** Called for each chunk, with the number of bytes read so far. */
  onBytes?: (bytes: number) => void;
}

export interface Download {
  bytes: Buffer;
  /** Undefined when the body came to a regular end. */
  error: unknown;
  /** Undefined when it could not be opened. */
  source: Source | undefined;
  resumes: { code: string; from: number }[];
  /** Milliseconds that it wanted to wait. */
  pauses: number[];
  clock: VirtualClock;
}

export async function download(urls: readonly [string, ...string[]], options: DownloadOptions): Promise<Download> {
  const { servers, transport, hasDigest = false, headers = {}, onBytes } = options;
  const signal = options.signal ?? new AbortController().signal;
  const clock = createVirtualClock();
  const earlier = servers.map((server) => server.requests.length);
  const ours = () => servers.flatMap((server, index) => server.requests.slice(earlier[index]));
  /** Requests whose idle timeout was waited for. */
  const passed = new Set<SourceRequest>();
  const chunks: Uint8Array[] = [];
  const result: Download = {
    bytes: Buffer.alloc(0),
    error: undefined,
    source: undefined,
    resumes: [],
    pauses: [],
    clock,
  };
  let bytes = 0;
  let done = false;
  const work = async () => {
    result.source = await openHttpSource({
      urls,
      headers,
      transport,
      clock: {
        ...clock,
        sleep: async (ms, signal) => {
          signal?.throwIfAborted();
          result.pauses.push(ms);
        },
      },
      random: () => 0.5,
      limits: { ...limits, ...options.limits },
      hasDigest,
      signal,
      onResume: ({ code }, from) => result.resumes.push({ code, from }),
    });
    for await (const chunk of result.source.body) {
      chunks.push(chunk);
      bytes += chunk.length;
      onBytes?.(bytes);
    }
  };
  const worked = work()
    .catch((error: unknown) => {
      result.error = error;
    })
    .finally(() => {
      done = true;
    });
  while (!done) {
    await nextTurn();
    for (const request of ours()) {
      if (!request.stalled || passed.has(request) || bytes < placeOf(request)) continue;
      passed.add(request);
      const before = result.pauses.length;
      // What came in a window spares the source for that one; the next is empty.
      for (let window = 0; window < 2 && result.pauses.length === before && !done; window++) {
        await clock.advance(limits.stallWindowMs);
        for (let turn = 0; turn < 5; turn++) await nextTurn();
      }
    }
  }
  await worked;
  assert.equal(clock.pending, 0, 'a timer is left behind');
  assert.equal(getEventListeners(signal, 'abort').length, 0, 'a listener is left behind');
  result.bytes = Buffer.concat(chunks);
  return result;
}

/** The byte of the file up to which a response was sent. */
function placeOf({ status, range, sent }: SourceRequest): number {
  const start = status === 206 ? Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0) : 0;
  return start + sent;
}

/** Asserts that it brought exactly `expected`, or throws what it failed with. */
export function assertWhole({ bytes, error }: Download, expected: Uint8Array): void {
  if (error !== undefined) throw error;
  assert.ok(bytes.equals(expected), `${bytes.length} bytes that are not the ${expected.length} of the file`);
}

/** Asserts the code and message of the failure, and that the bytes before it are the beginning of the file. */
export function assertFailed({ bytes, error }: Download, code: string, message: RegExp, file?: Uint8Array): void {
  assert.ok(error instanceof OperatorError, `it did not fail with an error of ours, but with ${error}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  if (file !== undefined)
    assert.ok(bytes.equals(file.subarray(0, bytes.length)), 'the bytes are not those of the file');
}

/** Resolves when all connections to the servers are closed. */
export async function assertHungUp(servers: readonly Server[]): Promise<void> {
  for (let turn = 0; turn < 100_000; turn++) {
    const counts = await Promise.all(servers.map((server) => server.connections()));
    if (counts.every((count) => count === 0)) return;
    await nextTurn();
  }
  assert.fail('a connection was left open');
}

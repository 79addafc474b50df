/**
 * What the downloads of a process share, in all of its threads: the memory of what further connections are ahead, the number of bytes
 * that arrive, and the turn to try a second connection, because each of two trials at once would measure what it takes from the other.
 *
 * Guarantees: all downloads together are ahead by no more than `readAheadBytes`; the memory of a thread that has ended is free again; a
 * trial begins after the one before, and after a pause if that brought nothing. A trial without an end holds up the next one only for the
 * time that it may take.
 */
import type { Clock } from '../../lib/clock.ts';
import type { MemoryBudget } from '../../lib/memory-budget.ts';
import { type Counts, mostConnections } from './width.ts';

/** Memory of one connection for what it is ahead of the reader. It has a stripe, and the next one is requested already. */
export const shareBytes = 4 * 2 ** 20;
/** 8 connections of one download, or fewer of several. */
export const readAheadBytes = mostConnections * shareBytes;

export interface AllDownloads {
  /** The memory of what further connections are ahead. */
  readonly readAhead: Pick<MemoryBudget, 'spare'>;
  /** Of all downloads, so far. */
  counts(): Counts;
  /** Bytes have arrived in one of them. */
  arrived(bytes: number): void;
  /** One of them has ended, or gives up connections. */
  cut(): void;
  /** How many processors of the machine had nothing to do lately; infinite if that is unknown. It may be a fraction. */
  idleProcessors(): number;
  /** Undefined while another download tries a second connection, or has tried it lately in vain. */
  beginTrial(): Trial | undefined;
}

export interface Trial {
  end(hasGain: boolean): void;
}

/** A trial that takes longer is held to have no end. */
const longestTrialMs = 5000;
/** If one download gains nothing, the limit is often one that all of them have. */
const pauseMs = 5000;
/** The processors are looked at so often, because that takes about a millisecond where there are many of them. */
const lookMs = 200;
/** More of them share no memory, and so have one connection for each download. */
const mostThreads = 32;

const places = { bytes: 0, cuts: 1, nextTrial: 2, held: 3 } as const;

/** What a thread gets: the memory, and its own place in it. */
export interface DownloadsOfThread {
  readonly memory: SharedArrayBuffer;
  readonly thread: number;
}

/** In the main thread, which starts the others. */
export interface SharedDownloads {
  join(): DownloadsOfThread;
  /** The thread has ended. */
  leave(thread: number): void;
}

export function createSharedDownloads(): SharedDownloads {
  const memory = new SharedArrayBuffer((places.held + mostThreads) * BigInt64Array.BYTES_PER_ELEMENT);
  const words = new BigInt64Array(memory);
  const threads = new Set<number>();
  return {
    join() {
      let thread = 0;
      while (threads.has(thread)) thread++;
      threads.add(thread);
      return { memory, thread };
    },
    leave(thread) {
      threads.delete(thread);
      if (thread < mostThreads) Atomics.store(words, places.held + thread, 0n);
    },
  };
}

/** Of all processors together, since the start of the machine. Some sandboxes count nothing. */
export interface ProcessorTimes {
  idleMs: number;
  busyMs: number;
}

/** How many processors were idle between the last two looks. */
function idleProcessors(clock: Pick<Clock, 'monotonic'>, timesOf: () => ProcessorTimes): () => number {
  let seen = { at: clock.monotonic(), ...timesOf() };
  let idle = Number.POSITIVE_INFINITY;
  return () => {
    const at = clock.monotonic();
    if (at - seen.at < lookMs) return idle;
    const now = { at, ...timesOf() };
    const isCounted = now.idleMs + now.busyMs > seen.idleMs + seen.busyMs;
    idle = isCounted ? (now.idleMs - seen.idleMs) / (at - seen.at) : Number.POSITIVE_INFINITY;
    seen = now;
    return idle;
  };
}

/** The same downloads, as they are seen from a thread. `timesOf`: of the processors; undefined: unknown. */
export function downloadsOf(
  { memory, thread }: DownloadsOfThread,
  clock: Pick<Clock, 'monotonic'>,
  timesOf?: () => ProcessorTimes,
): AllDownloads {
  const words = new BigInt64Array(memory);
  const held = places.held + thread;
  const now = () => BigInt(Math.floor(clock.monotonic()));

  function spare(bytes: number): Disposable | undefined {
    if (thread >= mostThreads) return undefined;
    Atomics.add(words, held, BigInt(bytes));
    let all = 0n;
    for (let place = places.held; place < words.length; place++) all += Atomics.load(words, place);
    let isHeld = true;
    const lease = {
      [Symbol.dispose]() {
        if (isHeld) Atomics.sub(words, held, BigInt(bytes));
        isHeld = false;
      },
    };
    if (all <= readAheadBytes) return lease;
    lease[Symbol.dispose]();
    return undefined;
  }

  return {
    readAhead: { spare },
    counts: () => ({
      bytes: Number(Atomics.load(words, places.bytes)),
      cuts: Number(Atomics.load(words, places.cuts)),
    }),
    idleProcessors: timesOf === undefined ? () => Number.POSITIVE_INFINITY : idleProcessors(clock, timesOf),
    cut: () => void Atomics.add(words, places.cuts, 1n),
    arrived: (bytes) => void Atomics.add(words, places.bytes, BigInt(bytes)),
    beginTrial() {
      const at = now();
      const next = Atomics.load(words, places.nextTrial);
      if (at < next) return undefined;
      const until = at + BigInt(longestTrialMs);
      if (Atomics.compareExchange(words, places.nextTrial, next, until) !== next) return undefined;
      return {
        // If it took too long, another one has the turn by now.
        end: (hasGain) =>
          void Atomics.compareExchange(words, places.nextTrial, until, hasGain ? 0n : now() + BigInt(pauseMs)),
      };
    },
  };
}

/**
 * Time, as a value that is passed in.
 *
 * Invariant: only this module touches the process's clock and timers, so a test controls time completely, and every
 * wait can be cancelled.
 */
import { setTimeout as nodeSleep } from 'node:timers/promises';

export interface Clock {
  /** Wall-clock time, for what is shown to people and compared with servers. */
  now(): Date;
  /** Milliseconds that never go backwards, for durations and deadlines; the same in every thread of the process. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds, or rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms` milliseconds. Returns the cancellation. The timer does not keep the process alive. */
  schedule(ms: number, callback: () => void): () => void;
}

/** Node takes larger delays for 1 ms. */
const longestDelayMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  monotonic() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  },
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    try {
      await nodeSleep(Math.min(Math.max(ms, 0), longestDelayMs), undefined, signal ? { signal } : {});
    } catch (error) {
      // Node rejects with an AbortError of its own; the caller wants the reason that was given.
      signal?.throwIfAborted();
      throw error;
    }
  },
  schedule(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), longestDelayMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Calls back when the event loop has handled all that the system had ready. It is not injected, because it waits for no time. */
export function afterTurn(callback: () => void): void {
  setImmediate(callback);
}

/** A number in [0, 1). Injected wherever jitter is wanted. */
export type Random = () => number;

/** `ms` spread by ± `fraction`, so that many waiters do not wake together. */
export function jitter(ms: number, fraction: number, random: Random): number {
  return ms * (1 + fraction * (2 * random() - 1));
}

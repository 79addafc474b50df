/**
 * The time in which a service makes calls.
 *
 * Guarantees: its end aborts all calls at once; work that has to leave a cloud as it found it still does so, and the end waits for
 * it, but not for long.
 */
import { abortable, delayed, type LinkedAbort, withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';

export interface Lifetime {
  /** Aborts at the end. */
  readonly signal: AbortSignal;
  /** The end waits until `work` has settled. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** A signal for such work: it aborts ten seconds after `signal`. */
  graceAfter(signal: AbortSignal): LinkedAbort;
  /** Aborts the signal with `reason`, and returns when the work is over. Never rejects. */
  end(reason: Error): Promise<void>;
}

/** A lookup and a deletion. A program that ends must not wait long for a cloud that does not respond. */
const waitMs = 10_000;

export function createLifetime(clock: Clock): Lifetime {
  const over = new AbortController();
  const running = new Set<Promise<unknown>>();
  return {
    signal: over.signal,
    async during(work) {
      over.signal.throwIfAborted();
      const result = work();
      running.add(result);
      try {
        return await result;
      } finally {
        running.delete(result);
      }
    },
    graceAfter: (signal) => delayed(clock, signal, waitMs),
    async end(reason) {
      over.abort(reason);
      const settled = Promise.allSettled(running);
      const wait = (signal: AbortSignal) => abortable(settled, signal);
      // At the deadline the connections are closed, which ends the work.
      await withDeadline(clock, 'the end of the calls', waitMs, undefined, wait).catch(() => undefined);
    },
  };
}

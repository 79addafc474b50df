/** Time that a test owns: it stands still until `advance`, and then all that is due happens in order. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../src/lib/clock.ts';

export interface VirtualClock extends Clock {
  /** Advances time. Each timer runs at its own time, and work that it starts runs before the next timer. */
  advance(ms: number): Promise<void>;
  /** Sets the time of day, as a correction of a real clock does. Nothing is due because of it. */
  jump(ms: number): void;
  /** Timers and sleeps that wait. */
  readonly pending: number;
}

export function createVirtualClock(start = '2026-01-01T00:00:00.000Z'): VirtualClock {
  const startMs = Date.parse(start);
  const timers = new Set<{ at: number; fire: () => void }>();
  let elapsed = 0;
  let jumped = 0;

  function schedule(ms: number, fire: () => void): () => void {
    // As real timers do, it runs in the context in which it was set.
    const timer = { at: elapsed + Math.max(ms, 0), fire: AsyncLocalStorage.bind(fire) };
    timers.add(timer);
    return () => timers.delete(timer);
  }

  /** The earliest timer that is due by `at`; of two at the same time the one set first. */
  function due(at: number) {
    let first: { at: number; fire: () => void } | undefined;
    for (const timer of timers) if (timer.at <= at && (!first || timer.at < first.at)) first = timer;
    return first;
  }

  return {
    now: () => new Date(startMs + jumped + elapsed),
    jump(ms) {
      jumped += ms;
    },
    monotonic: () => elapsed,
    schedule,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = () => {
          cancel();
          reject(signal?.reason);
        };
        const cancel = schedule(ms, () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    },
    async advance(ms) {
      const target = elapsed + ms;
      await nextTurn();
      for (let timer = due(target); timer; timer = due(target)) {
        timers.delete(timer);
        elapsed = timer.at;
        timer.fire();
        await nextTurn();
      }
      elapsed = target;
      await nextTurn();
    },
    get pending() {
      return timers.size;
    },
  };
}

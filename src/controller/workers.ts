/**
 * The workers: take a key, reconcile it, act on the outcome, give the key back.
 *
 * Guarantees: a reconcile that throws, or is too slow, costs nobody but its own key, which is tried again. A worker gives
 * up a key only when its reconcile has really ended; one that ignores its signal keeps the key, and liveness sees it.
 */
import { DeadlineExceeded, withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, unreachable } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Key, Outcome } from '../lib/outcome.ts';
import type { Attempt, Backoff } from './backoff.ts';
import type { Queue } from './queue.ts';

/**
 * Brings the world nearer to what the object of this key wants. The key says only where to look; what to do is found by
 * looking. `signal` aborts at the deadline and when the process must not act any more. `attempt` is for telling users.
 */
export type Reconcile = (key: Key, signal: AbortSignal, attempt: Attempt) => Promise<Outcome>;

/** `panic` is a bug of ours (a TypeError and the like); it counts as `error`, too. */
export interface WorkersObserver {
  started(): void;
  ended(result: 'success' | 'error' | 'requeue_after', durationMs: number): void;
  timedOut(): void;
  panicked(): void;
}

export interface WorkersOptions {
  count: number;
  queue: Queue;
  backoff: Backoff;
  reconcile: Reconcile;
  clock: Clock;
  log: Logger;
  observer?: WorkersObserver;
  /** Of one reconcile; two minutes unless stated. What takes longer is not a reconcile. */
  deadlineMs?: number;
}

export interface Workers {
  /** Takes keys until `stop`, then finishes what is held. `halt` cancels that, too. */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

export function createWorkers(options: WorkersOptions): Workers {
  const { queue, backoff, reconcile, clock, log, observer, deadlineMs = 120_000 } = options;

  async function work(key: Key, halt: AbortSignal): Promise<Outcome> {
    const startedAt = clock.monotonic();
    observer?.started();
    let outcome: Outcome;
    try {
      outcome = await withDeadline(clock, `the reconcile of ${key}`, deadlineMs, halt, (signal) =>
        reconcile(key, signal, backoff.attempt(key)),
      );
    } catch (error) {
      if (error instanceof DeadlineExceeded && !halt.aborted) observer?.timedOut();
      if (isBug(error)) observer?.panicked();
      if (!halt.aborted) log.error({ key, error }, 'A reconcile failed unexpectedly');
      outcome = { kind: 'retry', reason: describe(error) };
    }
    const result = { done: 'success', recheck: 'requeue_after', retry: 'error' } as const;
    observer?.ended(result[outcome.kind], clock.monotonic() - startedAt);
    return outcome;
  }

  function settle(key: Key, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'done':
        backoff.forget(key);
        break;
      case 'recheck':
        backoff.forget(key);
        queue.addAfter(key, outcome.afterMs);
        break;
      case 'retry': {
        const delayMs = Math.max(backoff.fail(key), outcome.floorMs ?? 0);
        log.debug({ key, reason: outcome.reason, delayMs }, 'Will be tried again');
        queue.addAfter(key, delayMs);
        break;
      }
      default:
        unreachable(outcome);
    }
  }

  async function runOne(stop: AbortSignal, halt: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      let key: Key;
      try {
        key = await queue.take(stop);
      } catch {
        return;
      }
      settle(key, await work(key, halt));
      queue.done(key);
    }
  }

  return {
    async run(stop, halt) {
      await Promise.all(Array.from({ length: options.count }, () => runOne(stop, halt)));
    },
  };
}

function isBug(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
}

/**
 * Workers: each takes a key, reconciles it, handles the outcome and returns the key.
 *
 * Guarantees: a reconcile that throws or is too slow affects only its own key, which is retried. A worker returns a key only when
 * its reconcile has ended; a reconcile that ignores its signal keeps the key, and fails liveness. Log lines and requests of a
 * reconcile have its id.
 */
import { randomUUID } from 'node:crypto';
import { DeadlineExceeded, withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { withContext } from '../lib/context.ts';
import { unreachable } from '../lib/errors.ts';
import { type Key, partsOf } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import type { Backoff } from './backoff.ts';
import type { Outcome } from './outcome.ts';
import type { Queue } from './queue.ts';

/**
 * Brings the object of this key, and its image or whatever else it declares, closer to its desired state. `signal` aborts at the
 * deadline with DeadlineExceeded, and `grace` a while later, so that a reconcile that is too slow can still report that. Both
 * abort when the process must not write any more.
 */
export type Reconcile = (key: Key, signal: AbortSignal, grace: AbortSignal) => Promise<Outcome>;

/** For two or three calls to the API server. */
const graceMs = 30_000;

/** A panic is an exception that only a bug causes, such as a TypeError. It also counts as an error. */
export interface WorkersObserver {
  started(): void;
  ended(result: 'success' | 'error' | 'requeue' | 'requeue_after', durationMs: number): void;
  timedOut(): void;
  panicked(): void;
}

export interface WorkersOptions {
  /** Name for log lines. */
  controller: string;
  count: number;
  queue: Queue;
  backoff: Backoff;
  reconcile: Reconcile;
  clock: Clock;
  log: Logger;
  observer?: WorkersObserver;
  /** Limit for one reconcile. Default: two minutes. Longer work must run outside of a reconcile. */
  deadlineMs?: number;
}

export interface Workers {
  /** Takes keys until `stop`, then finishes those in work. `halt` cancels them. */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
  /** Time since a worker last took a key, in ms; undefined while they do not run, as in a standby. */
  idleMs(): number | undefined;
}

const results = { awaitChange: 'success', requeue: 'requeue', requeueAfter: 'requeue_after', failed: 'error' } as const;

export function createWorkers(options: WorkersOptions): Workers {
  const { queue, backoff, reconcile, clock, log, observer, deadlineMs = 120_000 } = options;
  let lastTookAt: number | undefined;

  /** Returns undefined if it failed. */
  async function work(key: Key, halt: AbortSignal): Promise<Outcome | undefined> {
    const startedAt = clock.monotonic();
    observer?.started();
    let outcome: Outcome | undefined;
    try {
      outcome = await withGrace(key, halt);
    } catch (error) {
      if (isBug(error)) observer?.panicked();
      if (!halt.aborted && !(error instanceof DeadlineExceeded))
        log.error({ error }, 'A reconcile failed unexpectedly');
    }
    const durationMs = clock.monotonic() - startedAt;
    const result = results[outcome?.kind ?? 'failed'];
    observer?.ended(result, durationMs);
    log.debug({ result, durationMs: Math.round(durationMs), outcome }, 'Reconciled');
    return outcome;
  }

  /** A reconcile is counted at its deadline, because it may never end. */
  function withGrace(key: Key, halt: AbortSignal): Promise<Outcome> {
    const what = `the reconcile of ${key}`;
    const onAbort = (reason: unknown) => {
      if (!(reason instanceof DeadlineExceeded) || halt.aborted) return;
      observer?.timedOut();
      log.error({ error: reason }, 'A reconcile exceeded its deadline');
    };
    return withDeadline(clock, what, deadlineMs + graceMs, halt, (grace) =>
      withDeadline(clock, what, deadlineMs, grace, (signal) => {
        signal.addEventListener('abort', () => onAbort(signal.reason), { once: true });
        return reconcile(key, signal, grace);
      }),
    );
  }

  function settle(key: Key, outcome: Outcome | undefined): void {
    switch (outcome?.kind) {
      case undefined: {
        const delayMs = backoff.fail(key);
        log.debug({ delayMs }, 'Reconcile will be retried');
        queue.addAfter(key, delayMs);
        break;
      }
      case 'awaitChange':
        backoff.forget(key);
        break;
      case 'requeue':
        // Fresh, so that a new object does not wait behind all periodic checks.
        queue.add(key);
        break;
      case 'requeueAfter':
        backoff.forget(key);
        queue.addAfter(key, outcome.afterMs);
        break;
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
      lastTookAt = clock.monotonic();
      const id = randomUUID();
      const context = { id, fields: { controller: options.controller, reconcileID: id, ...partsOf(key) } };
      await withContext(context, async () => settle(key, await work(key, halt)));
      queue.done(key);
    }
  }

  return {
    async run(stop, halt) {
      lastTookAt = clock.monotonic();
      try {
        await Promise.all(Array.from({ length: options.count }, () => runOne(stop, halt)));
      } finally {
        lastTookAt = undefined;
      }
    },
    idleMs: () => (lastTookAt === undefined ? undefined : clock.monotonic() - lastTookAt),
  };
}

function isBug(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
}

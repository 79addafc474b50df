/**
 * The workers: take a key, reconcile it, act on the outcome, give the key back.
 *
 * Guarantees: a reconcile that throws, or is too slow, costs nobody but its own key, which is tried again. A worker gives
 * up a key only when its reconcile has really ended; one that ignores its signal keeps the key, and liveness sees it. Whatever
 * a reconcile logs or asks of a server can be found by its id.
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
 * Brings the world nearer to what the object of this key wants. The key says only where to look; what to do is found by
 * looking. `signal` aborts at the deadline, with DeadlineExceeded; `grace` a while after that, so that one that is late can
 * still write down that it is. Both abort when the process must not act any more.
 */
export type Reconcile = (key: Key, signal: AbortSignal, grace: AbortSignal) => Promise<Outcome>;

/** For two or three calls to the API server. */
const graceMs = 30_000;

/** `panic` is a bug of ours (a TypeError and the like); it counts as `error`, too. */
export interface WorkersObserver {
  started(): void;
  ended(result: 'success' | 'error' | 'requeue' | 'requeue_after', durationMs: number): void;
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
  /** For how long none of them has taken a key, in ms; undefined while they do not run, as in a standby. */
  idleMs(): number | undefined;
}

const results = { done: 'success', again: 'requeue', recheck: 'requeue_after', failed: 'error' } as const;

export function createWorkers(options: WorkersOptions): Workers {
  const { queue, backoff, reconcile, clock, log, observer, deadlineMs = 120_000 } = options;
  let lastTookAt: number | undefined;

  /** Undefined when it failed. */
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

  /** It is counted at its deadline already, for it may never end. */
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
      case 'done':
        backoff.forget(key);
        break;
      case 'again':
        // As fresh: a new resource must not stand behind all those that are only compared.
        queue.add(key);
        break;
      case 'recheck':
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
      const context = { id, fields: { reconcileID: id, ...partsOf(key) } };
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

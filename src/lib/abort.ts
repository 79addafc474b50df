/**
 * Cancellation. Law: one AbortSignal goes through everything that waits, and an abort is never mistaken for a failure of
 * the thing that was being done.
 */
import type { Clock } from './clock.ts';

/** Thrown when a deadline of ours passed. `what` names the thing that was too slow. */
export class DeadlineExceeded extends Error {
  readonly code = 'DeadlineExceeded';
  constructor(what: string, ms: number) {
    super(`${what} took longer than ${Number((ms / 1000).toPrecision(3))} s`);
    this.name = 'DeadlineExceeded';
  }
}

/**
 * Runs `work` under a deadline of `ms` milliseconds beside the caller's own signal. The work's signal aborts with
 * DeadlineExceeded when the time is up; its timer is gone as soon as the work settles.
 */
export async function withDeadline<T>(
  clock: Clock,
  what: string,
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const cancelTimer = clock.schedule(ms, () => controller.abort(new DeadlineExceeded(what, ms)));
  const forward = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', forward, { once: true });
  try {
    return await work(controller.signal);
  } catch (error) {
    // Libraries reject with errors of their own when aborted; the reason that we gave says more.
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    cancelTimer();
    signal?.removeEventListener('abort', forward);
  }
}

/** Resolves when the signal aborts; never rejects. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/**
 * Waiting for something that has no signal of its own: the wait ends at once when the signal aborts, what was waited for goes
 * on undisturbed, and no listener stays behind on a long-lived signal.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * Cancellation. Invariant: one AbortSignal governs everything that waits, an abort is never mistaken for a failure of the
 * work itself, and no listener stays on a long-lived signal after the work is over.
 */
import type { Clock } from './clock.ts';

/** Thrown when a deadline of ours has passed. `what` names the operation that was too slow. */
export class DeadlineExceeded extends Error {
  readonly code = 'DeadlineExceeded';
  constructor(what: string, ms: number) {
    super(`${what} took longer than ${Number((ms / 1000).toPrecision(3))} s`);
    this.name = 'DeadlineExceeded';
  }
}

/** A signal that this program can abort and that also follows parent signals, until it is disposed. */
export interface LinkedAbort extends Disposable {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/** Aborts with the reason of the first parent that aborts, as soon as it does. Disposing it ends the links and aborts nothing. */
export function linked(...parents: (AbortSignal | undefined)[]): LinkedAbort {
  const controller = new AbortController();
  const links = parents.flatMap((parent) => (parent === undefined ? [] : [linkTo(parent, controller)]));
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      for (const unlink of links) unlink();
    },
  };
}

function linkTo(parent: AbortSignal, controller: AbortController): () => void {
  const forward = () => controller.abort(parent.reason);
  if (parent.aborted) forward();
  parent.addEventListener('abort', forward, { once: true });
  return () => parent.removeEventListener('abort', forward);
}

/** Aborts `ms` milliseconds after the parent, with its reason. Disposing it ends the link and the wait, and aborts nothing. */
export function delayed(clock: Clock, parent: AbortSignal, ms: number): LinkedAbort {
  const { signal, abort } = linked(undefined);
  let cancelTimer = () => {};
  const begin = () => {
    cancelTimer = clock.schedule(ms, () => abort(parent.reason));
  };
  if (parent.aborted) begin();
  else parent.addEventListener('abort', begin, { once: true });
  return {
    signal,
    abort,
    [Symbol.dispose]() {
      parent.removeEventListener('abort', begin);
      cancelTimer();
    },
  };
}

/** A signal that never aborts, for calls without a caller who could cancel them. */
export function neverAborted(): AbortSignal {
  return new AbortController().signal;
}

/**
 * Runs `work` under a deadline of `ms` milliseconds and the caller's own signal. The signal that the work gets aborts with
 * DeadlineExceeded when the time is up. The timer is removed as soon as the work settles. `due`: the time begins with its end.
 */
export async function withDeadline<T>(
  clock: Clock,
  what: string,
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  due?: Promise<void>,
): Promise<T> {
  signal?.throwIfAborted();
  using over = linked(signal);
  let isOver = false;
  const begin = () => (isOver ? () => {} : clock.schedule(ms, () => over.abort(new DeadlineExceeded(what, ms))));
  let cancelTimer = due === undefined ? begin() : () => {};
  void due?.then(() => {
    cancelTimer = begin();
  });
  try {
    return await work(over.signal);
  } catch (error) {
    // Libraries reject with errors of their own when aborted; the reason of the abort is more useful.
    over.signal.throwIfAborted();
    throw error;
  } finally {
    isOver = true;
    cancelTimer();
  }
}

/** Resolves when the signal aborts; never rejects. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/**
 * Waits for a promise that cannot be cancelled. The wait ends as soon as the signal aborts; the work behind the promise
 * continues, and no listener stays on the signal.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    // First, so that a rejection of the promise is handled even if the signal cannot be used.
    const settled = promise.then(resolve, reject);
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void settled.then(() => signal.removeEventListener('abort', onAbort));
  });
}

/** `call`, whose results are waited for as by `abortable`, one at a time. One listener serves all calls, until it is disposed of. */
export function abortableCalls<T>(
  call: () => Promise<T>,
  signal: AbortSignal,
): { call: () => Promise<T> } & Disposable {
  let reject: ((reason: unknown) => void) | undefined;
  const onAbort = () => reject?.(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    call: () =>
      new Promise<T>((resolve, fail) => {
        reject = fail;
        if (signal.aborted) fail(signal.reason);
        else call().then(resolve, fail);
      }),
    [Symbol.dispose]: () => signal.removeEventListener('abort', onAbort),
  };
}

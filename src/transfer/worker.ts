/**
 * The executor of the operator: one worker thread for all transfers, since a thread for each costs memory and is no faster.
 * Laws: a thread that dies (an uncaught error, its heap used up, silence) fails the transfers that it had with a named,
 * retryable error, and the next run gets a fresh one; the process lives on.
 */
import { Worker } from 'node:worker_threads';
import type { EgressRules } from '../http/egress.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError, retry } from '../lib/errors.ts';
import { type ExecuteOptions, type Executor, ExecutorClosed, type TransferAccess } from './executor.ts';
import type { FromThread, ThreadData, ToThread } from './messages.ts';
import { fromPlainError } from './plain-error.ts';
import type { TransferPlan, TransferResult } from './plan.ts';

export interface WorkerExecutorOptions {
  /** For sources and clouds alike. */
  egress: EgressRules;
  /** The memory of a fence that the thread's writes heed (`http/fence.ts`). Default: none. */
  fence?: SharedArrayBuffer | undefined;
  clock: Clock;
  /** Where the thread's program is; in the bundle it lies beside the command. */
  entry?: URL;
  /** Of the thread's JavaScript objects; the bytes that it moves are not counted. Default 256. */
  heapMiB?: number;
}

const ownThread = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './transfer-thread.js', import.meta.url);
/**
 * Where short-lived objects are made. Small on purpose: every byte passes through a buffer of its own, and buffers that die
 * here cost next to nothing, while those of a larger space outlive it and make V8 collect its whole heap for their sake,
 * which took a third of the processor time.
 */
const youngHeapMiB = 2;
/**
 * A thread that runs transfers is asked so often whether it is there, and given up when so many questions had no answer. They
 * are counted, not timed, because a process that was suspended has heard nothing for long either.
 */
const pingMs = 10_000;
const mostUnanswered = 3;
/** For a cancelled run to settle, and for a thread to close what it has open. */
const graceMs = 10_000;

interface Run {
  options: ExecuteOptions;
  resolve: (result: TransferResult) => void;
  reject: (error: unknown) => void;
}

interface Thread {
  run(plan: TransferPlan, access: TransferAccess, options: ExecuteOptions): Promise<TransferResult>;
  close(): Promise<void>;
}

export function createWorkerExecutor(options: WorkerExecutorOptions): Executor {
  let thread: Thread | undefined;
  let closed = false;

  function current(): Thread {
    const started =
      thread ??
      startThread(options, () => {
        if (thread === started) thread = undefined;
      });
    thread = started;
    return started;
  }

  return {
    async run(plan, access, runOptions) {
      runOptions.signal.throwIfAborted();
      if (closed) throw new ExecutorClosed();
      return current().run(plan, access, runOptions);
    },
    async close() {
      closed = true;
      await thread?.close();
    },
  };
}

function startThread(options: WorkerExecutorOptions, onGone: () => void): Thread {
  const { egress, fence, clock, entry = ownThread, heapMiB = 256 } = options;
  const workerData: ThreadData = { egress, fence };
  const worker = new Worker(entry, {
    name: 'transfers',
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: youngHeapMiB },
  });
  const runs = new Map<number, Run>();
  let lastID = 0;
  let unanswered = 0;
  let cancelPing = () => {};
  let gone = false;
  let closing = false;
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const send = (message: ToThread) => worker.postMessage(message);

  /** From here on it has no runs and gets no more. */
  function giveUp(error: unknown): void {
    if (gone) return;
    gone = true;
    cancelPing();
    onGone();
    for (const run of runs.values()) run.reject(causeOf(run, error));
    runs.clear();
    void worker.terminate();
  }

  /** Whoever ended a run knows why; what the thread says of it then is a consequence. */
  function causeOf({ options: { signal } }: Run, error: unknown): unknown {
    if (signal.aborted) return signal.reason;
    return closing ? new ExecutorClosed() : error;
  }

  function ping(): void {
    if (unanswered >= mostUnanswered) {
      giveUp(crashed(`it has not answered for ${(mostUnanswered * pingMs) / 1000} s`));
      return;
    }
    unanswered++;
    send({ kind: 'ping' });
    cancelPing = clock.schedule(pingMs, ping);
  }

  function settle(id: number): Run | undefined {
    const run = runs.get(id);
    runs.delete(id);
    if (runs.size === 0) cancelPing();
    return run;
  }

  worker.on('message', (message: FromThread) => {
    unanswered = 0;
    switch (message.kind) {
      case 'progress':
        return runs.get(message.id)?.options.onProgress(message.progress);
      case 'succeeded':
        return settle(message.id)?.resolve(message.result);
      case 'failed': {
        const run = settle(message.id);
        return run?.reject(causeOf(run, fromPlainError(message.error)));
      }
      case 'pong':
        return;
    }
  });
  worker.on('error', (error) => giveUp(crashed(describe(error), error)));
  worker.on('messageerror', (error) => giveUp(crashed(describe(error), error)));
  worker.on('exit', (code) => giveUp(crashed(`it ended with code ${code}`)));

  return {
    run(plan, access, runOptions) {
      const id = ++lastID;
      const { signal } = runOptions;
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      send({ kind: 'run', id, plan, access });
      if (runs.size === 0) {
        unanswered = 0;
        cancelPing = clock.schedule(pingMs, ping);
      }
      runs.set(id, { options: runOptions, resolve, reject });
      let cancelGrace = () => {};
      const onAbort = () => {
        if (gone) return;
        send({ kind: 'cancel', id });
        cancelGrace = clock.schedule(graceMs, () => giveUp(crashed('it did not let go of a cancelled transfer')));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      return promise.finally(() => {
        cancelGrace();
        signal.removeEventListener('abort', onAbort);
      });
    },

    async close() {
      closing = true;
      if (!gone) send({ kind: 'close' });
      const cancelGrace = clock.schedule(graceMs, () => void worker.terminate());
      await exited;
      cancelGrace();
    },
  };
}

function crashed(why: string, cause?: unknown): OperatorError {
  return new OperatorError(`the thread that moves data is gone: ${why}; its transfers start again in a new one`, {
    code: 'TransferCrashed',
    retry: retry.backoff,
    cause,
  });
}

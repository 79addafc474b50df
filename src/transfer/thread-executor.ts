/**
 * The executor of the operator: one worker thread for all transfers, because a thread per transfer needs more memory and is not
 * faster.
 *
 * Guarantees: a thread that crashes (uncaught error, heap exhausted, not responding) fails its transfers with a retryable error,
 * and the next run gets a new thread; the process survives.
 */
import { Worker } from 'node:worker_threads';
import type { EgressPair, EgressRules } from '../http/egress.ts';
import { createTrust, type Trust } from '../http/trust.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError, retry } from '../lib/errors.ts';
import { decodeError } from './error-codec.ts';
import { type ExecuteOptions, type Executor, ExecutorClosed, type TransferAccess } from './executor.ts';
import type { TransferPlan, TransferResult } from './plan.ts';
import type { FromThread, ThreadData, ToThread } from './thread-server.ts';

export interface ThreadExecutorOptions {
  egress: EgressPair<EgressRules>;
  /** The certificates of the installation; a run uses those of its start or later ones. Default: none. */
  trust?: Trust;
  /** The memory of the write fence that the thread obeys (`http/fence.ts`). Default: none. */
  fence?: SharedArrayBuffer | undefined;
  clock: Clock;
  /** The program of the thread. In the bundle it lies next to the command. */
  entry?: URL;
  /** Limit for JavaScript objects of the thread, without the bytes that it transfers. Default 256. */
  heapMiB?: number;
}

const ownEntry = new URL(
  import.meta.url.endsWith('.ts') ? './thread-main.ts' : './transfer-thread.js',
  import.meta.url,
);
/**
 * Size of the young generation. It is small on purpose: every byte passes through a buffer of its own. Buffers that die in a small
 * young generation cost next to nothing. In a larger one they outlive it, and V8 collects the whole heap because of them, which
 * took a third of the processor time.
 */
const youngHeapMiB = 2;
/**
 * Interval of the liveness probe while transfers run. The thread is terminated after a number of probes without a response. They
 * are counted, not timed, because a process that was suspended has not received anything for long either.
 */
const pingMs = 10_000;
const maxMissedPings = 3;
/** For a cancelled run to settle, and for a thread to close its resources. */
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

/** `stopped`: it has no runs and gets no more. */
type ThreadState = 'running' | 'closing' | 'stopped';

export function createThreadExecutor(options: ThreadExecutorOptions): Executor {
  let state: { kind: 'open'; thread: Thread | undefined } | { kind: 'closed' } = { kind: 'open', thread: undefined };

  function start(): Thread {
    const started = startThread(options, () => {
      if (state.kind === 'open' && state.thread === started) state = { kind: 'open', thread: undefined };
    });
    state = { kind: 'open', thread: started };
    return started;
  }

  return {
    async run(plan, access, runOptions) {
      runOptions.signal.throwIfAborted();
      if (state.kind === 'closed') throw new ExecutorClosed();
      return (state.thread ?? start()).run(plan, access, runOptions);
    },
    async close() {
      const last = state;
      state = { kind: 'closed' };
      if (last.kind === 'open') await last.thread?.close();
    },
  };
}

function startThread(options: ThreadExecutorOptions, onStopped: () => void): Thread {
  const { egress, trust = createTrust(), fence, clock, entry = ownEntry, heapMiB = 256 } = options;
  const workerData: ThreadData = { egress, fence };
  const worker = new Worker(entry, {
    name: 'transfers',
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: youngHeapMiB },
  });
  const runs = new Map<number, Run>();
  let lastID = 0;
  let sentCertificates: readonly string[] = [];
  let missedPings = 0;
  let cancelPing = () => {};
  let state: ThreadState = 'running';
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const send = (message: ToThread) => worker.postMessage(message);

  function stop(error: unknown): void {
    if (state === 'stopped') return;
    for (const run of runs.values()) run.reject(causeOf(run, error));
    runs.clear();
    state = 'stopped';
    cancelPing();
    onStopped();
    void worker.terminate();
  }

  /** If the run was cancelled or the executor closed, that is the cause of any error which the thread reports after it. */
  function causeOf({ options: { signal } }: Run, error: unknown): unknown {
    if (signal.aborted) return signal.reason;
    return state === 'closing' ? new ExecutorClosed() : error;
  }

  function ping(): void {
    if (missedPings >= maxMissedPings) {
      stop(crashed(`it did not respond for ${(maxMissedPings * pingMs) / 1000} s`));
      return;
    }
    missedPings++;
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
    missedPings = 0;
    switch (message.kind) {
      case 'progress':
        return runs.get(message.id)?.options.onProgress(message.progress);
      case 'succeeded':
        return settle(message.id)?.resolve(message.result);
      case 'failed': {
        const run = settle(message.id);
        return run?.reject(causeOf(run, decodeError(message.error)));
      }
      case 'pong':
        return;
    }
  });
  worker.on('error', (error) => stop(crashed(describe(error), error)));
  worker.on('messageerror', (error) => stop(crashed(describe(error), error)));
  worker.on('exit', (code) => stop(crashed(`it exited with code ${code}`)));

  return {
    run(plan, access, runOptions) {
      const id = ++lastID;
      const { signal } = runOptions;
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      const certificates = trust.current();
      if (certificates !== sentCertificates) send({ kind: 'trust', certificates });
      sentCertificates = certificates;
      send({ kind: 'run', id, plan, access });
      if (runs.size === 0) {
        missedPings = 0;
        cancelPing = clock.schedule(pingMs, ping);
      }
      runs.set(id, { options: runOptions, resolve, reject });
      let cancelGrace = () => {};
      const onAbort = () => {
        if (state === 'stopped') return;
        send({ kind: 'cancel', id });
        cancelGrace = clock.schedule(graceMs, () => stop(crashed('it did not end a cancelled transfer')));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      return promise.finally(() => {
        cancelGrace();
        signal.removeEventListener('abort', onAbort);
      });
    },

    async close() {
      if (state === 'running') {
        state = 'closing';
        send({ kind: 'close' });
      }
      const cancelGrace = clock.schedule(graceMs, () => void worker.terminate());
      await exited;
      cancelGrace();
    },
  };
}

function crashed(why: string, cause?: unknown): OperatorError {
  return new OperatorError(`the transfer thread has stopped: ${why}; its transfers are repeated in a new one`, {
    code: 'TransferCrashed',
    retry: retry.backoff,
    cause,
  });
}

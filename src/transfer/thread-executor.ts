/**
 * The executor of the operator: worker threads, one for each transfer that runs, up to the number of cores. Further transfers share
 * them. More threads would need more memory, and be no faster.
 *
 * Guarantees: a transfer that ends the thread fails alone. The others start again in a new thread, which is no failure of theirs.
 * One that has certainly ended a thread, or was among the suspects twice, runs in a thread of its own; if it ends that too, it fails
 * as TransferCrashed. Of these threads only one at a time is younger than the probation, in which such a transfer ends its thread
 * as a rule. The decoders of all threads share one budget of memory. A core that no transfer runs on may be used by a further thread
 * of a decoder, which keeps it to the end of its file.
 */
import { availableParallelism } from 'node:os';
import { BoundedMap } from '../lib/bounded-map.ts';
import { OperatorError } from '../lib/errors.ts';
import { createMemoryBudget } from '../lib/memory-budget.ts';
import { decoderBytes } from '../source/decompress/bounds.ts';
import { createSharedDownloads } from '../source/parallel/downloads.ts';
import { type Asker, type ExecuteOptions, ExecutorClosed, type Runner, type TransferAccess } from './executor.ts';
import type { TransferPlan, TransferResult } from './plan.ts';
import { type Culprit, startThread, type Thread, ThreadEnded, type ThreadOptions } from './thread.ts';
import { withCores } from './thread-memory.ts';

export interface ThreadExecutorOptions extends Omit<ThreadOptions, 'memory' | 'downloads' | 'heapMiB'> {
  /** Limit for JavaScript objects of a thread, without the bytes that it transfers. Default 256; half for a transfer alone. */
  heapMiB?: number;
  /** Threads that transfers share, at most. Default: the number of cores, up to 4. */
  threads?: number;
  /** For transfers and further threads of decoders. Default: those of the machine, or of the limit of the container. */
  cores?: number;
  /** Called when a thread has ended by itself. */
  onCrash?: (why: string) => void;
}

/** What the end of a thread adds to the suspicion against a run, and the suspicion from which on it runs alone. */
const suspicion: Record<Culprit, number> = { this: 2, unknown: 1, another: 0 };
const aloneFrom = 2;
const probationMs = 120_000;
/** Of a question, in threads that end without it being known why. */
const mostAttempts = 3;
/** More would need more memory than the container of the operator has. */
const mostThreads = 4;
/** A thread that has nothing to run, next to others, is kept so long: its start costs as much as some hundred megabytes of an image. */
const idleMs = 60_000;
/** Transfers that are under suspicion. If there are more, the oldest are trusted again. */
const maxSuspects = 1000;

export function createThreadExecutor(options: ThreadExecutorOptions): Runner & Asker {
  const { clock, heapMiB = 256, threads: most = defaultThreads(), onCrash = () => {} } = options;
  const { cores = availableParallelism() } = options;
  const closed = new AbortController();
  const threads = new Set<Thread>();
  /** By the id of the image. */
  const suspects = new BoundedMap<string, number>(maxSuspects);
  const memory = withCores(createMemoryBudget(decoderBytes), cores);
  const downloads = createSharedDownloads();
  /** Holds one place. */
  const probation = createMemoryBudget(1);
  /** Those that transfers share. */
  const shared = new Map<Thread, SharedState>();

  function start(heapMiB: number): Thread {
    const thread = startThread({ ...options, memory, downloads, heapMiB }, (why) => {
      shared.get(thread)?.cancelEnd();
      shared.delete(thread);
      threads.delete(thread);
      if (why !== undefined) onCrash(why);
    });
    threads.add(thread);
    return thread;
  }

  /** In the thread with the fewest runs: a new one, if all have one and there may be more. */
  async function runShared<T>(run: (thread: Thread) => Promise<T>): Promise<T> {
    const [least] = [...shared].sort(([, a], [, b]) => a.runs - b.runs);
    const takesLeast = least !== undefined && (least[1].runs === 0 || shared.size >= most);
    const [thread, state] = takesLeast ? least : [start(heapMiB), { runs: 0, cancelEnd: () => {} }];
    shared.set(thread, state);
    state.cancelEnd();
    state.runs++;
    try {
      return await run(thread);
    } finally {
      state.runs--;
      const isIdle = state.runs === 0 && shared.has(thread);
      if (isIdle && shared.size > 1) state.cancelEnd = clock.schedule(idleMs, () => endIdle(thread));
    }
  }

  /** The last thread stays: the next transfer begins at once, with the session of the one before. */
  function endIdle(thread: Thread): void {
    if (shared.size === 1) return;
    shared.delete(thread);
    void thread.close();
  }

  async function runAlone(plan: TransferPlan, access: TransferAccess, runOptions: ExecuteOptions) {
    using place = probation.share(AbortSignal.any([runOptions.signal, closed.signal]));
    place.want(1);
    await place.granted();
    closed.signal.throwIfAborted();
    const thread = start(heapMiB / 2);
    const cancelTimer = clock.schedule(probationMs, () => place[Symbol.dispose]());
    try {
      return await thread.run(plan, access, runOptions);
    } finally {
      cancelTimer();
      await thread.close();
    }
  }

  /** Undefined: the thread has ended, and the run has to start again. */
  async function attempt(
    plan: TransferPlan,
    access: TransferAccess,
    runOptions: ExecuteOptions,
  ): Promise<TransferResult | undefined> {
    const { imageID } = plan;
    const isAlone = (suspects.get(imageID) ?? 0) >= aloneFrom;
    try {
      if (isAlone) return await runAlone(plan, access, runOptions);
      return await runShared((thread) => thread.run(plan, access, runOptions));
    } catch (error) {
      if (!(error instanceof ThreadEnded)) throw error;
      if (closed.signal.aborted) throw closed.signal.reason;
      const grown = (suspects.get(imageID) ?? 0) + suspicion[error.culprit];
      if (grown > 0) suspects.set(imageID, grown);
      runOptions.signal.throwIfAborted();
      if (isAlone) throw crashed(error);
      return undefined;
    }
  }

  return {
    async run(plan, access, runOptions) {
      using _core = memory.useCore();
      for (;;) {
        runOptions.signal.throwIfAborted();
        closed.signal.throwIfAborted();
        const result = await attempt(plan, access, runOptions);
        if (result === undefined) continue;
        suspects.delete(plan.imageID);
        return result;
      }
    },
    async ask(asking, signal) {
      for (let attempts = 1; ; attempts++) {
        signal.throwIfAborted();
        closed.signal.throwIfAborted();
        try {
          return await runShared((thread) => thread.ask(asking, signal));
        } catch (error) {
          if (!(error instanceof ThreadEnded)) throw error;
          // Another question may have ended the thread.
          if (error.culprit !== 'this' && attempts < mostAttempts) continue;
          closed.signal.throwIfAborted();
          const message = `reading the list or index of the publisher crashes the thread that reads it: ${error.message}`;
          throw new OperatorError(message, { code: 'TransferCrashed', cause: error });
        }
      }
    },
    async close() {
      closed.abort(new ExecutorClosed());
      await Promise.all([...threads].map((thread) => thread.close()));
    },
  };
}

interface SharedState {
  runs: number;
  /** Of an idle thread. */
  cancelEnd: () => void;
}

function defaultThreads(): number {
  return Math.min(availableParallelism(), mostThreads);
}

function crashed(error: ThreadEnded): OperatorError {
  return new OperatorError(
    `the transfer crashes the thread that runs it: ${error.message}. Its last attempt ran alone and did not affect other transfers`,
    { code: 'TransferCrashed', cause: error },
  );
}

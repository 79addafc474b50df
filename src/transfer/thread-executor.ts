/**
 * The executor of the operator: one worker thread for all transfers, because a thread per transfer needs more memory and is not
 * faster.
 *
 * Guarantees: a transfer that ends the thread fails alone. The others start again in a new thread, which is no failure of theirs.
 * One that has certainly ended a thread, or was among the suspects twice, runs in a thread of its own; if it ends that too, it fails
 * as TransferCrashed. Of these threads only one at a time is younger than the probation, in which such a transfer ends its thread
 * as a rule. The decoders of all threads share one budget of memory.
 */
import { BoundedMap } from '../lib/bounded-map.ts';
import { OperatorError } from '../lib/errors.ts';
import { createMemoryBudget } from '../lib/memory-budget.ts';
import { decoderBytes } from '../source/decompress/bounds.ts';
import { type Asker, type ExecuteOptions, ExecutorClosed, type Runner, type TransferAccess } from './executor.ts';
import type { TransferPlan, TransferResult } from './plan.ts';
import { type Culprit, startThread, type Thread, ThreadEnded, type ThreadOptions } from './thread.ts';

export interface ThreadExecutorOptions extends Omit<ThreadOptions, 'memory' | 'heapMiB'> {
  /** Limit for JavaScript objects of a thread, without the bytes that it transfers. Default 256; half for a transfer alone. */
  heapMiB?: number;
  /** Called when a thread has ended by itself. */
  onCrash?: (why: string) => void;
}

/** What the end of a thread adds to the suspicion against a run, and the suspicion from which on it runs alone. */
const suspicion: Record<Culprit, number> = { this: 2, unknown: 1, another: 0 };
const aloneFrom = 2;
const probationMs = 120_000;
/** Of a question, in threads that end without it being known why. */
const mostAttempts = 3;
/** Transfers that are under suspicion. If there are more, the oldest are trusted again. */
const maxSuspects = 1000;

export function createThreadExecutor(options: ThreadExecutorOptions): Runner & Asker {
  const { clock, heapMiB = 256, onCrash = () => {} } = options;
  const closed = new AbortController();
  const threads = new Set<Thread>();
  /** By the id of the image. */
  const suspects = new BoundedMap<string, number>(maxSuspects);
  const memory = createMemoryBudget(decoderBytes);
  /** Holds one place. */
  const probation = createMemoryBudget(1);
  let shared: Thread | undefined;

  function start(heapMiB: number): Thread {
    const thread = startThread({ ...options, memory, heapMiB }, (why) => {
      if (shared === thread) shared = undefined;
      threads.delete(thread);
      if (why !== undefined) onCrash(why);
    });
    threads.add(thread);
    return thread;
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
      shared ??= start(heapMiB);
      return await shared.run(plan, access, runOptions);
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
        shared ??= start(heapMiB);
        try {
          return await shared.ask(asking, signal);
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

function crashed(error: ThreadEnded): OperatorError {
  return new OperatorError(
    `the transfer crashes the thread that runs it: ${error.message}. Its last attempt ran alone and did not affect other transfers`,
    { code: 'TransferCrashed', cause: error },
  );
}

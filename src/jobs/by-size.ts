/**
 * The executor that gives each transfer to one of two: small ones to a thread of this process, and large ones, or those whose size is
 * not known before, to a Job.
 *
 * Guarantees: a source that cannot be asked for its size goes to the thread, which reports the failure; a transfer
 * that signs in with tokens of a ServiceAccount goes there, too, because no pod gets them; runs of earlier processes stay
 * where they are; a stop of this process does not wait for a run that is not decided yet.
 */
import type { EgressPair, EgressPolicy } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import { linked } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { usesServiceAccount } from '../transfer/access.ts';
import {
  type ExecuteOptions,
  type Execution,
  type Executor,
  RunDetached,
  type TransferAccess,
  type TransferRun,
} from '../transfer/executor.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import { type CloudSessions, createSourceOpener } from '../transfer/sources.ts';
import type { JobRights } from './rights.ts';

export interface BySizeOptions {
  thread: Executor;
  jobs: Executor;
  /** Bytes. A larger file goes to a Job. */
  above: number;
  /** The length of the file; undefined if the source announces none. Rejects if the source fails. */
  sizeOf(plan: TransferPlan, signal: AbortSignal): Promise<number | undefined>;
  rights: Pick<JobRights, 'mayCreate' | 'whenKnown'>;
}

export function createExecutorBySize({ thread, jobs, above, sizeOf, rights }: BySizeOptions): Executor {
  async function isLarge(plan: TransferPlan, signal: AbortSignal): Promise<boolean> {
    if (usesServiceAccount(plan)) return false;
    try {
      const size = await sizeOf(plan, signal);
      return size === undefined || size > above;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }

  function start(run: TransferRun, options: ExecuteOptions): Execution {
    let chosen: Execution | undefined;
    const undecided = linked(options.signal);
    // Chosen and started at once, because a detachment between the two would reach neither.
    const ended = (async () => {
      using over = undecided;
      const isJob = (await rights.mayCreate(over.signal)) && (await isLarge(run.plan, over.signal));
      over.signal.throwIfAborted();
      chosen = (isJob ? jobs : thread).start(run, options);
      return chosen.ended;
    })();
    return {
      ended,
      get durable() {
        return chosen === undefined
          ? { detach: () => undecided.abort(new RunDetached()), release() {} }
          : chosen.durable;
      },
    };
  }

  return {
    start,
    attach: async (signal) => ((await rights.whenKnown(signal)) ? jobs.attach(signal) : []),
  };
}

export interface SizeOptions {
  egress: EgressPair<EgressPolicy>;
  trust: Trust;
  sessions: CloudSessions;
  readAccess(plan: TransferPlan, signal: AbortSignal): Promise<TransferAccess>;
  clock: Clock;
  random: Random;
}

/** Of a source that does not respond. The thread then reports why. */
const deadlineMs = 30_000;

export function createSizeOf(options: SizeOptions) {
  const { egress, clock } = options;
  /** Undefined if the source announces no length. Rejects if the source fails, or with the signal's reason. */
  return async (plan: TransferPlan, signal: AbortSignal): Promise<number | undefined> => {
    const access = await options.readAccess(plan, signal);
    const opener = createSourceOpener(access, { ...options, egress: egress.sources });
    using over = linked(signal);
    const cancelTimer = clock.schedule(deadlineMs, () => over.abort(new Error('the source did not respond in time')));
    try {
      const { size } = await opener.open(plan, { signal: over.signal, onResume: () => {} });
      return size;
    } finally {
      cancelTimer();
      over.abort(new Error('only the length is read'));
      await opener.close();
    }
  };
}

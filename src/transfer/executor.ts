/**
 * The interfaces that run transfers and read what publishers provide: in this thread, in another one, or in another process.
 *
 * An executor may be durable: then it starts a run under an id that follows from the plan, and after a restart or a change of leader it
 * finds the runs that an earlier process has begun. Those of a runner end with its process, so its executor finds none.
 *
 * Invariant: plan, access, progress, result and OperatorError can be cloned. Only the access contains secrets. It is never logged,
 * and kept no longer than the run and its session with the cloud.
 */
import { valueHash } from '../lib/hash.ts';
import type { Key } from '../lib/key.ts';
import type { CloudFiles } from '../openstack/clouds.ts';
import type { SourceSecrets } from '../source/kind.ts';
import type { Asking, Known } from '../source/resolve/resolve.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';

/** The secrets that a plan names, read just before its run. */
export interface TransferAccess {
  /** Of the cloud with the queued image. */
  cloud: CloudFiles;
  source: SourceSecrets;
}

export interface ExecuteOptions {
  signal: AbortSignal;
  /** Called often by some executors, so it must be cheap. */
  onProgress: (progress: TransferProgress) => void;
}

/** Runs transfers while this process lives. */
export interface Runner {
  /**
   * Rejects with the first cause, usually an OperatorError, or with the signal's reason within a second of its abort. After it has
   * settled, no part of the run is active.
   */
  run(plan: TransferPlan, access: TransferAccess, options: ExecuteOptions): Promise<TransferResult>;
  /** Cancels all runs, which reject, and closes all resources. */
  close(): Promise<void>;
}

/** Plain JSON. */
export interface TransferRun {
  /** Of the transfer in the scheduler. */
  key: Key;
  plan: TransferPlan;
}

/** One run that has begun. */
export interface Execution {
  /**
   * Rejects with the first cause, usually an OperatorError, with the signal's reason after its abort, or with RunDetached. Then no
   * part of the run is active, except after a detachment.
   */
  ended: Promise<TransferResult>;
  /** Set, once that is known, if the run and its outcome outlive this process. */
  readonly durable?:
    | {
        /** Stops listening. The run goes on, and another process finds it. */
        detach(): void;
        /** Drops the outcome, which has been handled. A run that is aborted keeps none. */
        release(): void;
      }
    | undefined;
}

/** A run of an earlier process, active or ended. */
export interface FoundRun extends TransferRun {
  /** RFC 3339. */
  startedAt: string;
  /** Listens to it. It ends at once if its outcome is there. */
  resume(options: ExecuteOptions): Execution;
}

export interface Executor {
  /** Starts a run, or listens to the run of the same id if that is active still. An outcome of the same id is dropped. */
  start(run: TransferRun, options: ExecuteOptions): Execution;
  /** The runs of earlier processes, once: at most one of each key. Rejects with the signal's reason. */
  attach(signal: AbortSignal): Promise<readonly FoundRun[]>;
}

/** The id of a run. Equal plans have their keys in the same order, because one function makes them. */
export function runIDOf(plan: TransferPlan): string {
  return `${plan.imageID}-${valueHash(plan, 8)}`;
}

/** An executor whose runs end with this process. */
export function executorOf(run: (plan: TransferPlan, options: ExecuteOptions) => Promise<TransferResult>): Executor {
  return {
    start: ({ plan }, options) => ({ ended: (async () => run(plan, options))() }),
    attach: async () => [],
  };
}

/** The reason with which an execution ends whose run goes on without this process. */
export class RunDetached extends Error {
  constructor() {
    super('the transfer goes on without this process');
    this.name = 'RunDetached';
  }
}

/** Reads the lists and files of publishers. */
export interface Asker {
  /** Rejects with an OperatorError, or with the signal's reason within a second of its abort. */
  ask(asking: Asking, signal: AbortSignal): Promise<Known>;
}

/** The error of runs whose executor is closed. */
export class ExecutorClosed extends Error {
  constructor() {
    super('the executor of transfers is closed');
    this.name = 'ExecutorClosed';
  }
}

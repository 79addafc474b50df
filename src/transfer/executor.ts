/**
 * The interface of an executor, which runs transfers and reads what publishers provide: in this thread, in another one, or in another process.
 *
 * Invariant: plan, access, progress, result and OperatorError can be cloned. Only the access contains secrets. It is never logged,
 * and kept no longer than the run and its session with the cloud.
 */
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

export interface Executor {
  /**
   * Rejects with the first cause, usually an OperatorError, or with the signal's reason within a second of its abort. After it has
   * settled, no part of the run is active.
   */
  run(plan: TransferPlan, access: TransferAccess, options: ExecuteOptions): Promise<TransferResult>;
  /** Cancels all runs, which reject, and closes all resources. */
  close(): Promise<void>;
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

/**
 * Who carries a transfer out: a thread of this process, or this thread itself; the shape fits another process or machine
 * as well. Laws: what goes in (plan, access) and what comes out (progress, result, OperatorError) can be cloned; secrets
 * travel in the access alone, which is never logged and kept no longer than the run and its session with the cloud.
 */
import type { CloudFiles } from '../openstack/clouds.ts';
import type { SourceSecrets } from '../source/kind.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';

/** The secrets that a plan names, read just before its run. */
export interface TransferAccess {
  /** Of the cloud where the image waits. */
  cloud: CloudFiles;
  source: SourceSecrets;
}

export interface ExecuteOptions {
  signal: AbortSignal;
  /** Called often, or now and then; cheap either way. */
  onProgress: (progress: TransferProgress) => void;
}

export interface Executor {
  /**
   * Rejects with the first cause (an OperatorError, as a rule), or with the signal's reason within a second of its abort.
   * When it has settled, nothing of the run is under way any more.
   */
  run(plan: TransferPlan, access: TransferAccess, options: ExecuteOptions): Promise<TransferResult>;
  /** Ends all runs, which reject. Nothing stays open. */
  close(): Promise<void>;
}

/** The reason with which runs end when their executor is closed. */
export class ExecutorClosed extends Error {
  constructor() {
    super('the executor of transfers was closed');
    this.name = 'ExecutorClosed';
  }
}

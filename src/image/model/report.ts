/** What one reconcile learned and how it ended. Together with the status before, it is all that the next status is made of. */
import type { GlanceImageStatus } from '../../api/status.ts';
import type { OperatorError } from '../../lib/errors.ts';
import type { TransferState } from '../../transfer/scheduler.ts';
import type { Memory } from './memory.ts';
import type { Observed } from './revisions.ts';

export type VerifiedContent = Exclude<GlanceImageStatus['content'], undefined>;

export interface Report {
  end: End;
  memory: Memory;
  /** Absent: no request was made to Glance, or it did not respond. */
  observed?: Observed | undefined;
  cloud?: { projectID: string; region: string | undefined } | undefined;
  /** The Secrets that were asked for; their version is undefined when one of them does not exist. */
  secret?: { version: string | undefined } | undefined;
  /** Data that was verified in this reconcile. */
  content?: VerifiedContent | undefined;
  /** Absent: no image of a publisher's newer file is made, or the one to use was not looked at. */
  upkeep?: Upkeep | undefined;
  /** In the order in which they happened. */
  changes: readonly Change[];
}

/** Whether the image to use is as declared while that of a publisher's newer file is made. */
export type Upkeep =
  | { kind: 'asDeclared' }
  /** It is gone, another one's or deactivated, or something is declared that only the other image will have. */
  | { kind: 'differs' }
  /** It was not compared, because the other image has its name. */
  | { kind: 'notCompared' }
  /** It could not be compared or changed. The other image goes on. */
  | { kind: 'failed'; error: OperatorError };

export type Change =
  | { kind: 'created'; id: string }
  | { kind: 'updated'; what: string[] }
  /** The ConfigMap shows the image to use. */
  | { kind: 'published'; configMap: string }
  /** Deleted, and another one takes its place. */
  | { kind: 'replaced'; id: string; why: string }
  /** The memory names it, and Glance does not hold it any more. */
  | { kind: 'vanished'; id: string }
  | { kind: 'deleted'; id: string }
  /** At the deletion of the resource: it belongs to another owner. */
  | { kind: 'left'; id: string; why: string };

export type End =
  | { kind: 'converged' }
  | { kind: 'transferring'; state: ActiveTransfer }
  /** Glance, or another client, still moves the data. */
  | { kind: 'waiting'; phase: 'Importing' | 'Waiting'; imageID: string; why: string; ms: number }
  | { kind: 'suspended' }
  /** The list or index of the publisher is being read. */
  | { kind: 'resolving'; url: string }
  /** The newer file of the publisher is not usable, and the pinned one goes on. */
  | { kind: 'held'; error: OperatorError }
  | { kind: 'failed'; error: OperatorError };

export type ActiveTransfer = Extract<TransferState, { kind: 'queued' | 'running' }>;

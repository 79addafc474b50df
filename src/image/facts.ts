/** What one reconcile learned and how it ended: the only thing that a status is made of, beside the status before it. */

import type { GlanceImageStatus } from '../api/status.ts';
import type { Image } from '../glance/image.ts';
import type { OperatorError } from '../lib/errors.ts';
import type { TransferState } from '../transfer/scheduler.ts';

export interface Facts {
  cloud?: { projectID: string; region: string | undefined };
  /** The Secrets that were asked for; their versions are undefined when one of them is not there. */
  secret?: { version: string | undefined };
  /** The image as Glance reported it, or `gone` when Glance said that it is not there. Absent: Glance was not asked, or did not answer. */
  image?: Image | 'gone';
  /** Of the image, or of the one to create next. */
  incarnation?: number;
  /** Keys of the properties that are declared now and applied. */
  propertyKeys?: string[];
  /** Data that was verified and is in Glance now. */
  sent?: Transferred;
  /** The image that is Ready; undefined when the image was found to hold no data of what is declared. Absent: as before. */
  ready?: { imageID: string | undefined };
  /** What was set right or replaced, for the events; in the order in which it happened. */
  changes: Change[];
  end: End;
}

/** What went into an image. */
export interface Transferred {
  imageID: string;
  content: Exclude<GlanceImageStatus['content'], undefined>;
}

export type Change =
  | { kind: 'created'; id: string }
  | { kind: 'updated'; what: string[] }
  | { kind: 'replaced'; id: string; why: string }
  | { kind: 'deleted'; id: string }
  /** At the deletion: it belongs to another project. */
  | { kind: 'left'; id: string; owner: string | null };

export type End =
  | { kind: 'converged' }
  | { kind: 'transferring'; state: ActiveTransfer }
  /** Glance, or somebody else, still moves the data. */
  | { kind: 'waiting'; phase: 'Importing' | 'Waiting'; why: string; ms: number }
  | { kind: 'suspended' }
  | { kind: 'failed'; error: OperatorError };

export type ActiveTransfer = Extract<TransferState, { kind: 'queued' | 'running' }>;

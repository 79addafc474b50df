/**
 * What a scheduler tells to whoever measures. Law: plain numbers under a few bounded names, told when they change; who keeps
 * them, and in what form, is not known here. Nothing here may throw.
 */
import type { TransferPhase, TransferResult } from './plan.ts';

/** What a transfer spends its time on, waiting for its turn included. */
export type MeasuredPhase = 'queued' | TransferPhase;

export type TransferEnd =
  | { kind: 'succeeded'; result: TransferResult }
  /** `code` of the OperatorError, or InternalError. */
  | { kind: 'failed'; code: string }
  | { kind: 'cancelled' };

/** `cloud` is the address of a plan's cloud. */
export interface TransferObserver {
  /** How many wait, and how many run, for a cloud from now on. */
  counted(cloud: string, counts: { queued: number; active: number }): void;
  /** So many more bytes were taken by Glance. */
  moved(cloud: string, bytes: number): void;
  /** A transfer has spent so long in a phase that is over now. */
  spent(cloud: string, phase: MeasuredPhase, ms: number): void;
  /** A run has ended. What is cancelled before it runs is not told. */
  ended(cloud: string, end: TransferEnd): void;
}

export const silentObserver: TransferObserver = { counted() {}, moved() {}, spent() {}, ended() {} };

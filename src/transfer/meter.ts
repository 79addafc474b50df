/**
 * Progress and throughput of one running transfer, and the interface of the observer of all transfers. Reports are O(1). A listener
 * is notified after two seconds, and then once per interval if anything changed.
 */
import type { Clock } from '../lib/clock.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { noProgress, type TransferPhase, type TransferProgress, type TransferResult } from './plan.ts';

/** A phase of a transfer, waiting in the queue included. */
export type MeasuredPhase = 'queued' | TransferPhase;

export type TransferEnd =
  | { kind: 'succeeded'; result: TransferResult }
  /** `code` of the OperatorError, or InternalError. */
  | { kind: 'failed'; code: ErrorCode }
  | { kind: 'cancelled' };

/** Receives measurements. `cloud` is the address of a plan's cloud. The methods must not throw. */
export interface TransferObserver {
  /** The current numbers of waiting and running transfers of a cloud. */
  counted(cloud: string, counts: { queued: number; active: number }): void;
  /** This number of further bytes was uploaded to Glance, or read back from it. */
  moved(cloud: string, bytes: number): void;
  /** A transfer has completed a phase of this duration. */
  spent(cloud: string, phase: MeasuredPhase, ms: number): void;
  /** A run has ended. A transfer that is cancelled before it runs is not reported. */
  ended(cloud: string, end: TransferEnd): void;
}

export const silentObserver: TransferObserver = { counted() {}, moved() {}, spent() {}, ended() {} };

export interface Meter {
  readonly progress: TransferProgress;
  /** When the run reported progress first, as time of the monotonic clock; undefined: it has not. */
  readonly reportedSince: number | undefined;
  /** When its wait for its start was over, as time of the monotonic clock; -Infinity: it has not waited; undefined: it waits. */
  readonly waitedUntil: number | undefined;
  /** Bytes of the image per second in the last interval. 0 in the first one. */
  readonly bytesPerSecond: number;
  /** RFC 3339. */
  readonly startedAt: string;
  report(progress: TransferProgress): void;
  stop(): void;
}

export interface MeterOptions {
  cloud: string;
  clock: Clock;
  intervalMs: number;
  observer: TransferObserver;
  onChange: () => void;
  /** RFC 3339, of a run that an earlier process began. Default: now. */
  startedAt?: string | undefined;
}

const firstReportMs = 2000;

export function startMeter(options: MeterOptions): Meter {
  const { cloud, clock, intervalMs, observer, onChange, startedAt = clock.now().toISOString() } = options;
  let progress = noProgress;
  let reportedSince: number | undefined;
  let waitedUntil: number | undefined = Number.NEGATIVE_INFINITY;
  let bytesPerSecond = 0;
  let phaseSince = clock.monotonic();

  let isShown = false;
  let seenBytes = 0;
  let seenServed = 0;
  let seenAt = phaseSince;
  let seenAwaits: TransferProgress['awaits'];
  const tick = () => {
    const now = clock.monotonic();
    const { bytes, servedBytes, awaits } = progress;
    // A run whose thread has ended starts again at zero.
    const rate = Math.round((Math.max(bytes - seenBytes, 0) * 1000) / Math.max(now - seenAt, 1));
    // The first call is always for a change: the transfer was waiting before.
    const hasMoved = bytes !== seenBytes || servedBytes !== seenServed || rate !== bytesPerSecond;
    const changed = !isShown || hasMoved || awaits !== seenAwaits;
    bytesPerSecond = rate;
    seenBytes = bytes;
    seenServed = servedBytes;
    seenAwaits = awaits;
    seenAt = now;
    isShown = true;
    cancelTimer = clock.schedule(intervalMs, tick);
    if (changed) onChange();
  };
  let cancelTimer = clock.schedule(firstReportMs, tick);

  const endPhase = () => {
    const now = clock.monotonic();
    observer.spent(cloud, progress.phase, now - phaseSince);
    phaseSince = now;
  };

  return {
    get progress() {
      return progress;
    },
    get reportedSince() {
      return reportedSince;
    },
    get waitedUntil() {
      return waitedUntil;
    },
    get bytesPerSecond() {
      return bytesPerSecond;
    },
    startedAt,
    report(next) {
      if (next.bytes > progress.bytes) observer.moved(cloud, next.bytes - progress.bytes);
      if (next.phase !== progress.phase) endPhase();
      progress = next;
      waitedUntil = typeof next.awaits === 'string' ? undefined : (waitedUntil ?? clock.monotonic());
      reportedSince = next.awaits === undefined ? (reportedSince ?? clock.monotonic()) : undefined;
    },
    stop() {
      cancelTimer();
      endPhase();
    },
  };
}

/**
 * The pace of a run: aborts one that is too long, or that is slow while another transfer could use its slot.
 *
 * Guarantees: a run whose progress is not known is not slow.
 */
import type { Clock } from '../lib/clock.ts';
import { formatDuration } from '../lib/duration.ts';
import { OperatorError } from '../lib/errors.ts';
import type { Meter } from './meter.ts';
import { noProgress, type TransferProgress } from './plan.ts';

/** A run that is slower gives way if another transfer can start instead, or waits for memory of its decoder. */
const slowest = { bytes: 5 * 60 * 2 ** 20, windowMs: 5 * 60_000 };
/** The longest run, unless twice the time that its length needs at the slowest rate is longer. */
const longestRunMs = 24 * 3_600_000;

/** The reason with which a slow run is aborted. The transfer goes to the end of the queue. */
export class GaveWay extends Error {}

export interface PaceOptions {
  meter: Meter;
  clock: Clock;
  /** How long it had run when this process took it over; 0 for a run of its own. */
  ageMs: number;
  /** Whether the progress of the meter is that of the run. */
  isKnown: () => boolean;
  /** Whether another transfer could start, or continue, if this one ended. */
  isInTheWay: (progress: TransferProgress) => boolean;
  abort: (reason: Error) => void;
}

/** Checks at the end of each window. Returns a function that stops the checks. */
export function watchPace(options: PaceOptions): () => void {
  const { meter, clock, ageMs, isKnown, isInTheWay, abort } = options;
  const startedAt = clock.monotonic() - ageMs;
  let before: TransferProgress = meter.progress;
  const check = () => {
    const { progress } = meter;
    const isSlow = isKnown() && progress.phase !== 'finishing' && gainedBy(progress, before) < slowest.bytes;
    before = progress;
    const elapsedMs = clock.monotonic() - startedAt;
    if (elapsedMs >= longestOf(progress)) abort(tooLong(elapsedMs, progress));
    else if (isSlow && isInTheWay(progress)) abort(new GaveWay());
    else cancelCheck = clock.schedule(slowest.windowMs, check);
  };
  let cancelCheck = clock.schedule(slowest.windowMs, check);
  return () => cancelCheck();
}

/**
 * Bytes since then on the side with more bytes: compressed data grows, and a conversion reads the file before the first byte of the
 * image. A run whose thread has ended starts again at zero.
 */
function gainedBy(now: TransferProgress, before: TransferProgress): number {
  const isAgain = now.bytes < before.bytes || now.servedBytes < before.servedBytes;
  const { bytes, servedBytes } = isAgain ? noProgress : before;
  return Math.max(now.bytes - bytes, now.servedBytes - servedBytes);
}

function longestOf({ total }: TransferProgress): number {
  const slowestMs = ((total ?? 0) / slowest.bytes) * slowest.windowMs;
  return Math.max(longestRunMs, 2 * slowestMs);
}

function tooLong(elapsedMs: number, { servedBytes, total }: TransferProgress): OperatorError {
  const of = total === undefined ? '' : ` of ${total}`;
  return new OperatorError(
    `the transfer was not complete after ${formatDuration(elapsedMs)}: ${servedBytes}${of} bytes had arrived`,
    { code: 'SourceTooSlow' },
  );
}

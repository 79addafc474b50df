/**
 * The pace of a run: aborts one that is too long, or that is slow while another transfer could use its slot.
 *
 * Guarantees: a run is not slow while its progress is not known, and the time before that does not count. Nor does the time in which
 * a run waits for its start, for example in a queue, count as part of a long run. Each time that a transfer
 * gives way doubles the time that its next run has, so transfers into a slow cloud end although others for this cloud wait all the time.
 */
import { backoff } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { formatDuration } from '../lib/duration.ts';
import { OperatorError } from '../lib/errors.ts';
import type { Meter } from './meter.ts';
import { noProgress, type TransferProgress } from './plan.ts';

/** A run that is slower gives way if another transfer can start instead, or waits for memory of its decoder. */
const slowestBytesPerMs = 2 ** 20 / 1000;
const windowMs = 5 * 60_000;
/** The longest run, unless twice the time that its length needs at the slowest rate is longer. */
const longestRunMs = 24 * 3_600_000;

/** The reason with which a slow run is aborted. The transfer goes to the end of the queue. */
export class GaveWay extends Error {}

export interface PaceOptions {
  meter: Meter;
  clock: Clock;
  /** How long it had run when this process took it over; 0 for a run of its own. */
  ageMs: number;
  /** Number of runs of the transfer that gave way before. */
  gaveWay: number;
  /** Since when the progress of the meter is that of the run, as time of the monotonic clock; undefined: it is not. */
  knownSince: () => number | undefined;
  /** Whether another transfer could start, or continue, if this one ended. */
  isInTheWay: (progress: TransferProgress) => boolean;
  abort: (reason: Error) => void;
}

/** Checks at the end of each window. Returns a function that stops the checks. */
export function watchPace(options: PaceOptions): () => void {
  const { meter, clock, ageMs, gaveWay, knownSince, isInTheWay, abort } = options;
  const startedAt = clock.monotonic() - ageMs;
  const patienceMs = backoff({ firstMs: windowMs, maxMs: longestRunMs }, gaveWay);
  let before = { at: clock.monotonic(), progress: meter.progress };
  const check = () => {
    const now = { at: clock.monotonic(), progress: meter.progress };
    const { waitedUntil } = meter;
    const elapsedMs = waitedUntil === undefined ? 0 : now.at - Math.max(startedAt, waitedUntil);
    const known = knownSince();
    const isDue = known !== undefined && now.at - Math.max(before.at, known) >= patienceMs;
    const gained = gainedBy(now.progress, before.progress);
    const isSlow = now.progress.phase !== 'finishing' && gained < slowestBytesPerMs * patienceMs;
    if (isDue) before = now;
    if (elapsedMs >= longestRunOf(now.progress.total ?? 0)) abort(tooLong(elapsedMs, now.progress));
    else if (isDue && isSlow && isInTheWay(now.progress)) abort(new GaveWay());
    else cancelCheck = clock.schedule(windowMs, check);
  };
  let cancelCheck = clock.schedule(windowMs, check);
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

/** The longest run of a file of this length, in milliseconds. */
export function longestRunOf(bytes: number): number {
  return Math.max(longestRunMs, (2 * bytes) / slowestBytesPerMs);
}

function tooLong(elapsedMs: number, { servedBytes, total }: TransferProgress): OperatorError {
  const of = total === undefined ? '' : ` of ${total}`;
  return new OperatorError(
    `the transfer was not complete after ${formatDuration(elapsedMs)}: ${servedBytes}${of} bytes had arrived`,
    { code: 'SourceTooSlow' },
  );
}

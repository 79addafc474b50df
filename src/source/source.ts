/**
 * A source of bytes, of any kind, and the limit on the total time of a download.
 *
 * Invariant: a body ends only after its last byte, or throws. If the end cannot be distinguished from a broken connection,
 * `endIsCertain` is false.
 */
import { aborted, linked } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { SourceError } from './errors.ts';

export interface Source {
  /**
   * The URL that the bytes come from, after redirects and after a change to a mirror. It may contain credentials: show it through
   * `safeUrl`.
   */
  readonly url: string;
  /** Length of the body in bytes, if the server announced it. It does not change. */
  readonly size: number | undefined;
  /** False when the server ends the body by closing the connection: then only a digest proves that it is complete. */
  readonly endIsCertain: boolean;
  /**
   * True after responses without a common validator were joined, which needs a digest. If that does not match, another download
   * may succeed.
   */
  readonly isSpliced?: boolean;
  /**
   * True if all bytes so far came from public addresses. Content that is not public may be a secret of this network, and no message
   * describes it.
   */
  readonly isPublic?: boolean;
  /** Notes on the download that users should know. Complete at the end of the body. */
  readonly warnings?: readonly string[];
  /** Reads parts of the same file, in addition to the body. Undefined where that is not possible for the kind of source. */
  readonly ranges?: RangeReader;
  /** Can be read once. Aborting the signal that the source was opened with closes it. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface RangeReader {
  /** Length of the file, if a response has announced it. */
  size(): number | undefined;
  /** The bytes from `from` up to `to`, exclusive, or the errors of sources: ConversionNeedsRanges if no server sends parts of it. */
  read(from: number, to: number, options?: RangeReading): AsyncGenerator<Uint8Array, void, undefined>;
}

export interface RangeReading {
  /** The first failure ends it. */
  tries?: 'once';
  /** The connection sends other responses until then. */
  due?: Promise<void>;
}

export interface SourceLimits {
  /** A longer file is rejected, before it is read if its length is announced. */
  maxBytes: number;
  /** The source has stalled if it sent fewer bytes than this in `stallWindowMs` milliseconds of waiting. */
  stallBytes: number;
  stallWindowMs: number;
  /** Limit on the total time of a download. Absent: unlimited, because large images take long. */
  totalMs?: number;
}

export interface TimeLimit {
  /** Aborts with the caller's signal, or with SourceTooSlow when the time is up. */
  signal: AbortSignal;
  /** The download is over. */
  stop(): void;
}

/** `soFar` describes the progress, for the message. */
export function limitTime(
  { clock, limits, signal }: { clock: Clock; limits: SourceLimits; signal: AbortSignal },
  soFar: () => string,
): TimeLimit {
  const { totalMs } = limits;
  if (totalMs === undefined) return { signal, stop: () => {} };
  const over = linked(signal);
  const cancel = clock.schedule(totalMs, () => {
    const message = `${soFar()} when its time limit of ${totalMs / 1000} s ended`;
    over.abort(new SourceError('SourceTooSlow', message));
  });
  void aborted(over.signal).then(cancel);
  const stop = () => {
    cancel();
    over[Symbol.dispose]();
  };
  return { signal: over.signal, stop };
}

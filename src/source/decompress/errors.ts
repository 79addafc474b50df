/**
 * The errors of decompression.
 *
 * Guarantees: they are about the bytes, never about the connection, whose errors pass through unchanged; each message has the codec,
 * the URL without its secrets, and the offset if it is known.
 */
import type { Clock } from '../../lib/clock.ts';
import { OperatorError } from '../../lib/errors.ts';
import type { MemoryShare } from '../../lib/memory-budget.ts';
import { isLocal, safeUrl } from '../../lib/secret.ts';
import type { Compression } from './magic.ts';

export interface DecompressLimits {
  /** Maximum size of the decompressed image. */
  maxBytes: number;
  /** Maximum ratio of decompressed to compressed bytes; see bounds.ts. */
  maxRatio: number;
  /** Maximum memory of a decoder: the dictionary of xz, the window of zstd. */
  maxDictionaryBytes: number;
}

/** The data to decompress, for errors and limits. */
export interface Job {
  /** Files of a zip archive are compressed one by one. */
  compression: Compression | 'zip';
  url: string;
  limits: DecompressLimits;
  /** The memory that the decoder may use. Absent: only the limits apply. */
  memory?: MemoryShare | undefined;
  /** Further threads that the decoder may use. Default: none. */
  helpers?: Helpers | undefined;
  /**
   * Called for data after the end of the compressed data, with its offset. Absent: such data is an error. It may be set if a digest
   * of the file as served is compared, which makes the data the publisher's own.
   */
  onTrailingData?: ((at: number) => void) | undefined;
}

/** What is free for further threads of decoders. */
export interface Helpers {
  /** A core and so much memory, until they are returned; undefined if one of them is in use. Does not reject. */
  take(bytes: number): Promise<Disposable | undefined>;
  /** To find out whether they are of use. */
  readonly clock: Pick<Clock, 'monotonic'>;
}

export class CompressionError extends OperatorError {
  declare readonly code: 'CompressionInvalid' | 'CompressionCutOff' | 'CompressionBomb';
}

/** `why` is a sentence without a full stop; `at` is the offset in the compressed bytes near which it was noticed. */
export function damagedStream(job: Job, why: string, at: number, cause?: unknown): CompressionError {
  return new CompressionError(
    `${dataOf(job)} is damaged near byte ${at}: ${why}; ${correction(job)}, or declare another one`,
    {
      code: 'CompressionInvalid',
      cause,
    },
  );
}

/** `bytes`: the length of the data. The server may have a problem, or an upload of the file may be running. */
export function cutOff(job: Job, bytes: number, cause?: unknown): CompressionError {
  const message = `${dataOf(job)} is cut off after ${bytes} bytes: ${isLocal(job.url) ? 'get the file again' : 'have the publisher complete the file'}`;
  return new CompressionError(message, { code: 'CompressionCutOff', cause });
}

/** `why`: what the decoder does not support. */
export function unsupported(job: Job, why: string, cause?: unknown): CompressionError {
  const message = `${dataOf(job)} cannot be decompressed: ${why}`;
  return new CompressionError(message, { code: 'CompressionInvalid', cause });
}

/** `why`: the limit that was exceeded. */
export function bomb(job: Job, why: string): CompressionError {
  return new CompressionError(`${dataOf(job)} ${why}`, { code: 'CompressionBomb' });
}

function correction({ url }: Job): string {
  return isLocal(url) ? 'get the file again' : 'have the publisher correct the file';
}

function dataOf({ compression, url }: Job): string {
  return `the ${compression} data of ${safeUrl(url)}`;
}

/** Later parts of the file need more memory than the first one, and other transfers use it. */
export function busy(job: Job, cause: unknown): OperatorError {
  return new OperatorError(
    `${dataOf(job)} needs more memory than its first part, and other transfers use it; the transfer starts again`,
    { code: 'DecoderMemoryInUse', cause },
  );
}

/**
 * How decompression can fail. Law: the bytes are at fault, never the connection (what the body throws goes through as it
 * is), so each message names the codec, the URL without what may be secret in it, and the place where that is known.
 */
import { OperatorError, retry } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { upstreamRetry } from '../errors.ts';
import type { Compression } from './magic.ts';

export interface DecompressLimits {
  /** The decompressed image may have so many bytes. */
  maxBytes: number;
  /** It may be so many times larger than the bytes it came from; see bounds.ts. */
  maxRatio: number;
  /** A decoder may keep so many bytes of the past: the dictionary of xz, the window of zstd. */
  maxDictionaryBytes: number;
}

/** What is being decompressed, for whom errors and limits are. */
export interface Job {
  compression: Compression;
  url: string;
  limits: DecompressLimits;
}

export class CompressionError extends OperatorError {
  declare readonly code: 'CompressionInvalid' | 'CompressionBomb';
}

const advice = 'the publisher has to correct the file, or another one has to be declared';

/** `why` is a sentence without a full stop; `at` is the offset in the compressed bytes near which it was noticed. */
export function damagedStream(job: Job, why: string, at: number, cause?: unknown): CompressionError {
  return new CompressionError(`${dataOf(job)} is damaged near byte ${at}: ${why}; ${advice}`, {
    code: 'CompressionInvalid',
    // Another download of the same file helps nobody; a look once an hour still finds a corrected one.
    retry: retry.change,
    cause,
  });
}

/** `bytes` is how many there were. A server may be at fault for now, or an upload under way. */
export function cutOff(job: Job, bytes: number, cause?: unknown): CompressionError {
  const message = `${dataOf(job)} is cut off after ${bytes} bytes: the publisher has to complete the file`;
  return new CompressionError(message, { code: 'CompressionInvalid', retry: upstreamRetry, cause });
}

/** `why` says what the decoder cannot do. */
export function unsupported(job: Job, why: string, cause?: unknown): CompressionError {
  const message = `${dataOf(job)} cannot be decompressed: ${why}`;
  return new CompressionError(message, { code: 'CompressionInvalid', retry: retry.change, cause });
}

/** `why` says which limit was passed, and by what. */
export function bomb(job: Job, why: string): CompressionError {
  return new CompressionError(`${dataOf(job)} ${why}`, { code: 'CompressionBomb', retry: retry.change });
}

function dataOf({ compression, url }: Job): string {
  return `the ${compression} data of ${safeUrl(url)}`;
}

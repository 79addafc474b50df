/**
 * Reading the body of an answer to its end. Law: it ends with exactly the announced bytes or throws, and a source that
 * stops sending is noticed. Time counts only while we wait for the source: a slow consumer makes no stall.
 */
import type { Readable } from 'node:stream';
import type { Clock } from '../lib/clock.ts';
import { describe, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { SourceError, tooLong, upstreamRetry } from './errors.ts';
import type { SourceLimits } from './source.ts';

export interface BodyOptions {
  body: Readable;
  url: URL;
  /** The announced length in bytes. */
  size: number | undefined;
  clock: Clock;
  limits: SourceLimits;
  /** Whoever made `body` has bound it to this signal; here it only tells an abort from a failure. */
  signal: AbortSignal;
}

export async function* readBody(options: BodyOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const { body, url, size, clock, limits, signal } = options;
  let bytes = 0;
  const stall = createStallWatch(clock, limits, () => {
    const rate = `fewer than ${limits.stallBytes} bytes in ${limits.stallWindowMs / 1000} s`;
    const message = `${safeUrl(url)} sent ${rate}, after ${progress(bytes, size)}`;
    body.destroy(new SourceError('SourceStalled', retry.backoff, message));
  });
  try {
    stall.waiting();
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) throw new TypeError('a source sends bytes');
      stall.received(chunk.length);
      bytes += chunk.length;
      if (bytes > limits.maxBytes) throw tooLong(url, `sent ${bytes} bytes`, limits.maxBytes);
      if (size !== undefined && bytes > size)
        throw new SourceError(
          'SourceTooLong',
          upstreamRetry,
          `${safeUrl(url)} sent more than the ${size} bytes it announced`,
        );
      yield chunk;
      stall.waiting();
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SourceError) throw error;
    throw tooShort(url, bytes, size, error);
  } finally {
    stall.stop();
  }
  if (size !== undefined && bytes < size) throw tooShort(url, bytes, size, undefined);
}

function tooShort(url: URL, bytes: number, size: number | undefined, cause: unknown): SourceError {
  const why = cause === undefined ? '' : `: ${describe(cause)}`;
  const message = `the connection to ${safeUrl(url)} broke after ${progress(bytes, size)}${why}`;
  return new SourceError('SourceTooShort', retry.backoff, message, { cause });
}

function progress(bytes: number, size: number | undefined): string {
  return size === undefined ? `${bytes} bytes` : `${bytes} of ${size} bytes`;
}

interface StallWatch {
  waiting(): void;
  received(bytes: number): void;
  stop(): void;
}

/** Calls `onStall` when too few bytes came during one window of time spent waiting. */
function createStallWatch(clock: Clock, limits: SourceLimits, onStall: () => void): StallWatch {
  let bytes = 0;
  let waitedMs = 0;
  let since = 0;
  let cancel = () => {};
  const windowEnds = () => {
    if (bytes < limits.stallBytes) return onStall();
    bytes = 0;
    waitedMs = 0;
    waiting();
  };
  const waiting = () => {
    since = clock.monotonic();
    cancel = clock.schedule(Math.max(limits.stallWindowMs - waitedMs, 0), windowEnds);
  };
  return {
    waiting,
    received(length) {
      cancel();
      waitedMs += clock.monotonic() - since;
      bytes += length;
    },
    stop: () => cancel(),
  };
}

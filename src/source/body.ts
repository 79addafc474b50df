/**
 * Reads the body of one response to its end.
 *
 * Guarantees: the reader gets exactly the announced bytes, or those from `wanted` on, or an error; a source that stops sending is
 * detected. Only the time that is spent waiting for the source counts: a slow consumer causes no stall.
 */
import { createIdleTimer } from '../http/idle-timeout.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { progress, SourceError, tooLong } from './errors.ts';
import type { SourceLimits } from './source.ts';

export interface BodyOptions {
  body: AsyncIterable<Uint8Array>;
  /** Makes `body` throw, soon. Called at most once. */
  stop: (error: SourceError) => void;
  url: URL | string;
  /** Offset in the file at which the body begins… */
  start: number;
  /** …and has to end, exclusive; undefined if that is unknown. */
  end: number | undefined;
  /** The first byte of the file to deliver. Earlier ones are dropped. */
  wanted: number;
  /** Length of the whole file if it is known, for messages. */
  size: number | undefined;
  clock: Clock;
  limits: SourceLimits;
  /** `body` ends with this signal. Here it only distinguishes an abort from a failure. */
  signal: AbortSignal;
}

export async function* readBody(options: BodyOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const { body, url, start, end, wanted, size, clock, limits, signal } = options;
  let at = start;
  let stalled: SourceError | undefined;
  const onIdle = () => {
    const rate = `fewer than ${limits.stallBytes} bytes in ${limits.stallWindowMs / 1000} s`;
    stalled = new SourceError('SourceStalled', `${safeUrl(url)} sent ${rate}, after ${progress(at, size)}`);
    options.stop(stalled);
  };
  const timer = createIdleTimer({ clock, windowMs: limits.stallWindowMs, minBytes: limits.stallBytes }, onIdle);
  try {
    timer.waiting();
    for await (const chunk of body) {
      timer.received(chunk.length);
      const before = at;
      at += chunk.length;
      if (at > limits.maxBytes) throw tooLong(url, `sent ${at} bytes`, limits.maxBytes);
      if (end !== undefined && at > end)
        throw new SourceError('SourceTooLong', `${safeUrl(url)} sent more than the ${end} bytes it announced`);
      if (at > wanted) yield before >= wanted ? chunk : chunk.subarray(wanted - before);
      timer.waiting();
    }
  } catch (error) {
    signal.throwIfAborted();
    if (stalled !== undefined) throw stalled;
    if (error instanceof OperatorError) throw error;
    throw tooShort(url, at, size, error);
  } finally {
    timer.stop();
  }
  if (end !== undefined && at < end) throw tooShort(url, at, size, undefined);
}

function tooShort(url: URL | string, bytes: number, size: number | undefined, cause: unknown): SourceError {
  const why = cause === undefined ? '' : `: ${describe(cause)}`;
  const message = `the connection to ${safeUrl(url)} broke after ${progress(bytes, size)}${why}`;
  return new SourceError('SourceTooShort', message, { cause });
}

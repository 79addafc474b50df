/**
 * The limit on the time that a download may take in all, where there is one. Law: the timer is gone when the download is over,
 * however it ended.
 */
import { aborted, linked } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { retry } from '../lib/errors.ts';
import { SourceError } from './errors.ts';
import type { SourceLimits } from './source.ts';

export interface TimeLimit {
  /** Aborts with the caller's signal, or with SourceTooSlow when the time is up. */
  signal: AbortSignal;
  /** The download is over. */
  stop(): void;
}

/** `soFar` says how far it has come, for the message. */
export function limitTime(
  { clock, limits, signal }: { clock: Clock; limits: SourceLimits; signal: AbortSignal },
  soFar: () => string,
): TimeLimit {
  const { totalMs } = limits;
  if (totalMs === undefined) return { signal, stop: () => {} };
  const over = linked(signal);
  const cancel = clock.schedule(totalMs, () => {
    const message = `${soFar()} when the ${totalMs / 1000} s that it may take were over`;
    over.abort(new SourceError('SourceTooSlow', retry.backoff, message));
  });
  void aborted(over.signal).then(cancel);
  const stop = () => {
    cancel();
    over[Symbol.dispose]();
  };
  return { signal: over.signal, stop };
}

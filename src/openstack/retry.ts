/**
 * The call policy: how often one call is tried. Law: `1 + retries` tries within one deadline, and only where a second try
 * cannot do harm that the first one did not do: a body that was begun is never sent again, and answers that may follow an
 * applied change (429, 502, 504) are tried again only when the call is idempotent.
 *
 * What a caller sees after the last try is the last failure, unchanged.
 */

import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { errorCode } from '../lib/errors.ts';
import { ConnectionFailed, HttpFailure } from './errors.ts';

export interface RetryPolicy {
  /** Tries after the first one. */
  retries: number;
  /** The first pause; it doubles with every further one up to `longestDelayMs`, ± half. */
  firstDelayMs: number;
  /** Also the longest Retry-After that a call sits out; what takes longer is left to the caller. */
  longestDelayMs: number;
  /** All tries and pauses together. */
  deadlineMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  retries: 3,
  firstDelayMs: 500,
  longestDelayMs: 10_000,
  deadlineMs: 150_000,
};

export interface RetryContext {
  policy: RetryPolicy;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
}

/**
 * Runs `attempt` until it succeeds, fails in a way that `mayRepeat` refuses, or the policy is used up. `attempt` is told how
 * many milliseconds are left of the whole; it must end within them.
 */
export async function withRetries<T>(
  { policy, clock, random, signal }: RetryContext,
  mayRepeat: (error: unknown) => boolean,
  attempt: (leftMs: number) => Promise<T>,
): Promise<T> {
  const end = clock.monotonic() + policy.deadlineMs;
  for (let tried = 0; ; tried++) {
    signal.throwIfAborted();
    try {
      return await attempt(end - clock.monotonic());
    } catch (error) {
      signal.throwIfAborted();
      if (tried >= policy.retries || !mayRepeat(error)) throw error;
      const delay = delayBefore(policy, tried, error, random);
      if (delay === undefined || clock.monotonic() + delay >= end) throw error;
      await clock.sleep(delay, signal);
    }
  }
}

/** Milliseconds to wait before the next try; undefined when the server asks for more patience than a call has. */
function delayBefore(policy: RetryPolicy, tried: number, error: unknown, random: Random): number | undefined {
  const backoff = jitter(Math.min(policy.firstDelayMs * 2 ** tried, policy.longestDelayMs), 0.5, random);
  const asked = error instanceof HttpFailure ? (error.retryAfterMs ?? 0) : 0;
  return asked > policy.longestDelayMs ? undefined : Math.max(asked, backoff);
}

/** Whether the same call, sent again, may fare better. `idempotent`: applying it twice is the same as applying it once. */
export function isPassing(error: unknown, idempotent: boolean): boolean {
  if (error instanceof ConnectionFailed) return !isCertificateProblem(error);
  if (!(error instanceof HttpFailure)) return false;
  switch (error.status) {
    case 503:
      return true;
    case 429:
    case 502:
    case 504:
      return idempotent;
    default:
      return false;
  }
}

/** A certificate that we do not trust now will not be trusted in two seconds. */
function isCertificateProblem(error: ConnectionFailed): boolean {
  const code = errorCode(error.cause) ?? '';
  return /CERT|ERR_TLS|UNABLE_TO_(?:GET|VERIFY)/.test(code);
}

/** A Retry-After header (seconds, or an HTTP date) in milliseconds from `now`; undefined when absent or unreadable. */
export function retryAfterMs(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = /^[A-Z][a-z]{2},? /.test(text) ? new Date(text).getTime() : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}

/**
 * The call policy: how often one call is tried. Law: `1 + retries` tries within one deadline, and only where a second try
 * cannot do harm that the first one did not do: what may have been applied is sent again only where applying it twice is the
 * same as applying it once, and what the cloud cannot bear (`budget.ts`) is not sent again at all.
 *
 * What a caller sees after the last try is the last failure, unchanged.
 */

import { EgressRefused } from '../http/egress.ts';
import { backoff } from '../lib/backoff.ts';
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
  budget: RetryBudget;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
}

/** What a failure means for the next try. */
export type Verdict =
  /** It would fare no better, or could do harm. */
  | 'never'
  /** It is about the endpoint: another one may do. */
  | 'elsewhere'
  | 'anywhere';

export interface Attempts<T> {
  /** It must end within the milliseconds that are left of the whole. */
  once: (leftMs: number) => Promise<T>;
  verdict: (error: unknown) => Verdict;
  /** Whether the next try goes to an endpoint that has not been tried. */
  hasUntried: () => boolean;
}

/** Tries until it succeeds, fails in a way that forbids another try, or the policy or the budget is used up. */
export async function withRetries<T>(
  { policy, budget, clock, random, signal }: RetryContext,
  { once, verdict, hasUntried }: Attempts<T>,
): Promise<T> {
  const end = clock.monotonic() + policy.deadlineMs;
  for (let tried = 0; ; tried++) {
    signal.throwIfAborted();
    try {
      const result = await once(end - clock.monotonic());
      budget.responseFieldsOf();
      return result;
    } catch (error) {
      signal.throwIfAborted();
      const outlook = verdict(error);
      if (outlook === 'never' && error instanceof HttpFailure) budget.responseFieldsOf();
      if (outlook === 'never' || (outlook === 'elsewhere' && !hasUntried())) throw error;
      const affordable = budget.failed();
      if (tried >= policy.retries || !(affordable || hasUntried())) throw error;
      const delay = delayBefore(policy, tried, hasUntried() ? 0 : retryAfterOf(error), random);
      if (delay === undefined || clock.monotonic() + delay >= end) throw error;
      await clock.sleep(delay, signal);
    }
  }
}

/** Milliseconds to wait before the next try; undefined when the server asks for more patience than a call has. */
function delayBefore(policy: RetryPolicy, tried: number, askedMs: number, random: Random): number | undefined {
  const growth = { firstMs: policy.firstDelayMs, maxMs: policy.longestDelayMs };
  const ownMs = jitter(backoff(growth, tried), 0.5, random);
  return askedMs > policy.longestDelayMs ? undefined : Math.max(askedMs, ownMs);
}

/** What an endpoint asks for holds for itself: another one may have time now. */
function retryAfterOf(error: unknown): number {
  return error instanceof HttpFailure ? (error.retryAfterMs ?? 0) : 0;
}

/** What becomes of the same call, sent again. `idempotent`: applying it twice is the same as applying it once. */
export function classify(error: unknown, idempotent: boolean): Verdict {
  if (error instanceof EgressRefused) return 'elsewhere';
  if (error instanceof ConnectionFailed) {
    if (isCertificateProblem(error)) return 'elsewhere';
    return idempotent || isUndelivered(error) ? 'anywhere' : 'never';
  }
  if (!(error instanceof HttpFailure)) return 'never';
  switch (error.status) {
    case 503:
      return 'anywhere';
    case 429:
    case 502:
    case 504:
      return idempotent ? 'anywhere' : 'never';
    default:
      return 'never';
  }
}

/** A certificate that we do not trust now will not be trusted in two seconds. */
function isCertificateProblem(error: ConnectionFailed): boolean {
  const code = errorCode(error.cause) ?? '';
  return /CERT|ERR_TLS|ERR_SSL|UNABLE_TO_(?:GET|VERIFY)/.test(code);
}

/** Nothing can have been applied where there was no connection. */
function isUndelivered(error: ConnectionFailed): boolean {
  const code = errorCode(error.cause) ?? '';
  return /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/.test(code);
}

/** A Retry-After header (seconds, or an HTTP date) in milliseconds from `now`; undefined when absent or unreadable. */
export function retryAfterMs(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = /^[A-Z][a-z]{2},? /.test(text) ? new Date(text).getTime() : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}

/**
 * How many retries one cloud gets. Over any time they are at most `capacity`, and one more for every ten responses, so that a
 * cloud that is down or overloaded does not get four times the load.
 *
 * This is the token bucket of gRPC's retry throttling: a failed attempt takes one token, and it is retried only if there was
 * one; a response gives a tenth of a token back. An empty bucket leaves the first attempts: each call still tries every endpoint
 * once, because an endpoint that the call has not tried yet gets no repetition.
 */
export interface RetryBudget {
  /** A try was answered, if only with a refusal. */
  responseFieldsOf(): void;
  /** A try failed. Whether the bucket held a token for its repetition, which is taken. */
  failed(): boolean;
}

export const budgetDefaults = {
  /** Ten calls in a row may fail in each of their four attempts. */
  capacity: 40,
  /** Tokens that a response gives back. */
  refill: 0.1,
};

export function createRetryBudget({ capacity, refill } = budgetDefaults): RetryBudget {
  // In thousandths, for sums that stay exact.
  const unit = 1000;
  const most = capacity * unit;
  let left = most;
  return {
    responseFieldsOf() {
      left = Math.min(most, left + Math.round(refill * unit));
    },
    failed() {
      if (left < unit) return false;
      left -= unit;
      return true;
    },
  };
}

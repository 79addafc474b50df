/**
 * Retries of one call. After the last attempt the caller gets the last failure, unchanged.
 *
 * Guarantees: at most `1 + retries` attempts within one deadline; a request that may have been applied is repeated only if it is
 * idempotent; no retries beyond the budget of the cloud.
 */

import { EgressRefused } from '../http/egress.ts';
import { ProxyDenied } from '../http/proxy.ts';
import { isTlsProblem } from '../http/trust.ts';
import { backoff } from '../lib/backoff.ts';
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { errorCode } from '../lib/errors.ts';
import { ConnectionFailed, HttpFailure } from './errors.ts';

export interface RetryPolicy {
  /** Attempts after the first one. */
  retries: number;
  /** The first pause. Each further one is twice as long, up to `longestDelayMs`, ± half. */
  firstDelayMs: number;
  /** Also the longest Retry-After that a call waits for. With a longer one the call fails. */
  longestDelayMs: number;
  /** For all attempts and pauses together. */
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

/** Where a failed request may be sent again. */
export type RetryTarget =
  /** A repetition would fail, too, or could do harm. */
  | 'never'
  /** The endpoint is at fault: another one may work. */
  | 'elsewhere'
  | 'anywhere';

export interface Attempts<T> {
  /** Must end within `leftMs`, the time until the deadline of the call. */
  attempt: (leftMs: number) => Promise<T>;
  classify: (error: unknown) => RetryTarget;
  /** Whether the next attempt goes to an endpoint that has not been tried. */
  hasUntried: () => boolean;
}

/** Repeats the attempt until it succeeds, must not be repeated, or has used up the policy or the budget. */
export async function withRetries<T>(
  { policy, budget, clock, random, signal }: RetryContext,
  { attempt, classify, hasUntried }: Attempts<T>,
): Promise<T> {
  const end = clock.monotonic() + policy.deadlineMs;
  for (let tried = 0; ; tried++) {
    signal.throwIfAborted();
    try {
      const result = await attempt(end - clock.monotonic());
      budget.responded();
      return result;
    } catch (error) {
      signal.throwIfAborted();
      const target = classify(error);
      if (target === 'never' && error instanceof HttpFailure) budget.responded();
      if (target === 'never' || (target === 'elsewhere' && !hasUntried())) throw error;
      const affordable = budget.failed();
      if (tried >= policy.retries || !(affordable || hasUntried())) throw error;
      const delay = delayBefore(policy, tried, hasUntried() ? 0 : retryAfterOf(error), random);
      if (delay === undefined || clock.monotonic() + delay >= end) throw error;
      await clock.sleep(delay, signal);
    }
  }
}

/** Milliseconds to wait before the next attempt. Undefined if the server's Retry-After is longer than a call waits. */
function delayBefore(policy: RetryPolicy, tried: number, askedMs: number, random: Random): number | undefined {
  const growth = { firstMs: policy.firstDelayMs, maxMs: policy.longestDelayMs };
  const ownMs = jitter(backoff(growth, tried), 0.5, random);
  return askedMs > policy.longestDelayMs ? undefined : Math.max(askedMs, ownMs);
}

/** Applies to the endpoint that sent it: another endpoint can be tried at once. */
function retryAfterOf(error: unknown): number {
  return error instanceof HttpFailure ? (error.retryAfterMs ?? 0) : 0;
}

/** Where the same request may be sent again. `idempotent`: applying it twice has the same effect as applying it once. */
export function classify(error: unknown, idempotent: boolean): RetryTarget {
  if (error instanceof EgressRefused || error instanceof ProxyDenied) return 'elsewhere';
  if (error instanceof ConnectionFailed) {
    // A certificate that is not trusted now will not be trusted in two seconds.
    if (isTlsProblem(errorCode(error.cause) ?? '')) return 'elsewhere';
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

/** Without a connection nothing can have been applied. */
function isUndelivered(error: ConnectionFailed): boolean {
  const code = errorCode(error.cause) ?? '';
  return /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ProxyUnreachable)$/.test(
    code,
  );
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
  /** An attempt got a response, including one that rejects the request. */
  responded(): void;
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
    responded() {
      left = Math.min(most, left + Math.round(refill * unit));
    },
    failed() {
      if (left < unit) return false;
      left -= unit;
      return true;
    },
  };
}

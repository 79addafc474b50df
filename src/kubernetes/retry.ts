/**
 * Whether one failed call is sent again, and when. Law: a call that the server may have carried out is sent again only if
 * sending it twice does no harm. A reconcile's own retries are another level and not decided here.
 */
import { backoff } from '../lib/backoff.ts';
import { jitter, type Random } from '../lib/clock.ts';
import type { OperatorError } from '../lib/errors.ts';
import { KubernetesError } from './errors.ts';

const maxRetries = 3;
const growth = { firstMs: 200, maxMs: 800 };

/** Milliseconds to wait before retry number `attempt` (0 for the first), or undefined where there shall be none. */
export function retryDelay(
  error: OperatorError,
  attempt: number,
  idempotent: boolean,
  random: Random,
): number | undefined {
  if (attempt >= maxRetries || !(error instanceof KubernetesError) || !mayRepeat(error, idempotent)) return undefined;
  const delay = jitter(backoff(growth, attempt), 0.5, random);
  // The server's wish is a minimum; the jitter on top keeps its clients apart.
  return error.retryAfterMs === undefined ? delay : error.retryAfterMs + delay;
}

function mayRepeat(error: KubernetesError, idempotent: boolean): boolean {
  switch (error.reason) {
    // Priority and fairness turns a request away before it does anything.
    case 'TooManyRequests':
      return true;
    case 'Unreachable':
    case 'ServiceUnavailable':
    case 'BadGateway':
      return idempotent;
    // Said with a Retry-After only when the server knows that it will pass (ServerTimeout, Timeout, InternalError).
    default:
      return idempotent && error.retryAfterMs !== undefined && (error.httpStatus ?? 0) >= 500;
  }
}

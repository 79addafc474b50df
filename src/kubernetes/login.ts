/**
 * Remembers the reviews of tokens, and bounds how many the API server gets.
 *
 * Guarantees: tokens are kept as hashes only; however many requests come, at most `perSecond` reviews a second of new tokens are sent,
 * and as many of tokens that were allowed before, so that a flood of invalid tokens does not lock out a monitoring system that is logged
 * in. Requests with one token at the same time share a review.
 * Caveat: a permission that was taken away counts for up to a minute more, and for ten minutes while the API server is out of reach.
 */
import { abortable, neverAborted } from '../lib/abort.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { Clock } from '../lib/clock.ts';
import { textHash } from '../lib/hash.ts';
import type { Review, ReviewToken } from './reviews.ts';

export type Login = Review | { kind: 'busy' } | { kind: 'unavailable'; error: unknown };

export interface LoginOptions {
  review: ReviewToken;
  /** The path that a user must be allowed to GET. */
  path: string;
  clock: Clock;
}

const perSecond = 5;
const allowedMs = 60_000;
const rejectedMs = 10_000;
/** How long an allowed token counts while the API server is out of reach. */
const outageMs = 600_000;
/** Tokens of Kubernetes have about a thousand characters. */
const longestToken = 16_384;
const most = { allowed: 64, rejected: 512 };

/** Takes the header `authorization` of a request. */
export type LogIn = (header: string | undefined, signal: AbortSignal) => Promise<Login>;

interface Known {
  review: Review;
  at: number;
}

export function createLogin({ review, path, clock }: LoginOptions): LogIn {
  // Apart, so that rejected tokens do not displace allowed ones.
  const allowed = new BoundedMap<string, Known>(most.allowed);
  const rejected = new BoundedMap<string, Known>(most.rejected);
  const running = new Map<string, Promise<Login>>();
  const rates = { first: createRate(clock), again: createRate(clock) };

  /** A client that leaves does not end it, because others may wait for it. It has the deadline of every call. */
  async function ask(token: string, hash: string, earlier: Known | undefined): Promise<Login> {
    try {
      const result = await review(token, path, neverAborted());
      const known = { review: result, at: clock.monotonic() };
      allowed.delete(hash);
      (result.kind === 'allowed' ? allowed : rejected).set(hash, known);
      return result;
    } catch (error) {
      if (earlier !== undefined && clock.monotonic() - earlier.at < outageMs) return earlier.review;
      return { kind: 'unavailable', error };
    }
  }

  return async (header, signal) => {
    const [, token = ''] = /^Bearer +([!-~]+) *$/i.exec(header ?? '') ?? [];
    if (token === '' || token.length > longestToken) return { kind: 'unauthenticated' };
    const hash = textHash(token);
    const now = clock.monotonic();
    const before = allowed.get(hash);
    if (before !== undefined && now - before.at < allowedMs) return before.review;
    const earlier = rejected.get(hash);
    if (earlier !== undefined && now - earlier.at < rejectedMs) return earlier.review;
    const current = running.get(hash);
    if (current !== undefined) return whileThere(current, signal);
    if (!rates[before === undefined ? 'first' : 'again'].take()) return { kind: 'busy' };
    const asked = ask(token, hash, before).finally(() => running.delete(hash));
    running.set(hash, asked);
    return whileThere(asked, signal);
  };
}

/** For a client that has left, the result does not matter. */
function whileThere(login: Promise<Login>, signal: AbortSignal): Promise<Login> {
  return abortable(login, signal).catch((error: unknown) => ({ kind: 'unavailable', error }));
}

function createRate(clock: Clock) {
  let [second, count] = [0, 0];
  return {
    take(): boolean {
      const now = Math.floor(clock.monotonic() / 1000);
      if (now !== second) [second, count] = [now, 0];
      count++;
      return count <= perSecond;
    },
  };
}

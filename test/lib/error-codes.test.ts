import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  delayOf,
  type ErrorCode,
  errorCodes,
  longestDelayMs,
  type Retry,
  reactionTo,
  retries,
  retryOf,
} from '../../src/lib/error-codes.ts';

const minute = 60_000;

describe('the table of retries', () => {
  const rows: [code: ErrorCode, retryAfterMs: number | undefined, retry: Retry][] = [
    ['GlanceUnavailable', undefined, { kind: 'backoff' }],
    ['GlanceUnavailable', 30_000, { kind: 'backoff', leastMs: 30_000 }],
    ['GlanceUnavailable', 0, { kind: 'backoff', leastMs: 0 }],
    ['QuotaExceeded', undefined, { kind: 'after', ms: 5 * minute }],
    ['QuotaExceeded', 1000, { kind: 'after', ms: 5 * minute }],
    ['QuotaExceeded', 20 * minute, { kind: 'after', ms: 20 * minute }],
    ['Forbidden', 1000, { kind: 'change', lookAgainMs: 10 * minute }],
    ['DigestMismatch', undefined, { kind: 'change', lookAgainMs: 60 * minute }],
    ['AuthenticationFailed', 1000, { kind: 'backoffThenChange', attempts: 8, lookAgainMs: 10 * minute }],
  ];
  for (const [code, retryAfterMs, retry] of rows)
    test(`${code} with a Retry-After of ${retryAfterMs ?? 'no'} ms is retried by ${retry.kind}`, () => {
      assert.deepEqual(retryOf(code, retryAfterMs), retry);
    });

  test('every failure has a next attempt within 72 minutes, whatever its code and the number of attempts are', () => {
    assert.equal(longestDelayMs, 72 * minute);
    const code = fc.constantFrom(...errorCodes);
    const retryAfterMs = fc.option(fc.nat({ max: 60 * minute }), { nil: undefined });
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(code, retryAfterMs, fc.integer({ min: 1, max: 2 ** 31 }), random, (name, asked, attempts, number) => {
        const ms = delayOf(reactionTo(retryOf(name, asked), attempts), attempts, number);
        assert.ok(ms > 0 && ms <= longestDelayMs, `${ms}`);
      }),
    );
  });

  test('a 401 of Keystone is retried for about four minutes before it needs a change', () => {
    const reactions = Array.from({ length: 10 }, (_, index) => reactionTo(retries.AuthenticationFailed, index + 1));
    const first = reactions.findIndex(({ kind }) => kind === 'change');
    const elapsedMs = reactions.slice(0, first).reduce((sum, each, index) => sum + delayOf(each, index + 1, 0.5), 0);
    assert.equal(elapsedMs, 255_000);
    assert.deepEqual(reactions.slice(first), Array(10 - first).fill({ kind: 'change', lookAgainMs: 10 * minute }));
  });
});

describe('the wait before the next attempt', () => {
  test('the wait before the next attempt doubles from one second to ten minutes', () => {
    const waits = [1, 2, 3, 4, 10, 100].map((attempts) => delayOf({ kind: 'backoff' }, attempts, 0.5));
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 512_000, 600_000]);
  });

  test('a Retry-After lengthens a growing wait and never shortens it, so that no server causes a retry every second', () => {
    const waits = (retryAfterMs: number) =>
      [1, 5, 100].map((attempts) =>
        delayOf(reactionTo(retryOf('GlanceUnavailable', retryAfterMs), attempts), attempts, 0.5),
      );
    assert.deepEqual(waits(0), [1000, 16_000, 600_000]);
    assert.deepEqual(waits(30_000), [30_000, 30_000, 600_000]);
  });

  test('the wait before the next attempt has a jitter of one fifth', () => {
    assert.equal(delayOf({ kind: 'after', ms: 1000 }, 1, 0), 800);
    assert.ok(delayOf({ kind: 'after', ms: 1000 }, 1, 0.999) < 1200);
  });
});

/** Exponential backoff. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../../src/lib/backoff.ts';

test('each backoff delay is twice as long as the one before, up to the longest', () => {
  const growth = { firstMs: 100, maxMs: 1000 };
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((attempt) => backoff(growth, attempt)),
    [100, 200, 400, 800, 1000, 1000],
  );
});

test('a backoff delay grows by the factor that is given', () => {
  assert.equal(backoff({ firstMs: 250, maxMs: 10_000, factor: 4 }, 2), 4000);
});

test('a backoff delay stays finite after any number of attempts', () => {
  assert.equal(backoff({ firstMs: 1, maxMs: 1000 }, 1e9), 1000);
});

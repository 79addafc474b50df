import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createBackoff } from '../../src/controller/backoff.ts';

test('the ceiling of a retry delay doubles from one second to ten minutes', () => {
  const backoff = createBackoff(() => 1);
  const waits = Array.from({ length: 12 }, () => backoff.fail('a') / 1000);
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
});

test('each key has its own backoff, and a success resets it', () => {
  const backoff = createBackoff(() => 1);
  backoff.fail('a');
  assert.equal(backoff.fail('b'), 1000);
  backoff.forget('a');
  assert.equal(backoff.fail('a'), 1000);
  assert.equal(backoff.fail('b'), 2000);
});

test('every random delay lies below the ceiling for the failures since the last success', () => {
  const draw = fc.double({ min: 0, max: 0.999, noNaN: true });
  const step = fc.record({ key: fc.constantFrom('a', 'b'), fails: fc.boolean(), draw });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let drawn = 0;
      const backoff = createBackoff(() => drawn);
      const inARow = new Map<string, number>();
      for (const { key, fails, draw } of steps) {
        drawn = draw;
        const before = inARow.get(key) ?? 0;
        inARow.set(key, fails ? before + 1 : 0);
        if (fails) assert.equal(backoff.fail(key), Math.round(draw * Math.min(600_000, 1000 * 2 ** before)));
        else backoff.forget(key);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createBackoff } from '../../src/controller/backoff.ts';

test('the ceiling doubles from one second to ten minutes', () => {
  const backoff = createBackoff(() => 1);
  const waits = Array.from({ length: 12 }, () => backoff.fail('a') / 1000);
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
});

test('keys do not know of each other, and success forgets', () => {
  const backoff = createBackoff(() => 1);
  backoff.fail('a');
  assert.equal(backoff.fail('b'), 1000);
  backoff.forget('a');
  assert.deepEqual(backoff.attempt('a'), { failures: 0, delayMs: 1000 });
});

test('the wait that was announced is the wait that follows, and lies under the ceiling', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 3, maxLength: 3 }), (draws) => {
      let at = 0;
      const backoff = createBackoff(() => draws[at++ % draws.length] ?? 0);
      for (let failures = 0; failures < 30; failures++) {
        const announced = backoff.attempt('a');
        assert.equal(announced.failures, failures);
        assert.deepEqual(backoff.attempt('a'), announced);
        assert.equal(backoff.fail('a'), announced.delayMs);
        assert.ok(announced.delayMs <= Math.min(600_000, 1000 * 2 ** failures));
      }
    }),
  );
});

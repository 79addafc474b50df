import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { budgetDefaults, createRetryBudget } from '../../src/openstack/retry.ts';

const seed = 20_260_101;

test('the number of retries never exceeds the capacity plus a tenth of the responses', () => {
  const course = fc.array(fc.boolean(), { maxLength: 400 });
  const numbers = fc.record({ capacity: fc.integer({ min: 0, max: 20 }), refill: fc.constantFrom(0, 0.1, 0.25, 1) });
  fc.assert(
    fc.property(numbers, course, (options, events) => {
      const budget = createRetryBudget(options);
      let answers = 0;
      let retries = 0;
      for (const isAnswer of events) {
        if (isAnswer) answers++;
        if (isAnswer) budget.responded();
        else if (budget.failed()) retries++;
        assert.ok(retries <= options.capacity + options.refill * answers + 1e-9);
      }
    }),
    { seed, numRuns: 300 },
  );
});

test('an outage uses up all retries, and ten responses for each restore them', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (before) => {
      const budget = createRetryBudget();
      for (const isAnswer of before) isAnswer ? budget.responded() : budget.failed();
      const { capacity, refill } = budgetDefaults;
      for (let failures = 0; failures <= capacity; failures++) budget.failed();
      assert.ok(!budget.failed());
      for (let answers = 0; answers < capacity / refill; answers++) budget.responded();
      const back = Array.from({ length: 2 * capacity }, () => budget.failed()).filter((allowed) => allowed);
      assert.equal(back.length, capacity);
    }),
    { seed, numRuns: 200 },
  );
});

test('ten responses pay for one retry', () => {
  const budget = createRetryBudget();
  while (budget.failed());
  for (let answers = 0; answers < 9; answers++) budget.responded();
  assert.ok(!budget.failed());
  budget.responded();
  assert.ok(budget.failed());
  assert.ok(!budget.failed());
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BudgetExceeded, createMemoryBudget, type MemoryShare, ShareReturned } from '../../src/lib/memory-budget.ts';

const never = new AbortController().signal;
const settle = () => new Promise((done) => setImmediate(done));

function ask(share: MemoryShare, bytes: number): { done: boolean; error: unknown } {
  const state: { done: boolean; error: unknown } = { done: false, error: undefined };
  share.want(bytes);
  share.granted().then(
    () => {
      state.done = true;
    },
    (error: unknown) => {
      state.error = error;
    },
  );
  return state;
}

test('a share waits until the others have returned enough, in the order of arrival', async () => {
  const budget = createMemoryBudget(100);
  const [a, b, c] = [budget.share(never), budget.share(never), budget.share(never)];
  const asked = [ask(a, 80), ask(b, 60), ask(c, 10)];
  await settle();
  assert.deepEqual(
    asked.map(({ done }) => done),
    [true, false, false],
  );
  a[Symbol.dispose]();
  await settle();
  assert.deepEqual(
    asked.map(({ done }) => done),
    [true, true, true],
  );
  assert.equal(budget.used, 70);
});

test('a share grows without waiting, or fails, so that two users never wait for each other', async () => {
  const budget = createMemoryBudget(100);
  const [a, b] = [budget.share(never), budget.share(never)];
  const first = [ask(a, 40), ask(b, 40)];
  await settle();
  const more = [ask(a, 55), ask(b, 55)];
  await settle();
  assert.deepEqual(
    [...first, more[0]].map((each) => each?.done),
    [true, true, true],
  );
  assert.ok(more[1]?.error instanceof BudgetExceeded);
});

test('a share larger than the budget is the whole budget', async () => {
  const budget = createMemoryBudget(100);
  const [a, b] = [budget.share(never), budget.share(never)];
  const asked = [ask(a, 1000), ask(b, 1)];
  await settle();
  assert.deepEqual([asked[0]?.done, asked[1]?.done, budget.used], [true, false, 100]);
});

test('a share that is aborted while it waits leaves its place', async () => {
  const budget = createMemoryBudget(100);
  const stop = new AbortController();
  const [a, b, c] = [budget.share(never), budget.share(stop.signal), budget.share(never)];
  const asked = [ask(a, 100), ask(b, 100), ask(c, 50)];
  stop.abort(new Error('stopped'));
  a[Symbol.dispose]();
  await settle();
  assert.match(String(asked[1]?.error), /stopped/);
  assert.equal(asked[2]?.done, true);
  assert.equal(budget.used, 50);
});

test('a share that was returned takes nothing more, whether it waits or asks again', async () => {
  const budget = createMemoryBudget(100);
  const [held, returned] = [budget.share(never), budget.share(never)];
  await settle();
  const first = ask(held, 80);
  const waiting = ask(returned, 40);
  returned[Symbol.dispose]();
  held[Symbol.dispose]();
  await settle();
  const again = [ask(held, 90), ask(returned, 50)];
  await settle();
  assert.ok(first.done);
  for (const { error } of [waiting, ...again]) assert.ok(error instanceof ShareReturned);
  assert.equal(budget.used, 0);
});

test('spare memory that is returned twice is returned once', () => {
  const budget = createMemoryBudget(100);
  const lease = budget.spare(60);
  assert(lease !== undefined && budget.spare(40) !== undefined);
  lease[Symbol.dispose]();
  lease[Symbol.dispose]();
  assert.equal(budget.used, 40);
});

test('shares never exceed the budget, and all memory comes back, for any sequence of calls', async () => {
  const step = fc.record({ at: fc.nat(5), kind: fc.constantFrom('ask', 'abort', 'end'), bytes: fc.nat(120) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const budget = createMemoryBudget(100);
      const users = Array.from({ length: 6 }, () => {
        const stop = new AbortController();
        return { stop, share: budget.share(stop.signal) };
      });
      for (const { at, kind, bytes } of steps) {
        const user = users[at] ?? assert.fail();
        if (kind === 'ask') ask(user.share, bytes);
        else if (kind === 'abort') user.stop.abort(new Error('stopped'));
        else user.share[Symbol.dispose]();
        await settle();
        assert.ok(budget.used >= 0 && budget.used <= 100);
      }
      for (const { stop } of users) stop.abort(new Error('over'));
      await settle();
      for (const { share } of users) share[Symbol.dispose]();
      assert.equal(budget.used, 0);
    }),
    { numRuns: 200 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock } from '../../src/lib/clock.ts';
import { BudgetExceeded, createMemoryBudget, type MemoryBudget, ShareReturned } from '../../src/lib/memory-budget.ts';
import { createRemoteMemory, serveMemory, withCores } from '../../src/transfer/thread-memory.ts';

const never = new AbortController().signal;

/** A thread whose messages arrive one turn later. */
function threadOf(budget: Pick<MemoryBudget, 'share' | 'spare'>) {
  const shares = serveMemory(budget, (response) => setImmediate(() => memory.receive(response)));
  const memory = createRemoteMemory((request) => setImmediate(() => shares.receive(request)), systemClock);
  return { memory, end: shares.returnAll };
}

async function settled(promise: Promise<void>): Promise<boolean> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  for (let turns = 0; turns < 5; turns++) await nextTurn();
  return isSettled;
}

test('decoders in two threads share one budget of memory', async () => {
  const budget = createMemoryBudget(100);
  const [one, two] = [threadOf(budget), threadOf(budget)];
  const [first, second] = [one.memory.share(never), two.memory.share(never)];
  first.want(80);
  await first.granted();
  second.want(40);
  const waiting = second.granted();
  assert.equal(await settled(waiting), false);
  assert.equal(budget.used, 80);
  first[Symbol.dispose]();
  await waiting;
  assert.equal(budget.used, 40);
  second.want(60);
  await second.granted();
  assert.equal(budget.used, 60);
});

test('a share of a thread that cannot grow is rejected in that thread', async () => {
  const budget = createMemoryBudget(100);
  const [one, two] = [threadOf(budget), threadOf(budget)];
  const [first, second] = [one.memory.share(never), two.memory.share(never)];
  for (const share of [first, second]) {
    share.want(50);
    await share.granted();
  }
  second.want(51);
  await assert.rejects(second.granted(), BudgetExceeded);
});

test('the memory of a thread that has ended is returned, and so are its waiting shares', async () => {
  const budget = createMemoryBudget(100);
  const [one, two] = [threadOf(budget), threadOf(budget)];
  const [held, waits] = [one.memory.share(never), one.memory.share(never)];
  held.want(80);
  await held.granted();
  waits.want(80);
  assert.equal(await settled(waits.granted()), false);
  one.end();
  assert.equal(budget.used, 0);
  const other = two.memory.share(never);
  other.want(100);
  await other.granted();
});

test('a share that is aborted while it waits returns its place', async () => {
  const budget = createMemoryBudget(100);
  const { memory } = threadOf(budget);
  const abort = new AbortController();
  const held = memory.share(never);
  held.want(80);
  await held.granted();
  const waits = memory.share(abort.signal);
  waits.want(80);
  const waiting = assert.rejects(waits.granted(), /cancelled/);
  await nextTurn();
  abort.abort(new Error('cancelled'));
  await waiting;
  waits[Symbol.dispose]();
  held[Symbol.dispose]();
  for (let turns = 0; turns < 5; turns++) await nextTurn();
  assert.equal(budget.used, 0);
});

test('a share that was returned in a thread takes nothing more, whether it waits or asks again', async () => {
  const budget = createMemoryBudget(100);
  const { memory } = threadOf(budget);
  const [held, returned] = [memory.share(never), memory.share(never)];
  held.want(80);
  await held.granted();
  returned.want(80);
  const waiting = assert.rejects(returned.granted(), ShareReturned);
  await nextTurn();
  returned[Symbol.dispose]();
  held[Symbol.dispose]();
  await waiting;
  held.want(90);
  returned.want(90);
  for (const share of [held, returned]) {
    await assert.rejects(share.granted(), ShareReturned);
    share[Symbol.dispose]();
  }
  for (let turns = 0; turns < 5; turns++) await nextTurn();
  assert.equal(budget.used, 0);
});

test('a decoder gets further threads while cores and memory are free, in any thread of transfers', async () => {
  const budget = createMemoryBudget(100);
  const cores = withCores(budget, 4);
  const [one, two] = [threadOf(cores), threadOf(cores)];
  const transfers = [cores.useCore(), cores.useCore()];
  assert.equal(await one.memory.helpers.take(101), undefined, 'more memory than there is');
  const first = await one.memory.helpers.take(30);
  const second = await two.memory.helpers.take(30);
  assert(first !== undefined && second !== undefined);
  assert.equal(await one.memory.helpers.take(10), undefined, 'four cores are in use');
  transfers.pop()?.[Symbol.dispose]();
  const third = await one.memory.helpers.take(10);
  assert(third !== undefined);
  assert.equal(budget.used, 70);
  second[Symbol.dispose]();
  for (let turns = 0; turns < 5; turns++) await nextTurn();
  assert.equal(budget.used, 40);
  one.end();
  assert.equal(budget.used, 0);
  assert((await two.memory.helpers.take(100)) !== undefined, 'the cores of a thread that has ended are free');
});

test('a decoder gets no further threads while a transfer waits for memory', async () => {
  const budget = createMemoryBudget(100);
  const { memory } = threadOf(withCores(budget, 4));
  const held = memory.share(never);
  held.want(80);
  await held.granted();
  const waits = memory.share(never);
  waits.want(80);
  const waiting = waits.granted();
  assert.equal(await settled(waiting), false);
  assert.equal(await memory.helpers.take(10), undefined);
  held[Symbol.dispose]();
  await waiting;
  assert((await memory.helpers.take(10)) !== undefined);
});

test('a core that is returned twice is free once', () => {
  const memory = withCores(createMemoryBudget(100), 2);
  using _transfer = memory.useCore();
  const core = memory.useCore();
  core[Symbol.dispose]();
  core[Symbol.dispose]();
  assert(memory.spare(10) !== undefined);
  assert.equal(memory.spare(10), undefined);
});

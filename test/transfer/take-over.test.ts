/** Runs of earlier processes that cannot be listed at first. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { abortable } from '../../src/lib/abort.ts';
import type { Executor } from '../../src/transfer/executor.ts';
import type { TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { idOf, type Operator, setUp, signal, succeed } from './durable.ts';
import { resultOf } from './plans.ts';
import { ample, planOf, settle } from './schedulers.ts';

let env: ReturnType<typeof setUp>;
let first: Operator;
beforeEach(async () => {
  env = setUp();
  first = await env.operator();
});

/** A process whose executor cannot list the runs of earlier ones until `list` is called. */
function withoutLists() {
  const { executor } = env.cluster.process();
  const listed = Promise.withResolvers<void>();
  const late: Executor = {
    ...executor,
    async attach(stop) {
      await abortable(listed.promise, stop);
      return executor.attach(stop);
    },
  };
  const changes: string[] = [];
  const onChange = (key: string) => changes.push(key);
  const scheduler = createScheduler({ executor: late, limits: ample, clock: env.clock, onChange });
  return { scheduler, changes, list: listed.resolve };
}

test('earlier runs that cannot be listed delay others by a minute only, and are taken over once they are found', async () => {
  first.scheduler.start('a', planOf('a'));
  first.scheduler.start('b', planOf('old'));
  first.scheduler.start('c', planOf('c'));
  first.kill();
  const { scheduler, changes, list } = withoutLists();
  let isOver = false;
  const over = scheduler.takeOver(signal).then(() => {
    isOver = true;
  });
  await env.clock.advance(59_000);
  assert.equal(isOver, false);
  await env.clock.advance(1_000);
  await over;
  scheduler.start('a', planOf('a'));
  scheduler.start('b', planOf('new'));
  await settle();
  assert.deepEqual(env.cluster.begun, ['a', 'old', 'c', 'new'].map(idOf), 'a run that is active begins once');
  list();
  await settle();
  assert.deepEqual([...env.cluster.runs.keys()], ['a', 'c', 'new'].map(idOf), 'the run of an earlier plan is dropped');
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => scheduler.get(key)?.kind),
    ['running', 'running', 'running'],
  );
  assert(changes.includes('c'));
  for (const name of ['a', 'new', 'c']) succeed(env.cluster, name);
  await settle();
  assert.deepEqual(scheduler.ended().toSorted(), ['a', 'b', 'c']);
});

test('an outcome of an earlier plan that is found late is dropped', async () => {
  first.scheduler.start('a', planOf('old'));
  first.kill();
  succeed(env.cluster, 'old');
  const { scheduler, list } = withoutLists();
  const over = scheduler.takeOver(signal);
  await env.clock.advance(60_000);
  await over;
  scheduler.start('a', planOf('new'));
  list();
  await settle();
  assert.deepEqual([...env.cluster.runs.keys()], [idOf('new')]);
});

test('an earlier run that is found late is dropped where this process has begun the same transfer in itself', async () => {
  first.scheduler.start('a', planOf('a'));
  first.kill();
  const { executor } = env.cluster.process();
  const listed = Promise.withResolvers<void>();
  const here = Promise.withResolvers<TransferResult>();
  const inThread: Executor = {
    start: () => ({ ended: here.promise }),
    attach: (stop) => listed.promise.then(() => executor.attach(stop)),
  };
  const scheduler = createScheduler({ executor: inThread, limits: ample, clock: env.clock, onChange: () => {} });
  const over = scheduler.takeOver(signal);
  await env.clock.advance(60_000);
  await over;
  scheduler.start('a', planOf('a'));
  listed.resolve();
  await settle();
  assert.equal(env.cluster.runs.size, 0, 'the earlier run goes on');
  here.resolve(resultOf(7));
  await settle();
  assert.deepEqual(scheduler.ended(), ['a']);
});

test('a scheduler that has stopped leaves runs that are found late to the next one', async () => {
  first.scheduler.start('a', planOf('a'));
  first.kill();
  const { scheduler, list } = withoutLists();
  const over = scheduler.takeOver(signal);
  await env.clock.advance(60_000);
  await over;
  await scheduler.stop();
  list();
  await settle();
  assert.equal(scheduler.get('a'), undefined);
  assert.deepEqual([...env.cluster.runs.keys()], [idOf('a')]);
});

test('a stop ends the wait for earlier runs with its reason', async () => {
  const stop = new AbortController();
  const over = withoutLists().scheduler.takeOver(stop.signal);
  stop.abort(new Error('stopped'));
  await assert.rejects(over, /stopped/);
});

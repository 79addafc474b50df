import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { executorOf } from '../../src/transfer/executor.ts';
import { createScheduler, type Scheduler, TransferCancelled } from '../../src/transfer/scheduler.ts';
import { imageIDOf, resultOf } from './plans.ts';
import { ample, moved, planOf, settle, setUp } from './schedulers.ts';

describe('the scheduler', () => {
  let env: ReturnType<typeof setUp>;
  let scheduler: Scheduler;
  const stateOf = (key: string) => scheduler.get(key) ?? assert.fail(`nothing is known of ${key}`);
  beforeEach(() => {
    env = setUp(2);
    scheduler = env.scheduler;
  });

  test('a scheduler runs as many transfers as allowed, and the others in the order of arrival', async () => {
    for (const key of ['a', 'b', 'c', 'd']) scheduler.start(key, planOf(key));
    assert.deepEqual(env.kinds('a', 'b', 'c', 'd'), ['running', 'running', 'queued', 'queued']);
    const queuedAt = env.clock.now().toISOString();
    assert.deepEqual(scheduler.get('d'), { kind: 'queued', plan: planOf('d'), position: 2, queuedAt });
    env.runOf('b').finish(resultOf(1));
    await settle();
    assert.deepEqual(env.kinds('a', 'b', 'c', 'd'), ['running', 'succeeded', 'running', 'queued']);
    assert.deepEqual(scheduler.get('d'), { kind: 'queued', plan: planOf('d'), position: 1, queuedAt });
  });

  test('a scheduler keeps a result until it is forgotten', async () => {
    scheduler.start('a', planOf('a'));
    const running = stateOf('a');
    scheduler.forget('a', running);
    assert.deepEqual(env.kinds('a'), ['running']);
    env.runOf('a').finish(resultOf(7));
    await settle();
    assert.deepEqual(scheduler.get('a'), { kind: 'succeeded', plan: planOf('a'), result: resultOf(7) });
    scheduler.forget('a', running);
    assert.deepEqual(env.kinds('a'), ['succeeded'], 'an end that the caller has not seen is kept');
    scheduler.forget('a', stateOf('a'));
    assert.equal(scheduler.get('a'), undefined);
  });

  test('a scheduler keeps the result of a transfer that was started after the forgotten one', async () => {
    scheduler.start('a', planOf('a'));
    env.runOf('a').fail(new Error('no'));
    await settle();
    const failed = stateOf('a');
    scheduler.start('a', planOf('a'));
    env.runOf('a').fail(new Error('again'));
    await settle();
    scheduler.forget('a', failed);
    assert.deepEqual(env.kinds('a'), ['failed']);
  });

  test('a scheduler keeps a failure, even one that a run throws synchronously', async () => {
    const error = new Error('no');
    scheduler.start('a', planOf('a'));
    env.runOf('a').fail(error);
    await settle();
    assert.deepEqual(scheduler.get('a'), { kind: 'failed', plan: planOf('a'), error });
    const broken = createScheduler({
      executor: executorOf(() => {
        throw error;
      }),
      limits: ample,
      clock: env.clock,
      onChange: () => {},
    });
    broken.start('a', planOf('a'));
    await settle();
    assert.equal(broken.get('a')?.kind, 'failed');
  });

  test('a scheduler repeats an ended transfer, and ignores an active one with an equal plan', async () => {
    scheduler.start('a', planOf('a'));
    scheduler.start('a', planOf('a'));
    assert.equal(env.runs.length, 1);
    env.runOf('a').fail(new Error('no'));
    await settle();
    scheduler.start('a', planOf('a'));
    assert.equal(env.runs.length, 2);
    assert.deepEqual(env.kinds('a'), ['running']);
  });

  test('a scheduler replaces a running plan after the old run has settled', async () => {
    scheduler.start('a', planOf('old'));
    scheduler.start('a', planOf('new'));
    assert.equal(env.runOf('old').signal.aborted, true);
    assert.deepEqual(env.kinds('a'), ['queued']);
    assert.equal(env.runs.length, 1);
    env.runOf('old').fail(env.runOf('old').signal.reason);
    await settle();
    assert.deepEqual(env.kinds('a'), ['running']);
    env.runOf('new').finish(resultOf(1));
    await settle();
    assert.deepEqual(env.kinds('a'), ['succeeded']);
  });

  test('a scheduler replaces a queued plan without running it', async () => {
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key));
    scheduler.start('c', planOf('old'));
    scheduler.start('c', planOf('new'));
    env.runOf('a').finish(resultOf(1));
    await settle();
    assert.deepEqual(
      env.runs.map(({ plan }) => plan.imageID),
      ['a', 'b', 'new'].map(imageIDOf),
    );
  });

  test('a scheduler removes a cancelled transfer at once, and waits until its run has settled', async () => {
    scheduler.start('a', planOf('a'));
    let settled = false;
    const cancelled = scheduler.cancel('a').then(() => {
      settled = true;
    });
    assert.equal(scheduler.get('a'), undefined);
    assert(env.runOf('a').signal.reason instanceof TransferCancelled);
    await settle();
    assert.equal(settled, false);
    env.changes.length = 0;
    env.runOf('a').finish(resultOf(1));
    await cancelled;
    assert.equal(scheduler.get('a'), undefined);
    assert.deepEqual(env.changes, []);
  });

  test('a scheduler reuses the slot of a cancelled run only after it has settled', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    const cancelled = scheduler.cancel('a');
    assert.deepEqual(env.kinds('c'), ['queued']);
    env.runOf('a').fail(new Error('aborted'));
    await cancelled;
    assert.deepEqual(env.kinds('c'), ['running']);
  });

  test('a scheduler cancels queued, ended and unknown transfers without waiting', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    env.runOf('a').finish(resultOf(1));
    await settle();
    scheduler.start('d', planOf('d'));
    await scheduler.cancel('a');
    await scheduler.cancel('d');
    await scheduler.cancel('unknown');
    assert.deepEqual(env.kinds('a', 'd'), [undefined, undefined]);
  });

  test('a scheduler drains by completing running transfers without starting queued ones', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    let drained = false;
    const ended = scheduler.drain().then(() => {
      drained = true;
    });
    assert.equal(env.runs.length, 2);
    env.runs[0]?.finish(resultOf(1));
    await settle();
    assert.equal(drained, false);
    env.runs[1]?.finish(resultOf(1));
    await ended;
    assert.equal(env.runs.length, 2);
    assert.equal(env.runs[0]?.signal.aborted, false);
  });

  test('a scheduler stops by cancelling everything, and starts nothing after that', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    const stopped = scheduler.stop();
    for (const run of env.runs) {
      assert.equal(run.signal.aborted, true);
      run.fail(run.signal.reason);
    }
    await stopped;
    scheduler.start('e', planOf('e'));
    assert.deepEqual(env.kinds('a', 'b', 'c', 'e'), [undefined, undefined, undefined, undefined]);
    assert.equal(env.runs.length, 2);
    assert.equal(env.clock.pending, 0);
  });
});

describe('the changes that a scheduler reports', () => {
  test('a scheduler reports only the end of a small transfer', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    runOf('a').onProgress(moved(5, 10));
    await clock.advance(999);
    runOf('a').finish(resultOf(10));
    await settle();
    await clock.advance(60_000);
    assert.deepEqual(changes, ['a']);
    assert.equal(clock.pending, 0);
  });

  test('a scheduler reports progress after two seconds and then every five while it changes', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    changes.length = 0;
    const told: number[] = [];
    for (let second = 1; second <= 20; second++) {
      runOf('a').onProgress(moved(second * 1000, 50_000));
      await clock.advance(1000);
      if (changes.splice(0).length > 0) told.push(second);
    }
    assert.deepEqual(told, [2, 7, 12, 17]);
    assert.deepEqual(scheduler.get('a'), {
      kind: 'running',
      plan: planOf('a'),
      ...moved(20_000, 50_000),
      bytesPerSecond: 1000,
      startedAt: '2026-01-01T00:00:00.000Z',
    });
  });

  test('a scheduler reports a stalled transfer once and then no more', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    runOf('a').onProgress(moved(1000));
    for (const ms of [1000, 5000, 5000, 5000]) await clock.advance(ms);
    assert.deepEqual(changes, ['a', 'a']);
    const state = scheduler.get('a');
    assert(state?.kind === 'running');
    assert.equal(state.bytesPerSecond, 0);
  });
});

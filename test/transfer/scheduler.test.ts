import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { OperatorError, retry } from '../../src/lib/errors.ts';
import type { TransferObserver } from '../../src/transfer/meter.ts';
import type { TransferPlan, TransferProgress, TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler, type Scheduler, TransferCancelled } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { imageIDOf, type PlanOptions, planOf as planWith, resultOf } from './plans.ts';

const planOf = (name: string, options: PlanOptions = {}) => planWith({ imageID: imageIDOf(name), ...options });

const moved = (bytes: number, total?: number): TransferProgress => ({
  bytes,
  servedBytes: bytes,
  total,
  phase: 'transferring',
});

/** A run under the hand of the test. */
interface Run {
  plan: TransferPlan;
  signal: AbortSignal;
  onProgress: (progress: TransferProgress) => void;
  finish: (result: TransferResult) => void;
  fail: (error: unknown) => void;
}

const ample = { total: 100, perCloud: 100, perHost: 100 };

function setUp(total: number, observer?: TransferObserver) {
  const clock = createVirtualClock();
  const runs: Run[] = [];
  const changes: string[] = [];
  const scheduler = createScheduler({
    execute: (plan, { signal, onProgress }) => {
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      runs.push({ plan, signal, onProgress, finish: resolve, fail: reject });
      return promise;
    },
    limits: { ...ample, total },
    clock,
    onChange: (key) => changes.push(key),
    ...(observer === undefined ? {} : { observer }),
  });
  const runOf = (name: string): Run =>
    runs.findLast(({ plan }) => plan.imageID === imageIDOf(name)) ?? assert.fail(`${name} does not run`);
  const kinds = (...keys: string[]) => keys.map((key) => scheduler.get(key)?.kind);
  return { clock, scheduler, runs, changes, runOf, kinds };
}

/** Lets everything that is ready to happen happen. */
const settle = () => new Promise((done) => setImmediate(done));

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
    assert.deepEqual(scheduler.get('d'), { kind: 'queued', plan: planOf('d'), position: 2 });
    env.runOf('b').finish(resultOf(1));
    await settle();
    assert.deepEqual(env.kinds('a', 'b', 'c', 'd'), ['running', 'succeeded', 'running', 'queued']);
    assert.deepEqual(scheduler.get('d'), { kind: 'queued', plan: planOf('d'), position: 1 });
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
      execute: () => {
        throw error;
      },
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

  test('a scheduler reports progress after one second and then every five while it changes', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    changes.length = 0;
    const told: number[] = [];
    for (let second = 1; second <= 20; second++) {
      runOf('a').onProgress(moved(second * 1000, 50_000));
      await clock.advance(1000);
      if (changes.splice(0).length > 0) told.push(second);
    }
    assert.deepEqual(told, [1, 6, 11, 16]);
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

describe('the limits of a scheduler', () => {
  test('limits of a scheduler are kept per cloud, and do not delay transfers to other clouds', async () => {
    const { scheduler, runOf, kinds } = setUp(10);
    scheduler.setLimits({ ...ample, perCloud: 1 });
    const busy = { address: 'https://busy.example.com' };
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key, busy));
    scheduler.start('c', planOf('c', { address: 'https://idle.example.com' }));
    assert.deepEqual(kinds('a', 'b', 'c'), ['running', 'queued', 'running']);
    runOf('c').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('b'), ['queued']);
    runOf('a').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('b'), ['running']);
  });

  test('limits of a scheduler are kept per source host for any path', async () => {
    const { scheduler, kinds } = setUp(10);
    scheduler.setLimits({ ...ample, perHost: 1 });
    scheduler.start('a', planOf('a', { url: 'https://mirror.example.com/a' }));
    scheduler.start('b', planOf('b', { url: 'https://mirror.example.com/b' }));
    scheduler.start('c', planOf('c', { url: 'https://other.example.com/c' }));
    const image = (secretName: string) =>
      ({ kind: 'glance', image: imageIDOf('x'), cloud: { secretRef: { name: secretName }, name: 'demo' } }) as const;
    scheduler.start('d', planOf('d', { source: image('one') }));
    scheduler.start('e', planOf('e', { source: image('one') }));
    scheduler.start('f', planOf('f', { source: image('two') }));
    assert.deepEqual(kinds('a', 'b', 'c'), ['running', 'queued', 'running']);
    assert.deepEqual(kinds('d', 'e', 'f'), ['running', 'queued', 'running']);
  });

  test('limits of a scheduler take effect at once when raised, and do not affect running transfers when lowered', async () => {
    const { scheduler, runs, runOf, kinds } = setUp(1);
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    scheduler.setLimits({ ...ample, total: 3 });
    assert.deepEqual(kinds('a', 'b', 'c'), ['running', 'running', 'running']);
    scheduler.setLimits({ ...ample, total: 1 });
    scheduler.start('d', planOf('d'));
    assert(runs.every(({ signal }) => !signal.aborted));
    for (const key of ['a', 'b']) runOf(key).finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('c', 'd'), ['running', 'queued']);
    runOf('c').finish(resultOf(1));
    await settle();
    assert.deepEqual(kinds('d'), ['running']);
  });
});

describe('fairness between namespaces', () => {
  test('a scheduler starts transfers round-robin over namespaces', async () => {
    const { scheduler, runs, clock } = setUp(1);
    const started = () => runs.map(({ plan }) => plan.cloud.namespace).join('');
    for (const key of ['1', '2', '3', '4']) scheduler.start(`a${key}`, planOf(`a${key}`, { namespace: 'a' }));
    for (const key of ['1', '2']) scheduler.start(`b${key}`, planOf(`b${key}`, { namespace: 'b' }));
    scheduler.start('c1', planOf('c1', { namespace: 'c' }));
    const positions = ['a2', 'a3', 'a4', 'b1', 'b2', 'c1'].map((key) => {
      const state = scheduler.get(key);
      return state?.kind === 'queued' ? state.position : undefined;
    });
    assert.deepEqual(positions, [3, 5, 6, 1, 4, 2]);
    for (let run = 0; run < 7; run++) {
      runs[run]?.finish(resultOf(1));
      await settle();
    }
    assert.equal(started(), 'abcabaa');
    assert.equal(clock.pending, 0);
  });
});

describe('the observer of a scheduler', () => {
  test('the observer of a scheduler receives counts, bytes, durations and ends for each cloud', async () => {
    const heard: unknown[] = [];
    const observer: TransferObserver = {
      counted: (cloud, { queued, active }) => heard.push(['counted', cloud, queued, active]),
      moved: (cloud, bytes) => heard.push(['moved', cloud, bytes]),
      spent: (cloud, phase, ms) => heard.push(['spent', cloud, phase, ms]),
      ended: (cloud, end) => heard.push(['ended', cloud, end.kind === 'failed' ? end.code : end.kind]),
    };
    const { scheduler, runOf, clock } = setUp(1, observer);
    const next = () => heard.splice(0);
    scheduler.start('a', planOf('a', { address: 'A' }));
    assert.deepEqual(next(), [
      ['counted', 'A', 1, 0],
      ['spent', 'A', 'queued', 0],
      ['counted', 'A', 0, 1],
    ]);
    scheduler.start('b', planOf('b', { address: 'B' }));
    scheduler.start('c', planOf('c', { address: 'B' }));
    assert.deepEqual(next(), [
      ['counted', 'B', 1, 0],
      ['counted', 'B', 2, 0],
    ]);
    await clock.advance(500);
    runOf('a').onProgress(moved(100));
    await clock.advance(200);
    runOf('a').onProgress(moved(150));
    runOf('a').onProgress({ ...moved(150), phase: 'finishing' });
    runOf('a').finish(resultOf(150));
    await settle();
    assert.deepEqual(next(), [
      ['moved', 'A', 100],
      ['spent', 'A', 'connecting', 500],
      ['moved', 'A', 50],
      ['spent', 'A', 'transferring', 200],
      ['spent', 'A', 'finishing', 0],
      ['ended', 'A', 'succeeded'],
      ['counted', 'A', 0, 0],
      ['spent', 'B', 'queued', 700],
      ['counted', 'B', 1, 1],
    ]);
    runOf('b').fail(new OperatorError('no', { code: 'DigestMismatch', retry: retry.change }));
    await settle();
    assert(next().some((each) => isDeepStrictEqual(each, ['ended', 'B', 'DigestMismatch'])));
    const cancelled = scheduler.cancel('c');
    runOf('c').fail(runOf('c').signal.reason);
    await cancelled;
    assert.deepEqual(next().slice(-2), [
      ['ended', 'B', 'cancelled'],
      ['counted', 'B', 0, 0],
    ]);
  });
});

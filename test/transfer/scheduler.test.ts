import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import {
  defaultLimits,
  type TransferPlan,
  type TransferProgress,
  type TransferResult,
} from '../../src/transfer/plan.ts';
import { createScheduler, type Scheduler, TransferCancelled } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';

function planOf(imageID: string): TransferPlan {
  return {
    imageID,
    source: { kind: 'http', url: 'https://example.com/image.raw' },
    diskFormat: 'raw',
    limits: defaultLimits,
    cloud: { namespace: 'team', secretName: 'cloud', name: 'demo' },
  };
}

function resultOf(bytes: number): TransferResult {
  return {
    bytes,
    digest: 'sha512:00',
    url: 'https://example.com/',
    startedAt: '1970-01-01T00:00:00.000Z',
    durationMs: 1,
  };
}

/** A run under the hand of the test. */
interface Run {
  plan: TransferPlan;
  signal: AbortSignal;
  onProgress: (progress: TransferProgress) => void;
  finish: (result: TransferResult) => void;
  fail: (error: unknown) => void;
}

function setUp(concurrency: number) {
  const clock = createVirtualClock();
  const runs: Run[] = [];
  const changes: string[] = [];
  const scheduler = createScheduler({
    run: (plan, { signal, onProgress }) => {
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      runs.push({ plan, signal, onProgress, finish: resolve, fail: reject });
      return promise;
    },
    concurrency,
    clock,
    onChange: (key) => changes.push(key),
  });
  const runOf = (imageID: string): Run => runs.findLast(({ plan }) => plan.imageID === imageID) ?? assert.fail(imageID);
  const kinds = (...keys: string[]) => keys.map((key) => scheduler.get(key)?.kind);
  return { clock, scheduler, runs, changes, runOf, kinds };
}

/** Lets everything that is ready to happen happen. */
const settle = () => new Promise((done) => setImmediate(done));

describe('the scheduler', () => {
  let env: ReturnType<typeof setUp>;
  let scheduler: Scheduler;
  beforeEach(() => {
    env = setUp(2);
    scheduler = env.scheduler;
  });

  test('runs as many as it may, and the others in the order in which they came', async () => {
    for (const key of ['a', 'b', 'c', 'd']) scheduler.start(key, planOf(key));
    assert.deepEqual(env.kinds('a', 'b', 'c', 'd'), ['running', 'running', 'queued', 'queued']);
    assert.deepEqual(scheduler.get('d'), { kind: 'queued', plan: planOf('d'), position: 2 });
    env.runOf('b').finish(resultOf(1));
    await settle();
    assert.deepEqual(env.kinds('a', 'b', 'c', 'd'), ['running', 'succeeded', 'running', 'queued']);
    assert.deepEqual(scheduler.get('d'), { kind: 'queued', plan: planOf('d'), position: 1 });
    assert.deepEqual(
      scheduler.active().map(({ key, state }) => [key, state.kind]),
      [
        ['a', 'running'],
        ['c', 'running'],
        ['d', 'queued'],
      ],
    );
  });

  test('keeps a result until it is forgotten', async () => {
    scheduler.start('a', planOf('a'));
    scheduler.forget('a');
    assert.deepEqual(env.kinds('a'), ['running']);
    env.runOf('a').finish(resultOf(7));
    await settle();
    assert.deepEqual(scheduler.get('a'), { kind: 'succeeded', plan: planOf('a'), result: resultOf(7) });
    scheduler.forget('a');
    assert.equal(scheduler.get('a'), undefined);
  });

  test('keeps a failure, even one that a run throws at once', async () => {
    const error = new Error('no');
    scheduler.start('a', planOf('a'));
    env.runOf('a').fail(error);
    await settle();
    assert.deepEqual(scheduler.get('a'), { kind: 'failed', plan: planOf('a'), error });
    const broken = createScheduler({
      run: () => {
        throw error;
      },
      concurrency: 1,
      clock: env.clock,
      onChange: () => {},
    });
    broken.start('a', planOf('a'));
    await settle();
    assert.equal(broken.get('a')?.kind, 'failed');
  });

  test('runs again what had ended, and does nothing for what is on its way already', async () => {
    scheduler.start('a', planOf('a'));
    scheduler.start('a', planOf('a'));
    assert.equal(env.runs.length, 1);
    env.runOf('a').fail(new Error('no'));
    await settle();
    scheduler.start('a', planOf('a'));
    assert.equal(env.runs.length, 2);
    assert.deepEqual(env.kinds('a'), ['running']);
  });

  test('replaces a running plan by another once the old run has settled', async () => {
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

  test('replaces a queued plan without ever running it', async () => {
    for (const key of ['a', 'b']) scheduler.start(key, planOf(key));
    scheduler.start('c', planOf('old'));
    scheduler.start('c', planOf('new'));
    env.runOf('a').finish(resultOf(1));
    await settle();
    assert.deepEqual(
      env.runs.map(({ plan }) => plan.imageID),
      ['a', 'b', 'new'],
    );
  });

  test('makes a cancelled transfer vanish at once, and waits until its run has settled', async () => {
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

  test('gives the slot of a cancelled run away only when it has settled', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    const cancelled = scheduler.cancel('a');
    assert.deepEqual(env.kinds('c'), ['queued']);
    env.runOf('a').fail(new Error('aborted'));
    await cancelled;
    assert.deepEqual(env.kinds('c'), ['running']);
  });

  test('cancels what is queued, ended or unknown without waiting', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    env.runOf('a').finish(resultOf(1));
    await settle();
    scheduler.start('d', planOf('d'));
    await scheduler.cancel('a');
    await scheduler.cancel('d');
    await scheduler.cancel('unknown');
    assert.deepEqual(env.kinds('a', 'd'), [undefined, undefined]);
  });

  test('stops by cancelling everything, and starts nothing after that', async () => {
    for (const key of ['a', 'b', 'c']) scheduler.start(key, planOf(key));
    const stopped = scheduler.stop();
    for (const run of env.runs) {
      assert.equal(run.signal.aborted, true);
      run.fail(run.signal.reason);
    }
    await stopped;
    scheduler.start('e', planOf('e'));
    assert.deepEqual(scheduler.active(), []);
    assert.equal(env.runs.length, 2);
    assert.equal(env.clock.pending, 0);
  });
});

describe('the changes that a scheduler tells', () => {
  test('are the end alone, for a small upload', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    runOf('a').onProgress({ bytes: 5, total: 10 });
    await clock.advance(999);
    runOf('a').finish(resultOf(10));
    await settle();
    await clock.advance(60_000);
    assert.deepEqual(changes, ['a']);
    assert.equal(clock.pending, 0);
  });

  test('come after a second and then every five while bytes move', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    changes.length = 0;
    const told: number[] = [];
    for (let second = 1; second <= 20; second++) {
      runOf('a').onProgress({ bytes: second * 1000, total: 50_000 });
      await clock.advance(1000);
      if (changes.splice(0).length > 0) told.push(second);
    }
    assert.deepEqual(told, [1, 6, 11, 16]);
    assert.deepEqual(scheduler.get('a'), {
      kind: 'running',
      plan: planOf('a'),
      bytes: 20_000,
      total: 50_000,
      bytesPerSecond: 1000,
      startedAt: '2026-01-01T00:00:00.000Z',
    });
  });

  test('cease when nothing moves, after one that says so', async () => {
    const { scheduler, runOf, changes, clock } = setUp(1);
    scheduler.start('a', planOf('a'));
    runOf('a').onProgress({ bytes: 1000, total: undefined });
    for (const ms of [1000, 5000, 5000, 5000]) await clock.advance(ms);
    assert.deepEqual(changes, ['a', 'a']);
    const state = scheduler.get('a');
    assert(state?.kind === 'running');
    assert.equal(state.bytesPerSecond, 0);
  });
});

describe('whatever is asked of a scheduler, in whatever order', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    fc.record({ kind: fc.constant('start' as const), key, image: fc.constantFrom('x', 'y') }),
    fc.record({ kind: fc.constant('cancel' as const), key }),
    fc.record({ kind: fc.constant('forget' as const), key }),
    fc.record({ kind: fc.constant('finish' as const), at: fc.nat(3) }),
    fc.record({ kind: fc.constant('fail' as const), at: fc.nat(3) }),
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  interface OpenRun {
    key: string;
    finish: () => void;
    fail: () => void;
  }

  function setUp(concurrency: number) {
    const open: OpenRun[] = [];
    const violations: string[] = [];
    const scheduler = createScheduler({
      run: async ({ imageID }) => {
        const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
        const [key = ''] = imageID.split(':');
        if (open.some((run) => run.key === key)) violations.push(`${key} runs twice`);
        const run = { key, finish: () => resolve(resultOf(1)), fail: () => reject(new Error('no')) };
        open.push(run);
        if (open.length > concurrency) violations.push('more runs than allowed');
        return promise.finally(() => open.splice(open.indexOf(run), 1));
      },
      concurrency,
      clock: createVirtualClock(),
      onChange: () => {},
    });
    return { scheduler, open, violations };
  }

  function take(step: Step, scheduler: Scheduler, open: OpenRun[]): unknown {
    switch (step.kind) {
      case 'start':
        return scheduler.start(step.key, planOf(`${step.key}:${step.image}`));
      case 'cancel':
        return scheduler.cancel(step.key);
      case 'forget':
        return scheduler.forget(step.key);
      case 'finish':
        return open[step.at]?.finish();
      case 'fail':
        return open[step.at]?.fail();
    }
  }

  test('limits hold, no key runs twice at once, no slot stays idle, and everything comes to its end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 40 }),
        async (concurrency, steps) => {
          const { scheduler, open, violations } = setUp(concurrency);
          for (const step of steps) {
            take(step, scheduler, open);
            await settle();
            assert.deepEqual(violations, []);
            // What waits either waits for a slot, or for its own cancelled run.
            const waiting = scheduler.active().filter(({ state }) => state.kind === 'queued');
            if (open.length < concurrency) assert(waiting.every(({ key }) => open.some((run) => run.key === key)));
          }
          while (open.length > 0) {
            for (const run of [...open]) run.finish();
            await settle();
          }
          assert.deepEqual(scheduler.active(), []);
        },
      ),
    );
  });
});

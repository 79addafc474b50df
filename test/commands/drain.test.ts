import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drainOf } from '../../src/commands/transfers.ts';
import { createController } from '../../src/controller/controller.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { supervise } from '../../src/controller/supervisor.ts';
import { createEmitter, reported } from '../../src/controller/triggers.ts';
import { aborted } from '../../src/lib/abort.ts';
import type { Key } from '../../src/lib/key.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { executorOf } from '../../src/transfer/executor.ts';
import type { TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler, type TransferState } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from '../transfer/plans.ts';
import { ample, planOf } from '../transfer/schedulers.ts';

/** A supervised controller whose reconciles take a second and record the transfer of their key. */
function setup({ waits }: { waits: boolean }) {
  const clock = createVirtualClock();
  const changes = createEmitter<Key>();
  const runs = new Map<string, PromiseWithResolvers<TransferResult>>();
  const scheduler = createScheduler({
    executor: executorOf(async ({ imageID }, { signal }) => {
      const run = Promise.withResolvers<TransferResult>();
      runs.set(imageID, run);
      signal.addEventListener('abort', () => run.reject(signal.reason), { once: true });
      return run.promise;
    }),
    limits: { ...ample, total: 1 },
    clock,
    onChange: changes.emit,
  });
  const recorded: [Key, TransferState['kind'] | undefined][] = [];
  const controller = createController({
    name: 'thing',
    workers: 1,
    caches: {},
    triggers: [reported(changes)],
    metrics: createMetrics(clock),
    async reconcile(key, signal) {
      await clock.sleep(1000, signal);
      const state = scheduler.get(key);
      recorded.push([key, state?.kind]);
      if (state?.kind === 'succeeded' || state?.kind === 'failed') scheduler.forget(key, state);
      return { kind: 'awaitChange' };
    },
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  const stop = new AbortController();
  const components = [
    {
      name: 'transfers',
      async run(until: AbortSignal) {
        await aborted(until);
        await scheduler.stop();
      },
    },
    controller,
    drainOf(scheduler, controller, waits),
  ];
  const ended = supervise(components, { clock, log: silentLogger, drainMs: 20_000 }, stop.signal);
  const finish = (key: string) =>
    (runs.get(planOf(key).imageID) ?? assert.fail(`${key} does not run`)).resolve(resultOf(1));
  return { clock, scheduler, stop, ended, recorded, finish };
}

test('the result of a transfer that ends while the process drains is handled by the controller', async () => {
  const { clock, scheduler, stop, ended, recorded, finish } = setup({ waits: true });
  await clock.advance(0);
  scheduler.start('a/1', planOf('a/1'));
  await clock.advance(500);
  stop.abort(new Error('stop'));
  await clock.advance(5000);
  finish('a/1');
  // Beyond the drain deadline, so that a result that is never handled fails the test instead of blocking it.
  await clock.advance(25_000);
  await ended;
  assert.deepEqual(recorded.at(-1), ['a/1', 'succeeded']);
});

test('the result of a transfer that ended just before the stop is handled, whether or not the process waits for others', async () => {
  for (const waits of [true, false]) {
    const { clock, scheduler, stop, ended, recorded, finish } = setup({ waits });
    await clock.advance(0);
    scheduler.start('a/1', planOf('a/1'));
    scheduler.start('a/2', planOf('a/2'));
    await clock.advance(0);
    finish('a/1');
    await clock.advance(0);
    stop.abort(new Error('stop'));
    await clock.advance(3000);
    if (waits) finish('a/2');
    await clock.advance(25_000);
    await ended;
    const succeeded = recorded.filter(([, kind]) => kind === 'succeeded').map(([key]) => key);
    assert.deepEqual(succeeded, waits ? ['a/1', 'a/2'] : ['a/1']);
  }
});

test('the results of transfers that ended together just before the stop are all handled, although the only worker is busy', async () => {
  for (const waits of [true, false]) {
    const { clock, scheduler, stop, ended, recorded, finish } = setup({ waits });
    await clock.advance(0);
    for (const key of ['a/1', 'a/2']) {
      scheduler.start(key, planOf(key));
      await clock.advance(0);
      finish(key);
    }
    await clock.advance(0);
    stop.abort(new Error('stop'));
    await clock.advance(25_000);
    await ended;
    const succeeded = recorded.filter(([, kind]) => kind === 'succeeded').map(([key]) => key);
    assert.deepEqual(succeeded, ['a/1', 'a/2']);
  }
});

test('a transfer that is requested while the process drains is queued, not lost', async () => {
  const { clock, scheduler, stop, ended, finish } = setup({ waits: true });
  await clock.advance(0);
  scheduler.start('a/1', planOf('a/1'));
  stop.abort(new Error('stop'));
  await clock.advance(0);
  scheduler.start('a/2', planOf('a/2'));
  assert.equal(scheduler.get('a/2')?.kind, 'queued');
  finish('a/1');
  await clock.advance(25_000);
  await ended;
  assert.equal(scheduler.get('a/2'), undefined);
});

test('the drain deadline ends the wait for a transfer', async () => {
  const { clock, scheduler, stop, ended } = setup({ waits: true });
  await clock.advance(0);
  scheduler.start('a/1', planOf('a/1'));
  stop.abort(new Error('stop'));
  await clock.advance(20_000);
  await ended;
  assert.equal(scheduler.get('a/1'), undefined);
});

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { runIDOf } from '../../src/transfer/executor.ts';
import { noProgress } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { idOf, type Operator, setUp, signal, succeed } from './durable.ts';
import { imageIDOf, resultOf } from './plans.ts';
import { ample, moved, planOf, settle } from './schedulers.ts';

describe('durable runs', () => {
  let env: ReturnType<typeof setUp>;
  let first: Operator;
  beforeEach(async () => {
    env = setUp();
    first = await env.operator();
  });

  test('a run that is active when its process is killed continues, and the next scheduler shows it as running', async () => {
    first.scheduler.start('a', planOf('a'));
    const startedAt = env.clock.now().toISOString();
    first.kill();
    await env.clock.advance(60_000);
    const next = await env.operator();
    env.cluster.report(idOf('a'), moved(5, 10));
    const state = next.scheduler.get('a');
    assert(state?.kind === 'running');
    assert(next.changes.includes('a'), 'a resource that is gone would not be reconciled, and its run not cancelled');
    assert.deepEqual([state.startedAt, state.bytes], [startedAt, 5]);
    next.scheduler.start('a', planOf('a'));
    assert.deepEqual(env.cluster.begun, [idOf('a')]);
  });

  test('a result that came while no scheduler listened is found, announced, and kept until it is forgotten', async () => {
    first.scheduler.start('a', planOf('a'));
    first.kill();
    succeed(env.cluster, 'a');
    const next = await env.operator();
    assert.deepEqual(next.scheduler.get('a'), { kind: 'succeeded', plan: planOf('a'), result: resultOf(7) });
    assert(next.changes.includes('a'));
    assert.deepEqual(next.scheduler.ended(), ['a']);
    next.kill();
    const third = await env.operator();
    const seen = third.scheduler.get('a') ?? assert.fail('the result is lost');
    third.scheduler.forget('a', seen);
    assert.equal(env.cluster.runs.size, 0);
  });

  test('a scheduler that stops leaves its durable runs and outcomes to the next one', async () => {
    for (const key of ['a', 'b']) first.scheduler.start(key, planOf(key));
    succeed(env.cluster, 'b');
    await settle();
    await first.scheduler.stop();
    assert.equal(env.cluster.runs.size, 2);
    const next = await env.operator();
    assert.deepEqual([next.scheduler.get('a')?.kind, next.scheduler.get('b')?.kind], ['running', 'succeeded']);
  });

  test('a drain does not wait for durable runs', async () => {
    first.scheduler.start('a', planOf('a'));
    await first.scheduler.drain();
    assert.equal(first.scheduler.get('a')?.kind, 'running');
  });

  test('a run that was taken over is cancelled, and keeps its slot until it has settled', async () => {
    const small = setUp(1);
    const before = await small.operator();
    before.scheduler.start('a', planOf('a'));
    before.kill();
    const next = await small.operator();
    next.scheduler.start('b', planOf('b'));
    assert.equal(next.scheduler.get('b')?.kind, 'queued');
    const cancelled = next.scheduler.cancel('a');
    assert.equal(next.scheduler.get('b')?.kind, 'queued');
    await cancelled;
    assert.equal(next.scheduler.get('b')?.kind, 'running');
    assert.deepEqual([...small.cluster.runs.keys()], [idOf('b')]);
  });

  test('runs that are taken over count in the limits, and may exceed them', async () => {
    for (const key of ['a', 'b']) first.scheduler.start(key, planOf(key));
    first.kill();
    const { executor } = env.cluster.process();
    const limits = { ...ample, total: 1 };
    const scheduler = createScheduler({ executor, limits, clock: env.clock, onChange: () => {} });
    await scheduler.takeOver(signal);
    scheduler.start('c', planOf('c'));
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => scheduler.get(key)?.kind),
      ['running', 'running', 'queued'],
    );
    succeed(env.cluster, 'a');
    await settle();
    assert.equal(scheduler.get('c')?.kind, 'queued');
    succeed(env.cluster, 'b');
    await settle();
    assert.equal(scheduler.get('c')?.kind, 'running');
  });

  for (const limit of ['perNamespace', 'perCloud', 'perHost'] as const)
    test(`a run that is taken over counts in the limit ${limit}`, async () => {
      first.scheduler.start('a', planOf('a'));
      first.kill();
      const { executor } = env.cluster.process();
      const limits = { ...ample, [limit]: 1 };
      const scheduler = createScheduler({ executor, limits, clock: env.clock, onChange: () => {} });
      await scheduler.takeOver(signal);
      scheduler.start('b', planOf('b'));
      assert.equal(scheduler.get('b')?.kind, 'queued');
      succeed(env.cluster, 'a');
      await settle();
      assert.equal(scheduler.get('b')?.kind, 'running');
    });

  test('the outcome of a run that ends while it is cancelled is dropped', async () => {
    first.scheduler.start('a', planOf('a'));
    succeed(env.cluster, 'a');
    await first.scheduler.cancel('a');
    assert.equal(env.cluster.runs.size, 0);
  });

  test('another plan replaces a run that was taken over', async () => {
    first.scheduler.start('a', planOf('old'));
    first.kill();
    const next = await env.operator();
    next.scheduler.start('a', planOf('new'));
    await settle();
    assert.deepEqual([...env.cluster.runs.keys()], [idOf('new')]);
    assert.equal(next.scheduler.get('a')?.kind, 'running');
  });

  test('a failure that came while no scheduler listened is found, and the next attempt drops it', async () => {
    first.scheduler.start('a', planOf('a'));
    first.kill();
    const error = new Error('no');
    env.cluster.end(idOf('a'), { kind: 'failed', error });
    const next = await env.operator();
    assert.deepEqual(next.scheduler.get('a'), { kind: 'failed', plan: planOf('a'), error });
    next.scheduler.start('a', planOf('a'));
    assert.equal(env.cluster.runs.get(idOf('a'))?.outcome, undefined);
    assert.equal(next.scheduler.get('a')?.kind, 'running');
  });

  test('a run whose progress is not known does not give way', async () => {
    const small = setUp(1);
    const { scheduler } = await small.operator();
    scheduler.start('a', planOf('a'));
    scheduler.start('b', planOf('b'));
    await small.clock.advance(15 * 60_000);
    assert.equal(scheduler.get('a')?.kind, 'running');
    small.cluster.report(idOf('a'), moved(1));
    await small.clock.advance(15 * 60_000);
    assert.deepEqual([scheduler.get('a')?.kind, scheduler.get('b')?.kind], ['queued', 'running']);
  });

  test('the time in which a run waits for its pod does not count against its pace', async () => {
    const small = setUp(1);
    const { scheduler } = await small.operator();
    scheduler.start('a', planOf('a'));
    scheduler.start('b', planOf('b'));
    small.cluster.report(idOf('a'), { ...noProgress, awaits: 'its pod' });
    await small.clock.advance(29 * 60_000);
    small.cluster.report(idOf('a'), { ...noProgress, awaits: null });
    await small.clock.advance(3 * 60_000);
    small.cluster.report(idOf('a'), moved(1));
    await small.clock.advance(4 * 60_000);
    assert.equal(scheduler.get('a')?.kind, 'running');
    await small.clock.advance(5 * 60_000);
    assert.deepEqual([scheduler.get('a')?.kind, scheduler.get('b')?.kind], ['queued', 'running']);
  });

  test('the time in which a run waits for its pod, for example in a queue, does not count against the day that it may last', async () => {
    first.scheduler.start('a', planOf('a'));
    env.cluster.report(idOf('a'), { ...noProgress, awaits: 'the start of its Job' });
    await env.clock.advance(25 * 3_600_000);
    assert.equal(first.scheduler.get('a')?.kind, 'running');
    env.cluster.report(idOf('a'), { ...noProgress, awaits: null });
    await env.clock.advance(3_600_000);
    assert.equal(first.scheduler.get('a')?.kind, 'running');
  });

  test('the day that a run may last includes the time before it was taken over', async () => {
    first.scheduler.start('a', planOf('a'));
    first.kill();
    await env.clock.advance(20 * 3_600_000);
    const next = await env.operator();
    await env.clock.advance(5 * 3_600_000);
    const state = next.scheduler.get('a');
    assert.equal(state?.kind, 'failed');
  });
});

const keys = ['a', 'b', 'c', 'd'];
const key = fc.constantFrom(...keys);
const image = fc.nat(1);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('start' as const), key, image }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('handle' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('end' as const), at: fc.nat(3), succeeds: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Processes that follow each other, and all that was handled. */
async function world(total: number) {
  const { cluster, operator } = setUp(total);
  let current = await operator();
  const handled: string[] = [];

  function handle(name: string): void {
    const state = current.scheduler.get(name);
    if (state?.kind !== 'succeeded' && state?.kind !== 'failed') return;
    handled.push(runIDOf(state.plan));
    current.scheduler.forget(name, state);
  }

  function check(): void {
    const active = [...cluster.runs.values()].filter(({ outcome }) => outcome === undefined).map((run) => run.key);
    assert.equal(new Set(active).size, active.length, 'a key runs twice');
    for (const name of active) assert.equal(current.scheduler.get(name)?.kind, 'running', `${name} runs unseen`);
  }

  function end(id: string | undefined, succeeds: boolean): void {
    if (id === undefined) return;
    cluster.end(id, succeeds ? { kind: 'succeeded', result: resultOf(1) } : { kind: 'failed', error: new Error('no') });
  }

  async function settled(): Promise<void> {
    await settle();
    await settle();
    check();
  }

  async function take(each: Step): Promise<void> {
    switch (each.kind) {
      case 'start':
        return current.scheduler.start(each.key, planOf(`${each.key}${each.image}`));
      case 'cancel':
        return current.scheduler.cancel(each.key);
      case 'handle':
        return handle(each.key);
      case 'end':
        return end([...cluster.runs.keys()][each.at], each.succeeds);
      case 'kill':
        current.kill();
        current = await operator();
        return check();
      case 'stop':
        await current.scheduler.stop();
        current = await operator();
        return check();
      case 'settle':
        return settled();
    }
  }

  /** All that is left ends, and is handled. */
  async function finish(): Promise<void> {
    for (let round = 0; round < 12; round++) {
      for (const id of cluster.runs.keys()) end(id, true);
      await settled();
      for (const name of keys) handle(name);
      await settled();
    }
  }

  return { cluster, handled, take, finish, state: (name: string) => current.scheduler.get(name) };
}

test('under any order of kills, restarts and ends no key runs twice, no active run is repeated, and no outcome is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (total, steps) => {
      const { cluster, handled, take, finish, state } = await world(total);
      for (const each of steps) await take(each);
      await finish();
      assert.deepEqual([...cluster.runs.keys()], [], 'an outcome is left');
      for (const name of keys) assert.equal(state(name), undefined);
      for (const id of new Set(handled)) {
        const begun = cluster.begun.filter((one) => one === id).length;
        assert(handled.filter((one) => one === id).length <= begun, 'an outcome was handled twice');
      }
    }),
    { numRuns: 300 },
  );
});

test('the id of a run contains the image, and another plan for it has another id', () => {
  const plan = planOf('a');
  assert.equal(runIDOf(plan), runIDOf(planOf('a')));
  assert(runIDOf(plan).startsWith(`${imageIDOf('a')}-`));
  assert.notEqual(runIDOf(plan), runIDOf({ ...plan, digest: `sha256:${'0'.repeat(64)}` }));
});

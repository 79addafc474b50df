/** Operators that are killed, pods that end in any way, lost responses and stale watches, in any order, against a cluster in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeMessage } from '../../src/jobs/message.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from '../transfer/plans.ts';
import { ample, planOf, settle } from '../transfer/schedulers.ts';
import { createCluster } from './cluster.ts';
import { condition, terminated } from './objects.ts';

const { image: _, ...result } = resultOf(7);
const statuses = {
  runs: { phase: 'Running', containerStatuses: [{ name: 'transfer', state: { running: {} } }] },
  succeeds: { phase: 'Succeeded', ...terminated(0, writeMessage({ kind: 'succeeded', result })) },
  fails: {
    phase: 'Failed',
    ...terminated(
      10,
      writeMessage({ kind: 'failed', error: { kind: 'operator', message: 'no', code: 'DigestMismatch' } }),
    ),
  },
  crashes: { phase: 'Failed', ...terminated(139) },
  isEvicted: { phase: 'Failed', reason: 'Evicted' },
};

const keys = ['team/a', 'team/b', 'team/c'];
const key = fc.constantFrom(...keys);
const status = fc.constantFrom<keyof typeof statuses>('runs', 'succeeds', 'fails', 'crashes', 'isEvicted');
const lost = fc.constantFrom('create Job', 'create Secret', 'delete Job', 'list Pod');
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('start' as const), key, image: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('handle' as const), key }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('pod' as const), at: fc.nat(2), status }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), call: lost }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stale' as const), what: fc.constantFrom('pods', 'all') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('relist' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 1000, 30_000) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function createWorld(total: number) {
  const clock = createVirtualClock();
  const cluster = createCluster(clock);
  async function operator() {
    const own = cluster.process();
    const { executor, kill, goStale, relist } = own;
    const scheduler = createScheduler({ executor, limits: { ...ample, total }, clock, onChange: () => {} });
    await scheduler.takeOver(new AbortController().signal);
    return { scheduler, kill, goStale, relist };
  }
  let current = await operator();

  function handle(name: string): void {
    const state = current.scheduler.get(name);
    if (state?.kind === 'succeeded' || state?.kind === 'failed') current.scheduler.forget(name, state);
  }

  async function pass(ms: number): Promise<void> {
    for (let at = 0; at < 4; at++) {
      await clock.advance(ms / 4);
      await settle();
    }
  }

  async function take(each: Step): Promise<void> {
    switch (each.kind) {
      case 'start':
        return current.scheduler.start(each.key, planOf(`${each.key.slice(-1)}${each.image}`));
      case 'cancel':
        return void current.scheduler.cancel(each.key);
      case 'handle':
        return handle(each.key);
      case 'pod':
        return cluster.putPod(statuses[each.status], {}, [...cluster.jobs.values()][each.at]);
      case 'kill':
        current.kill();
        current = await operator();
        return;
      case 'stop':
        await Promise.all([current.scheduler.stop(), pass(60_000)]);
        current.kill();
        current = await operator();
        return;
      case 'lose':
        return void cluster.lost.set(each.call, new OperatorError('connection reset', { code: 'KubernetesFailed' }));
      case 'stale':
        return current.goStale(each.what);
      case 'end':
        return cluster.endJob(condition('Complete', 'CompletionsReached'));
      case 'relist':
        return current.relist();
      case 'wait':
        return pass(each.ms);
    }
  }

  function check(): void {
    const owners = [...cluster.jobs.values()].map(({ metadata }) => metadata.name);
    assert.equal(new Set(owners).size, owners.length);
    for (const name of cluster.secrets.keys())
      assert(
        owners.some((owner) => name.startsWith(owner)),
        `Secret ${name} has no Job`,
      );
  }

  /** The watches work again, all pods end, and all outcomes are handled. */
  async function finish(): Promise<void> {
    cluster.lost.clear();
    for (let round = 0; round < 8; round++) {
      current.relist();
      for (const job of cluster.jobs.values()) cluster.putPod(statuses.succeeds, {}, job);
      await pass(70_000);
      for (const name of keys) handle(name);
      await pass(30_000);
    }
  }

  return { cluster, take, check, finish, state: (name: string) => current.scheduler.get(name) };
}

test('under any order of kills, ends of pods, lost responses and stale watches, every transfer ends and no Job, Secret or pod is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 40 }), async (total, steps) => {
      const { cluster, take, check, finish, state } = await createWorld(total);
      for (const each of steps) {
        await take(each);
        check();
      }
      await finish();
      assert.deepEqual([[...cluster.jobs.keys()], [...cluster.secrets.keys()], [...cluster.pods.keys()]], [[], [], []]);
      for (const name of keys) assert.equal(state(name), undefined, `${name} is ${state(name)?.kind}`);
    }),
    { numRuns: 150 },
  );
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { executorOf } from '../../src/transfer/executor.ts';
import { silentObserver } from '../../src/transfer/meter.ts';
import type { TransferPlan, TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler, type Scheduler } from '../../src/transfer/scheduler.ts';
import type { TransferLimits } from '../../src/transfer/slots.ts';
import { createVirtualClock } from '../clock.ts';
import { imageIDOf, planOf, resultOf } from './plans.ts';

const limitsOf = fc.record({
  total: fc.integer({ min: 1, max: 4 }),
  perNamespace: fc.integer({ min: 1, max: 4 }),
  perCloud: fc.integer({ min: 1, max: 3 }),
  perHost: fc.integer({ min: 1, max: 3 }),
});
/** The namespace, the image, the cloud and the host of what is asked for are a function of these. */
const keys = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1', 'c2', 'd1'];
const key = fc.constantFrom(...keys);
const image = fc.nat(3);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('start' as const), key, image }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('finish' as const), at: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail' as const), at: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('limits' as const), limits: limitsOf }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const hostOf = ({ source }: TransferPlan) => (source.kind === 'http' ? new URL(source.url).host : assert.fail());

function planFor(name: string, image: number): TransferPlan {
  return planOf({
    imageID: imageIDOf(`${name}${image}`),
    namespace: name.slice(0, 1),
    address: `https://cloud-${image % 2}.example.com`,
    url: `https://host-${image < 2 ? 0 : 1}.example.com/${name}`,
  });
}

interface OpenRun {
  plan: TransferPlan;
  finish: () => void;
  fail: () => void;
}

/** A scheduler whose every start is checked against the limits at that moment. */
function setUp(first: TransferLimits) {
  const open: OpenRun[] = [];
  const violations: string[] = [];
  const ends = { started: 0, ended: 0 };
  const counted = new Map<string, { queued: number; active: number }>();
  const clock = createVirtualClock();
  let limits = first;
  const scheduler = createScheduler({
    executor: executorOf(async (plan) => {
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      const run = { plan, finish: () => resolve(resultOf(1)), fail: () => reject(new Error('no')) };
      if (open.some((other) => nameOf(other.plan) === nameOf(plan))) violations.push(`${nameOf(plan)} runs twice`);
      open.push(run);
      if (open.length > limits.total) violations.push('more runs than allowed in all');
      const own = open.filter((other) => other.plan.cloud.namespace === plan.cloud.namespace).length;
      if (own > limits.perNamespace) violations.push('more runs than allowed of one namespace');
      if (own > 1 && open.length === limits.total && limits.perNamespace < limits.total)
        violations.push('a namespace with runs took the reserved slot');
      const sameCloud = open.filter((other) => other.plan.cloud.address === plan.cloud.address);
      if (sameCloud.length > limits.perCloud) violations.push('more runs than allowed into one cloud');
      const sameHost = open.filter((other) => hostOf(other.plan) === hostOf(plan));
      if (sameHost.length > limits.perHost) violations.push('more runs than allowed from one host');
      ends.started++;
      return promise.finally(() => open.splice(open.indexOf(run), 1));
    }),
    limits,
    clock,
    onChange: () => {},
    observer: {
      ...silentObserver,
      counted: (cloud, counts) => counted.set(cloud, counts),
      ended: () => {
        ends.ended++;
      },
    },
  });

  function forget(key: string): void {
    const state = scheduler.get(key);
    if (state !== undefined) scheduler.forget(key, state);
  }

  function take(step: Step): unknown {
    switch (step.kind) {
      case 'start':
        return scheduler.start(step.key, planFor(step.key, step.image));
      case 'cancel':
        return scheduler.cancel(step.key);
      case 'forget':
        return forget(step.key);
      case 'finish':
        return open[step.at]?.finish();
      case 'fail':
        return open[step.at]?.fail();
      case 'limits':
        limits = step.limits;
        return scheduler.setLimits(limits);
    }
  }

  return { scheduler, open, violations, ends, counted, clock, take, limits: () => limits };
}

/** The scheduler's key for a plan: the path of its URL. */
const nameOf = ({ source }: TransferPlan) => (source.kind === 'http' ? new URL(source.url).pathname.slice(1) : '');

/** Lets everything that is ready to happen happen. */
const settle = () => new Promise((done) => setImmediate(done));

function statesOf(scheduler: Scheduler) {
  return keys.map((each) => scheduler.get(each)).filter((state) => state !== undefined);
}

function queuedPlans(scheduler: Scheduler) {
  return statesOf(scheduler).filter((state) => state.kind === 'queued');
}

describe('a scheduler with any sequence of calls', () => {
  test('a scheduler keeps its limits, runs no key twice, leaves no slot idle, orders its positions, and ends all transfers', async () => {
    await fc.assert(
      fc.asyncProperty(limitsOf, fc.array(step, { maxLength: 50 }), async (first, steps) => {
        const { scheduler, open, violations, ends, counted, clock, take, limits } = setUp(first);
        for (const each of steps) {
          take(each);
          await settle();
          assert.deepEqual(violations, []);
          const waiting = queuedPlans(scheduler);
          assert.deepEqual(
            waiting.map(({ position }) => position).sort((a, b) => a - b),
            waiting.map((_, index) => index + 1),
          );
          const { total, perNamespace, perCloud, perHost } = limits();
          for (const { plan } of waiting) {
            const own = open.filter((run) => run.plan.cloud.namespace === plan.cloud.namespace).length;
            const reasons = [
              open.length >= total,
              own >= perNamespace,
              own > 0 && open.length >= total - 1 && perNamespace < total,
              open.filter((run) => run.plan.cloud.address === plan.cloud.address).length >= perCloud,
              open.filter((run) => hostOf(run.plan) === hostOf(plan)).length >= perHost,
              open.some((run) => nameOf(run.plan) === nameOf(plan)),
            ];
            assert(reasons.includes(true), 'it waits for nothing');
          }
          for (const [cloud, { queued, active }] of counted) {
            assert.equal(queued, waiting.filter(({ plan }) => plan.cloud.address === cloud).length);
            assert.equal(active, open.filter(({ plan }) => plan.cloud.address === cloud).length);
          }
        }
        while (open.length > 0) {
          for (const run of [...open]) run.finish();
          await settle();
        }
        const active = statesOf(scheduler).filter(({ kind }) => kind === 'queued' || kind === 'running');
        assert.deepEqual(active, []);
        assert.equal(ends.ended, ends.started);
        assert.equal(clock.pending, 0);
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  test('a scheduler with one slot starts transfers in the order of their positions', async () => {
    const asked = fc.uniqueArray(fc.record({ key, image }), { selector: ({ key }) => key, minLength: 2 });
    await fc.assert(
      fc.asyncProperty(asked, async (starts) => {
        const { scheduler, open, take } = setUp({ total: 1, perNamespace: 1, perCloud: 1, perHost: 1 });
        for (const { key, image } of starts) take({ kind: 'start', key, image });
        const foretold = queuedPlans(scheduler).sort((a, b) => a.position - b.position);
        const seen: string[] = [];
        while (open.length > 0) {
          open[0]?.finish();
          await settle();
          const [now] = open;
          if (now !== undefined) seen.push(nameOf(now.plan));
        }
        assert.deepEqual(
          seen,
          foretold.map(({ plan }) => nameOf(plan)),
        );
      }),
      { seed: 4, numRuns: 100 },
    );
  });

  test('a namespace with many transfers does not delay another one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.nat(3), async (total, slow) => {
        const { scheduler, open } = setUp({ total, perNamespace: total, perCloud: total, perHost: total });
        const plan = (name: string, namespace: string) => planOf({ imageID: imageIDOf(name), namespace });
        for (let index = 0; index < 50; index++) scheduler.start(`greedy-${index}`, plan(`g${index}`, 'greedy'));
        scheduler.start('modest', plan('m', 'modest'));
        let ended = 0;
        while (scheduler.get('modest')?.kind === 'queued') {
          (open[slow % open.length] ?? assert.fail()).finish();
          ended++;
          await settle();
        }
        assert(ended <= 2, `${ended} others went first`);
        await Promise.all([scheduler.stop(), ...open.map(({ fail }) => fail())]);
      }),
      { seed: 5, numRuns: 50 },
    );
  });
});

/** The end of a reconcile: what is written, which events there are, what becomes of the transfer, and when the next one is due. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StatusOutcome } from '../../src/image/access/resources.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { asOperation } from '../../src/image/model/memory.ts';
import type { ActiveTransfer, Report } from '../../src/image/model/report.ts';
import { fillPlan } from '../../src/image/model/transfer.ts';
import { conclude, lookAgain, quietStartMs } from '../../src/image/reconcile/conclude.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { defaultLimits, noProgress } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { resultOf } from '../transfer/plans.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { imageOf, type ResourceOptions, resourceOf, uid } from './resource.ts';
import { before, knows, now, promotes, reportOf, withContent } from './states.ts';

const image = imageOf();
const resource = resourceOf(withContent);
const terms = { address: 'https://glance.example.com', limits: defaultLimits };
const plan = fillPlan(resource, image.id, contentOf(resource) ?? assert.fail(), terms);
const queued = { kind: 'queued' as const, plan, position: 1, queuedAt: before(0) };
const running = { kind: 'running' as const, plan, ...noProgress, bytesPerSecond: 0, startedAt: before(500) };
const error = new OperatorError('409', { code: 'Conflict' });
const other = new OperatorError('503', { code: 'GlanceUnavailable' });
const failed: TransferState = { kind: 'failed', plan, error };
const result = { ...resultOf(1024), startedAt: before(1_000), durationMs: 500 };
const succeeded: TransferState = { kind: 'succeeded', plan, result };
const conditions = [
  { type: 'Ready', status: 'True', reason: 'Ready', message: '', lastTransitionTime: before(1), observedGeneration: 1 },
];
const converged = reportOf(image, { kind: 'converged' });
const transferring = reportOf(image, { kind: 'transferring', state: queued });
const created: Report = {
  ...transferring,
  memory: knows([image]),
  changes: [{ kind: 'created', id: image.id }],
};
const end = (one: Report['end']): Report => reportOf(image, one);

interface Row {
  what: string;
  options?: ContextOptions;
  report: Report;
  written?: StatusOutcome;
  outcome: object;
  statuses?: number;
  events?: readonly string[];
  forgotten?: number;
}

const rows: Row[] = [
  {
    what: 'a settled image is written, reported once, and compared again later',
    report: converged,
    outcome: { kind: 'requeueAfter', afterMs: 5_000 },
    events: ['Normal Ready'],
  },
  {
    what: 'an interval of 0 turns comparisons off',
    options: { resource: { spec: { ...withContent.spec, interval: '0' } } },
    report: converged,
    outcome: { kind: 'awaitChange' },
    events: ['Normal Ready'],
  },
  {
    what: 'a new resource whose transfer waits for a slot gets its first status after half a minute',
    report: created,
    outcome: { kind: 'requeueAfter', afterMs: 30_000 },
    statuses: 0,
  },
  {
    what: 'a new resource whose transfer runs gets its first status after two seconds of it',
    report: { ...created, end: { kind: 'transferring', state: running } },
    outcome: { kind: 'requeueAfter', afterMs: 1_500 },
    statuses: 0,
  },
  {
    what: 'the transfer of a second image is written at once, so that it is not forgotten',
    report: { ...created, memory: { ...created.memory, images: [image.id, 'another'] } },
    outcome: { kind: 'awaitChange' },
  },
  {
    what: 'a transfer of a resource that has a status is written',
    options: { resource: { ...withContent, status: { conditions } } },
    report: created,
    outcome: { kind: 'awaitChange' },
  },
  {
    what: 'the progress of a transfer is written',
    options: { resource: { ...withContent, status: { conditions } } },
    report: transferring,
    outcome: { kind: 'awaitChange' },
  },
  {
    what: 'a wait ends after its time',
    report: end({ kind: 'waiting', phase: 'Waiting', imageID: image.id, why: '', ms: 7_000 }),
    outcome: { kind: 'requeueAfter', afterMs: 7_000 },
  },
  {
    what: 'a suspended resource waits for a change',
    report: end({ kind: 'suspended' }),
    outcome: { kind: 'awaitChange' },
  },
  {
    what: 'a failure is reported with the time of the next attempt',
    report: end({ kind: 'failed', error }),
    outcome: { kind: 'requeueAfter', afterMs: 1_000 },
    events: ['Warning Conflict'],
  },
  {
    what: 'a resource that is gone has no events',
    report: converged,
    written: 'gone',
    outcome: { kind: 'awaitChange' },
    forgotten: 0,
  },
  {
    what: 'a status that another process has written starts the reconcile again',
    options: { transfer: succeeded },
    report: converged,
    written: 'outdated',
    outcome: { kind: 'requeue' },
    forgotten: 0,
  },
  {
    what: 'a transfer that has ended is forgotten once its result is written',
    options: { transfer: succeeded },
    report: converged,
    outcome: { kind: 'requeueAfter', afterMs: 5_000 },
    events: ['Normal Ready'],
    forgotten: 1,
  },
  {
    what: 'a transfer that failed is forgotten once that is written',
    options: { transfer: failed },
    report: end({ kind: 'failed', error }),
    outcome: { kind: 'requeueAfter', afterMs: 1_000 },
    events: ['Warning Conflict'],
    forgotten: 1,
  },
  {
    what: 'a transfer that failed is kept while another failure hides what it left in Glance',
    options: { transfer: failed },
    report: end({ kind: 'failed', error: other }),
    outcome: { kind: 'requeueAfter', afterMs: 1_000 },
    events: ['Warning GlanceUnavailable'],
    forgotten: 0,
  },
  {
    what: 'a transfer that failed is forgotten although the API server rejects every form of the status',
    options: { transfer: failed },
    report: end({ kind: 'failed', error }),
    written: 'rejected',
    outcome: { kind: 'requeueAfter', afterMs: 1_000 },
    events: ['Warning Conflict'],
    forgotten: 1,
  },
];

describe('the end of a reconcile', () => {
  for (const {
    what,
    options,
    report,
    written = 'written',
    outcome,
    statuses = 1,
    events = [],
    forgotten = 0,
  } of rows) {
    test(what, async () => {
      const { pass, context, reached } = passOf({ resource: withContent, written, ...options });
      assert.deepEqual(await conclude(pass, report, context), outcome);
      assert.equal(reached.statuses.length, statuses);
      assert.deepEqual(reached.events, events);
      assert.equal(reached.forgotten.length, forgotten);
    });
  }

  test('a status that would be the same is not written', async () => {
    const first = passOf({ resource: withContent });
    await conclude(first.pass, converged, first.context);
    const [status] = first.reached.statuses;
    const again = passOf({ resource: { ...withContent, status: { ...status } } });
    await conclude(again.pass, converged, again.context);
    assert.deepEqual([again.reached.statuses, again.reached.events], [[], []]);
  });

  test('a status that a step of this reconcile has written is replaced by the one before, where that is right again', async () => {
    const { pass, context, reached } = passOf({ resource: withContent });
    await conclude(pass, converged, context);
    const [status = assert.fail()] = reached.statuses;
    const settled = { ...pass, resource: { ...pass.resource, status } };
    const known = (seen: typeof status) => ({ ...context.resources, get: () => ({ ...pass.resource, status: seen }) });
    await conclude(settled, converged, { ...context, resources: known(status) });
    assert.equal(reached.statuses.length, 1);
    await conclude(settled, converged, { ...context, resources: known({ ...status, size: '1Ki of a step' }) });
    assert.deepEqual(reached.statuses.at(-1), status);
    assert.equal(reached.statuses.length, 2);
  });

  test('the memory of a later version is written back as it is', async () => {
    const operation = { ...asOperation(promotes(image)), version: 2, later: true };
    const { pass, context, reached } = passOf({ resource: { ...withContent, status: { operation, imageID: 'x' } } });
    await conclude(pass, end({ kind: 'failed', error }), context);
    assert.deepEqual([reached.statuses[0]?.operation, reached.statuses[0]?.imageID], [operation, 'x']);
  });
});

describe('the time without a first status', () => {
  const id = image.id;
  const waits = (state: ActiveTransfer, fields: Partial<Report> = {}): Report => ({
    ...created,
    end: { kind: 'transferring', state },
    changes: [],
    ...fields,
  });
  const next = imageIDOf(uid, 1);

  const cases: { what: string; report: Report; options?: ResourceOptions; ms: number }[] = [
    {
      what: 'is over once a transfer has waited for half a minute',
      report: waits({ ...queued, queuedAt: before(30_000) }),
      ms: 0,
    },
    {
      what: 'goes on while a transfer waits for less',
      report: waits({ ...queued, queuedAt: before(29_000) }),
      ms: 1_000,
    },
    {
      what: 'is over once a transfer has run for two seconds',
      report: waits({ ...running, startedAt: before(2_000) }),
      ms: 0,
    },
    {
      what: 'starts again when a transfer that has waited runs',
      report: waits({ ...running, startedAt: before(0) }),
      ms: 2_000,
    },
    {
      what: 'is over where the clock was set back by a day',
      report: waits({ ...queued, queuedAt: before(-86_400_000) }),
      ms: 0,
    },
    {
      what: 'does not exist where the memory names a second image',
      report: waits(queued, { memory: knows([{ id }, { id: next }]) }),
      ms: 0,
    },
    {
      what: 'does not exist where the only image is not the first',
      report: waits(queued, { memory: knows([{ id: next }]) }),
      ms: 0,
    },
    {
      what: 'does not exist where an image vanished',
      report: waits(queued, { changes: [{ kind: 'vanished', id }] }),
      ms: 0,
    },
    {
      what: 'does not exist for a resource that has a status',
      report: waits(queued),
      options: { status: { conditions } },
      ms: 0,
    },
    {
      what: 'does not exist for a resource that is being deleted',
      report: waits(queued),
      options: { metadata: { deletionTimestamp: before(0) } },
      ms: 0,
    },
    { what: 'does not exist while nothing is transferred', report: end({ kind: 'suspended' }), ms: 0 },
  ];
  for (const { what, report, options, ms } of cases) {
    test(`the time without a first status ${what}`, () => {
      assert.equal(Math.max(0, quietStartMs(resourceOf(options), report, now)), ms);
    });
  }
});

const waits: readonly { what: string; ms: readonly (number | undefined)[]; outcome: object }[] = [
  { what: 'nothing is waited for without a time', ms: [], outcome: { kind: 'awaitChange' } },
  { what: 'times that do not exist do not count', ms: [undefined, undefined], outcome: { kind: 'awaitChange' } },
  {
    what: 'a check that is turned off does not count',
    ms: [Number.POSITIVE_INFINITY],
    outcome: { kind: 'awaitChange' },
  },
  { what: 'the earliest time counts', ms: [9, undefined, 5], outcome: { kind: 'requeueAfter', afterMs: 5 } },
  { what: 'a time that has come is at once', ms: [0, 5], outcome: { kind: 'requeueAfter', afterMs: 0 } },
  { what: 'no timer is set for longer than a day', ms: [9e9], outcome: { kind: 'requeueAfter', afterMs: 86_400_000 } },
];
for (const { what, ms, outcome } of waits) {
  test(`of the times of the next reconcile, ${what}`, () => assert.deepEqual(lookAgain(...ms), outcome));
}

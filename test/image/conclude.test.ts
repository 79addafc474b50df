/** The end of a reconcile: what is written, which events there are, what becomes of the transfer, and when the next one is due. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conclude } from '../../src/image/conclude.ts';
import { contentOf } from '../../src/image/content.ts';
import { asOperation } from '../../src/image/memory.ts';
import type { Report } from '../../src/image/report.ts';
import type { StatusOutcome } from '../../src/image/resources.ts';
import { fillPlan } from '../../src/image/transfer.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { resultOf } from '../transfer/plans.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { imageOf, resourceOf } from './resource.ts';
import { before, knows, promotes, reportOf, withContent } from './states.ts';

const image = imageOf();
const resource = resourceOf(withContent);
const terms = { address: 'https://glance.example.com', limits: defaultLimits };
const plan = fillPlan(resource, image.id, contentOf(resource) ?? assert.fail(), terms);
const queued = { kind: 'queued' as const, plan, position: 1 };
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
    outcome: { kind: 'recheck', afterMs: 5_000 },
    events: ['Normal Ready'],
  },
  {
    what: 'an interval of 0 turns comparisons off',
    options: { resource: { spec: { ...withContent.spec, interval: '0' } } },
    report: converged,
    outcome: { kind: 'done' },
    events: ['Normal Ready'],
  },
  {
    what: 'the first transfer of a new resource costs no status in its first two seconds',
    report: created,
    outcome: { kind: 'recheck', afterMs: 2_000 },
    statuses: 0,
  },
  {
    what: 'the transfer of a second image is written at once, so that it is not forgotten',
    report: { ...created, memory: { ...created.memory, images: [image.id, 'another'] } },
    outcome: { kind: 'done' },
  },
  {
    what: 'a transfer of a resource that has a status is written',
    options: { resource: { ...withContent, status: { conditions } } },
    report: created,
    outcome: { kind: 'done' },
  },
  { what: 'the progress of a transfer is written', report: transferring, outcome: { kind: 'done' } },
  {
    what: 'a wait ends after its time',
    report: end({ kind: 'waiting', phase: 'Waiting', imageID: image.id, why: '', ms: 7_000 }),
    outcome: { kind: 'recheck', afterMs: 7_000 },
  },
  { what: 'a suspended resource waits for a change', report: end({ kind: 'suspended' }), outcome: { kind: 'done' } },
  {
    what: 'a failure is reported with the time of the next attempt',
    report: end({ kind: 'failed', error }),
    outcome: { kind: 'recheck', afterMs: 1_000 },
    events: ['Warning Conflict'],
  },
  {
    what: 'a resource that is gone has no events',
    report: converged,
    written: 'gone',
    outcome: { kind: 'done' },
    forgotten: 0,
  },
  {
    what: 'a status that another process has written starts the reconcile again',
    options: { transfer: succeeded },
    report: converged,
    written: 'outdated',
    outcome: { kind: 'again' },
    forgotten: 0,
  },
  {
    what: 'a transfer that has ended is forgotten once its result is written',
    options: { transfer: succeeded },
    report: converged,
    outcome: { kind: 'recheck', afterMs: 5_000 },
    events: ['Normal Ready'],
    forgotten: 1,
  },
  {
    what: 'a transfer that failed is forgotten once that is written',
    options: { transfer: failed },
    report: end({ kind: 'failed', error }),
    outcome: { kind: 'recheck', afterMs: 1_000 },
    events: ['Warning Conflict'],
    forgotten: 1,
  },
  {
    what: 'a transfer that failed is kept while another failure hides what it left in Glance',
    options: { transfer: failed },
    report: end({ kind: 'failed', error: other }),
    outcome: { kind: 'recheck', afterMs: 1_000 },
    events: ['Warning GlanceUnavailable'],
    forgotten: 0,
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

  test('the memory of a later version is written back as it is', async () => {
    const operation = { ...asOperation(promotes(image)), version: 2, later: true };
    const { pass, context, reached } = passOf({ resource: { ...withContent, status: { operation, imageID: 'x' } } });
    await conclude(pass, end({ kind: 'failed', error }), context);
    assert.deepEqual([reached.statuses[0]?.operation, reached.statuses[0]?.imageID], [operation, 'x']);
  });
});

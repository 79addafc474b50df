import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { Report } from '../../src/image/model/report.ts';
import { momentOf } from '../../src/image/reconcile/moment.ts';
import type { Moment } from '../../src/image/status/status.ts';
import { summarise } from '../../src/image/status/status.ts';
import type { ErrorCode } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { noProgress } from '../../src/transfer/plan.ts';
import { planOf } from '../transfer/plans.ts';
import { passOf } from './contexts.ts';
import { imageOf } from './resource.ts';
import { memoryOf, moment, promotes, reportOf } from './states.ts';

const later: Moment = { ...moment, now: new Date('2026-01-02T00:10:00Z') };
const fresh: GlanceImageStatus = { observedGeneration: -1 };
const known = promotes(imageOf());
const rest = { cloud: { projectID: 'p', region: undefined }, secret: { version: '7' } };
const converged = reportOf(imageOf(), { kind: 'converged' }, rest);

const suspended: Report = {
  memory: { ...known, settled: moment.specHash },
  changes: [],
  end: { kind: 'suspended' },
};

function failed(code: ErrorCode = 'GlanceUnreachable', message = 'no connection to Glance'): Report {
  const error = new OperatorError(message, { code, httpStatus: 503, requestId: 'req-1' });
  return { memory: known, changes: [], secret: { version: '7' }, end: { kind: 'failed', error } };
}

describe('the status', () => {
  test('equal observations leave the status unchanged at any later time', () => {
    const first = summarise(converged, fresh, moment);
    assert.deepEqual(summarise(converged, first, later), first);
  });

  test('an image as declared is Ready, with its id, size and everything that Glance reports', () => {
    const status = summarise(converged, fresh, moment);
    const ready = findCondition(status.conditions, 'Ready');
    assert.equal(ready?.status, 'True');
    assert.equal(status.conditions?.length, 2);
    assert.equal(status.imageID, imageOf().id);
    assert.equal(status.size, '1Ki');
    assert.deepEqual(status.image?.properties, {});
    assert.equal(status.image?.hash?.algorithm, 'sha512');
  });

  test('a record without content is Ready for its own reason, with a warning while it has no data', () => {
    const record = { ...moment, recordOnly: true };
    const queued = reportOf(imageOf({ status: 'queued', size: null }), { kind: 'converged' }, rest);
    const empty = summarise(queued, fresh, record);
    assert.partialDeepStrictEqual(findCondition(empty.conditions, 'Ready'), { status: 'True', reason: 'RecordOnly' });
    assert.partialDeepStrictEqual(findCondition(empty.conditions, 'Warning'), { status: 'True', reason: 'RecordOnly' });
    assert.deepEqual(summarise(queued, empty, { ...later, recordOnly: true }), empty);
    const filled = summarise(converged, empty, record);
    assert.equal(findCondition(filled.conditions, 'Ready')?.reason, 'RecordOnly');
    assert.equal(findCondition(filled.conditions, 'Warning'), undefined);
  });

  test('the status of the data has the first twelve hex digits of its digest', () => {
    const sent = {
      imageID: imageOf().id,
      url: 'https://example.com/image.raw',
      digest: `sha256:0123456789abcdef${'0'.repeat(48)}`,
    };
    const status = summarise({ ...converged, content: sent }, fresh, moment);
    assert.equal(status.content?.shortDigest, '0123456789ab');
    assert.deepEqual(summarise(converged, status, later), status);
  });

  test('an outage keeps the last observation and makes Ready unknown, not false', () => {
    const before = summarise(converged, fresh, moment);
    const status = summarise(failed(), before, later);
    assert.deepEqual(status.image, before.image);
    assert.equal(status.imageID, before.imageID);
    assert.deepEqual(status.cloud, before.cloud);
    assert.equal(findCondition(status.conditions, 'Ready')?.status, 'Unknown');
    assert.equal(findCondition(status.conditions, 'Reconciling')?.reason, 'ProgressingWithRetry');
  });

  test('the status does not list an image that Glance has deleted', () => {
    const before = summarise(converged, fresh, moment);
    const status = summarise(
      {
        ...failed('Forbidden'),
        memory: memoryOf({ next: 1 }),
        observed: { revisions: [], listed: true },
      },
      before,
      later,
    );
    assert.equal(status.image, undefined);
    assert.equal(status.imageID, undefined);
    assert.equal(status.size, undefined);
  });

  test("a failure names its cause, the server's message, the attempts and the next step", () => {
    const first = summarise(failed(), fresh, moment);
    const second = summarise(failed(), first, later);
    assert.deepEqual(second.lastError, {
      reason: 'GlanceUnreachable',
      message: 'no connection to Glance',
      httpStatus: 503,
      requestID: 'req-1',
      retryable: true,
      attempts: 2,
      at: '2026-01-02T00:10:00Z',
    });
    assert.equal(second.nextAttemptTime, '2026-01-02T00:10:02Z');
    const message = findCondition(second.conditions, 'Ready')?.message;
    assert.equal(message, 'no connection to Glance. Attempt 2 failed; the operator retries at 00:10:02Z');
  });

  test('a failure is Stalled only if it needs a change, and then it is not Reconciling', () => {
    const status = summarise(failed('DigestMismatch'), fresh, moment);
    assert.equal(findCondition(status.conditions, 'Stalled')?.reason, 'DigestMismatch');
    assert.equal(findCondition(status.conditions, 'Reconciling'), undefined);
    assert.equal(status.lastError?.retryable, false);
    assert.ok(status.nextAttemptTime, 'every failure has a next attempt');
  });

  test('a new generation resets the count of attempts', () => {
    const first = summarise(failed(), fresh, moment);
    const second = summarise(failed(), first, { ...later, generation: 2 });
    assert.equal(second.lastError?.attempts, 1);
    assert.equal(second.observedGeneration, 2);
  });

  test('a failure stays in the status during retries and goes once the image is as declared', () => {
    const state = {
      kind: 'running' as const,
      plan: planOf(),
      bytes: 86,
      servedBytes: 43,
      total: 100,
      phase: 'transferring' as const,
      bytesPerSecond: 7,
      startedAt: '2026-01-02T00:09:00.123Z',
    };
    const first = summarise(failed(), fresh, moment);
    const second = summarise({ memory: known, changes: [], end: { kind: 'transferring', state } }, first, later);
    assert.equal(second.lastError?.attempts, 1);
    assert.equal(second.nextAttemptTime, undefined);
    assert.equal(second.progress, '43%');
    assert.equal(second.size, '100');
    assert.equal(findCondition(second.conditions, 'Ready')?.reason, 'Transferring');
    assert.match(
      findCondition(second.conditions, 'Ready')?.message ?? '',
      /attempt 2; previous error: no connection to Glance/,
    );
    const third = summarise(converged, second, later);
    assert.equal(third.lastError, undefined);
    assert.equal(third.transfer, undefined);
    assert.equal(third.progress, undefined);
  });

  test('a transfer whose Job waits for a pod is shown as queued, with what the cluster reports', () => {
    const awaits = 'its pod: Unschedulable: 0/3 nodes are available';
    const run = { plan: planOf(), ...noProgress, bytesPerSecond: 0, startedAt: '2026-01-02T00:09:00.123Z' };
    const shown = (progress: object) => {
      const state = { kind: 'running' as const, ...run, ...progress };
      const status = summarise({ memory: known, changes: [], end: { kind: 'transferring', state } }, fresh, moment);
      const { reason, message } = findCondition(status.conditions, 'Ready') ?? {};
      return [reason, message, status.transfer?.phase];
    };
    assert.deepEqual(shown({ awaits }), ['Queued', `waiting for ${awaits}`, 'Queued']);
    assert.deepEqual(shown({ awaits: null }), ['Transferring', 'transferring the data to Glance', 'Transferring']);
  });

  test('suspend keeps a ready image Ready', () => {
    const before = summarise(converged, fresh, moment);
    const status = summarise(suspended, before, { ...later, generation: 2 });
    const ready = findCondition(status.conditions, 'Ready');
    assert.equal(ready?.status, 'True');
    assert.equal(ready?.reason, 'Suspended');
    assert.equal(ready?.lastTransitionTime, '2026-01-02T00:00:00Z');
  });

  test('an edit of a suspended image makes Ready unknown, because it was not compared', () => {
    const ready = summarise(converged, fresh, moment);
    const before = summarise(suspended, ready, { ...later, generation: 2 });
    const after = { ...later, generation: 3, specHash: 'another' };
    const status = summarise(suspended, before, after);
    assert.equal(findCondition(status.conditions, 'Ready')?.status, 'Unknown');
    assert.match(findCondition(status.conditions, 'Ready')?.message ?? '', /spec has changed/);
    assert.deepEqual(summarise(suspended, status, after), status);
  });

  test('an edit that suspends an image and changes more makes Ready unknown, also if two edits are seen as one', () => {
    const ready = summarise(converged, fresh, moment);
    for (const generation of [2, 3]) {
      const status = summarise(suspended, ready, { ...later, generation, specHash: 'another' });
      assert.equal(findCondition(status.conditions, 'Ready')?.status, 'Unknown');
      assert.match(findCondition(status.conditions, 'Ready')?.message ?? '', /spec has changed/);
    }
  });

  test('the declaration with which an image is compared does not depend on suspend, and on everything else', () => {
    const of = (spec: Record<string, unknown>) => {
      const { pass, context } = passOf({ resource: { spec } });
      return momentOf(pass, converged, context).specHash;
    };
    assert.equal(of({ suspend: true }), of({ suspend: false }));
    assert.notEqual(of({ suspend: true, interval: '1h' }), of({ suspend: true }));
  });

  test('only an image that is as declared makes its declaration the one that was compared last', () => {
    const settled = (report: Report) => summarise(report, fresh, moment).operation?.['settled'];
    assert.equal(settled(converged), moment.specHash);
    assert.equal(settled({ ...suspended, memory: known }), undefined);
    assert.equal(settled(failed()), undefined);
  });

  test('suspend makes Ready unknown if it is not known which image is meant', () => {
    const before = summarise(converged, fresh, moment);
    const report = { ...suspended, memory: { ...memoryOf(), settled: moment.specHash } };
    const status = summarise(report, before, { ...later, generation: 2 });
    assert.equal(status.imageID, undefined);
    assert.equal(findCondition(status.conditions, 'Ready')?.status, 'Unknown');
    assert.deepEqual(summarise(report, status, { ...later, generation: 2 }), status);
  });

  test('a suspended image that was not as declared stays so, whatever changes', () => {
    const before = summarise(failed(), fresh, moment);
    const status = summarise(suspended, before, { ...later, generation: 2, specHash: 'another' });
    assert.equal(findCondition(status.conditions, 'Ready')?.status, 'False');
  });

  test('an error that was not translated is an InternalError and retried', () => {
    const status = summarise(failed('HttpFailure'), fresh, moment);
    assert.equal(findCondition(status.conditions, 'Ready')?.reason, 'InternalError');
  });

  test('Reconciling and Stalled never exist together, and every condition has the observed generation', () => {
    const ends = fc.constantFrom<Report>(
      converged,
      failed(),
      failed('InvalidSpec'),
      failed('QuotaExceeded'),
      { memory: known, changes: [], end: { kind: 'suspended' } },
      { memory: known, changes: [], end: { kind: 'waiting', phase: 'Waiting', imageID: 'x', why: 'x', ms: 1000 } },
    );
    fc.assert(
      fc.property(fc.array(ends, { maxLength: 8 }), (story) => {
        let status = fresh;
        for (const [index, report] of story.entries()) {
          status = summarise(report, status, { ...moment, generation: index + 1 });
          const types = status.conditions?.map(({ type }) => type) ?? [];
          assert.ok(!(types.includes('Reconciling') && types.includes('Stalled')));
          assert.ok(status.conditions?.every(({ observedGeneration }) => observedGeneration === index + 1));
        }
      }),
    );
  });
});

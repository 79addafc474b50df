import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abandonAnnotation, reconcileAtAnnotation } from '../../src/api/group.ts';
import { dueOf } from '../../src/image/model/due.ts';
import { memoryVersion } from '../../src/image/model/memory.ts';
import { longestDelayMs } from '../../src/lib/error-codes.ts';
import { resourceOf, uid } from './resource.ts';

const now = new Date('2026-01-02T00:00:00Z');
const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'Ready',
  message: '',
  observedGeneration: 1,
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
const settled = { observedGeneration: 1, conditions: [ready], secretVersion: '7' };
const failing = {
  ...settled,
  conditions: [{ ...ready, status: 'False', reason: 'QuotaExceeded' }],
  nextAttemptTime: '2026-01-02T00:01:00Z',
};

describe('when a resource is due', () => {
  test('an unchanged resource is not due until its interval has passed', () => {
    assert.deepEqual(dueOf(resourceOf({ status: settled }), '7', now), { kind: 'settled', intervalMs: 600_000 });
  });
  test('a record without content is settled, too', () => {
    const conditions = [{ ...ready, reason: 'RecordOnly' }];
    const resource = resourceOf({ status: { ...settled, conditions } });
    assert.deepEqual(dueOf(resource, '7', now), { kind: 'settled', intervalMs: 600_000 });
  });
  test('a resource of which another image may still be created is due', () => {
    const operation = { version: memoryVersion, uid, incomplete: true };
    assert.deepEqual(dueOf(resourceOf({ status: { ...settled, operation } }), '7', now), { kind: 'now' });
  });
  test('a failed resource is not due before its retry time', () => {
    assert.deepEqual(dueOf(resourceOf({ status: failing }), '7', now), { kind: 'notDue', ms: 60_000 });
    const at = new Date('2026-01-02T00:01:00Z');
    assert.deepEqual(dueOf(resourceOf({ status: failing }), '7', at), { kind: 'now' });
  });
  for (const { what, spec, operation } of [
    { what: 'a field of its spec', spec: { later: {} }, operation: undefined },
    { what: 'its memory', spec: {}, operation: { version: memoryVersion + 1, uid } },
  ]) {
    test(`a resource is due once, when an operator that does not know ${what} has replaced a later one`, () => {
      const read = { ...settled, ...(operation === undefined ? {} : { operation }) };
      assert.deepEqual(dueOf(resourceOf({ spec, status: read }), '7', now), { kind: 'now' });
      const reported = { ...read, ...failing, conditions: [{ ...ready, status: 'False', reason: 'NewerOperator' }] };
      assert.deepEqual(dueOf(resourceOf({ spec, status: reported }), '7', now), { kind: 'notDue', ms: 60_000 });
    });
  }
  test('a resource that an earlier operator did not know in full is due when this one does', () => {
    const reported = { ...failing, conditions: [{ ...ready, status: 'False', reason: 'NewerOperator' }] };
    assert.deepEqual(dueOf(resourceOf({ status: reported }), '7', now), { kind: 'now' });
  });
  test('a retry time further away than the longest wait is due, because a wrong clock has written it', () => {
    const at = (ms: number) => new Date(now.getTime() + ms).toISOString();
    const dueAt = (ms: number) => dueOf(resourceOf({ status: { ...failing, nextAttemptTime: at(ms) } }), '7', now);
    assert.deepEqual(dueAt(longestDelayMs), { kind: 'notDue', ms: longestDelayMs });
    for (const ms of [longestDelayMs + 1001, 24 * 3_600_000, 365 * 24 * 3_600_000])
      assert.deepEqual(dueAt(ms), { kind: 'now' });
  });
  test('a changed spec is due immediately', () => {
    const resource = resourceOf({ status: failing, metadata: { generation: 2 } });
    assert.deepEqual(dueOf(resource, '7', now), { kind: 'now' });
  });
  test('a changed or new Secret makes its resource due immediately', () => {
    assert.deepEqual(dueOf(resourceOf({ status: failing }), '8', now), { kind: 'now' });
    const { secretVersion: _, ...without } = failing;
    assert.deepEqual(dueOf(resourceOf({ status: without }), '1', now), { kind: 'now' });
  });
  test('a deleted Secret does not make its resource due', () => {
    assert.equal(dueOf(resourceOf({ status: settled }), undefined, now).kind, 'settled');
  });
  test('a new value of the annotation makes the resource due immediately, and only once', () => {
    const metadata = { annotations: { [reconcileAtAnnotation]: 'a' } };
    assert.deepEqual(dueOf(resourceOf({ status: failing, metadata }), '7', now), { kind: 'now' });
    const handled = { ...failing, lastHandledReconcileAt: 'a' };
    assert.equal(dueOf(resourceOf({ status: handled, metadata }), '7', now).kind, 'notDue');
  });
  test('permission to abandon an image makes its resource due immediately', () => {
    const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z', annotations: { [abandonAnnotation]: 'true' } };
    assert.deepEqual(dueOf(resourceOf({ status: failing, metadata }), '7', now), { kind: 'now' });
  });
});

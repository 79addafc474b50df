import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abandonAnnotation, reconcileAtAnnotation } from '../../src/api/group.ts';
import { dueOf } from '../../src/image/due.ts';
import { resourceOf } from './resource.ts';

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
  test('a settled one is not, until its interval', () => {
    assert.deepEqual(dueOf(resourceOf({ status: settled }), '7', now), { kind: 'settled', intervalMs: 600_000 });
  });
  test('a failed one waits for its time', () => {
    assert.deepEqual(dueOf(resourceOf({ status: failing }), '7', now), { kind: 'in', ms: 60_000 });
    const at = new Date('2026-01-02T00:01:00Z');
    assert.deepEqual(dueOf(resourceOf({ status: failing }), '7', at), { kind: 'now' });
  });
  test('a change of the spec is due at once', () => {
    const resource = resourceOf({ status: failing, metadata: { generation: 2 } });
    assert.deepEqual(dueOf(resource, '7', now), { kind: 'now' });
  });
  test('a changed or new Secret is due at once', () => {
    assert.deepEqual(dueOf(resourceOf({ status: failing }), '8', now), { kind: 'now' });
    const { secretVersion: _, ...without } = failing;
    assert.deepEqual(dueOf(resourceOf({ status: without }), '1', now), { kind: 'now' });
  });
  test('a Secret that is gone is no reason to look', () => {
    assert.equal(dueOf(resourceOf({ status: settled }), undefined, now).kind, 'settled');
  });
  test('a new value of the annotation is due at once, and only once', () => {
    const metadata = { annotations: { [reconcileAtAnnotation]: 'a' } };
    assert.deepEqual(dueOf(resourceOf({ status: failing, metadata }), '7', now), { kind: 'now' });
    const handled = { ...failing, lastHandledReconcileAt: 'a' };
    assert.equal(dueOf(resourceOf({ status: handled, metadata }), '7', now).kind, 'in');
  });
  test('letting go of a resource that cannot be deleted is due at once', () => {
    const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z', annotations: { [abandonAnnotation]: 'true' } };
    assert.deepEqual(dueOf(resourceOf({ status: failing, metadata }), '7', now), { kind: 'now' });
  });
});

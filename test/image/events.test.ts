import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { happenings } from '../../src/image/events.ts';
import type { Facts } from '../../src/image/facts.ts';
import { type Moment, summarise } from '../../src/image/status.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { imageOf } from './resource.ts';

const moment: Moment = {
  generation: 2,
  reconcileAt: undefined,
  deleting: false,
  recordOnly: false,
  warning: undefined,
  now: new Date('2026-01-01T00:00:00Z'),
  random: 0.5,
};
const ready: Facts = { image: imageOf(), changes: [], end: { kind: 'converged' } };
const changed: Facts = { ...ready, changes: [{ kind: 'updated', what: ['n'] }] };
const error = new OperatorError('no connection to Glance', { code: 'GlanceUnreachable' });
const failed: Facts = { changes: [], end: { kind: 'failed', error } };

/** The reasons of the events for this status change. */
function told(before: GlanceImageStatus, facts: Facts): string[] {
  return happenings(before, summarise(facts, before, moment), facts).map(({ reason }) => reason);
}

test('a change of an image that was as declared is drift, also after an outage of the cloud', () => {
  const settled = summarise(ready, {}, moment);
  assert.deepEqual(told(settled, changed), ['DriftCorrected']);
  assert.deepEqual(told(summarise(failed, settled, moment), changed), ['DriftCorrected', 'Ready']);
});

test('a change after a failed first attempt is an update, not drift', () => {
  const earlier = summarise(ready, {}, { ...moment, generation: 1 });
  assert.deepEqual(told(earlier, changed), ['Updated']);
  assert.deepEqual(told(summarise(failed, earlier, moment), changed), ['Updated', 'Ready']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { Change, Report } from '../../src/image/model/report.ts';
import { deletionEvents, eventsOf } from '../../src/image/status/events.ts';
import { summarise } from '../../src/image/status/status.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { imageOf } from './resource.ts';
import { moment, reportOf } from './states.ts';

const second = { ...moment, generation: 2 };
const ready = reportOf(imageOf(), { kind: 'converged' });
const changed: Report = { ...ready, changes: [{ kind: 'updated', what: ['n'] }] };
const error = new OperatorError('no connection to Glance', { code: 'GlanceUnreachable' });
const failed: Report = { memory: ready.memory, changes: [], end: { kind: 'failed', error } };

/** The reasons of the events for this status change. */
function reasonsFor(before: GlanceImageStatus, report: Report): string[] {
  return eventsOf(before, summarise(report, before, second), report).map(({ reason }) => reason);
}

test('a change of an image that was as declared is drift, also after an outage of the cloud', () => {
  const settled = summarise(ready, {}, second);
  assert.deepEqual(reasonsFor(settled, changed), ['DriftCorrected']);
  assert.deepEqual(reasonsFor(summarise(failed, settled, second), changed), ['DriftCorrected', 'Ready']);
});

test('a change after a failed first attempt is an update, not drift', () => {
  const earlier = summarise(ready, {}, { ...second, generation: 1 });
  assert.deepEqual(reasonsFor(earlier, changed), ['Updated']);
  assert.deepEqual(reasonsFor(summarise(failed, earlier, second), changed), ['Updated', 'Ready']);
});

test('a settled resource and a failure that repeats itself have no event', () => {
  assert.deepEqual(reasonsFor(summarise(ready, {}, second), ready), []);
  assert.deepEqual(reasonsFor(summarise(failed, {}, second), failed), []);
});

test('each change of a deletion has one event, and a creation has none', () => {
  const rows: [Change, string[]][] = [
    [{ kind: 'created', id: 'x' }, []],
    [{ kind: 'updated', what: ['name'] }, ['Updated']],
    [{ kind: 'replaced', id: 'x', why: 'it has other data' }, ['Replaced']],
    [{ kind: 'vanished', id: 'x' }, ['Replaced']],
    [{ kind: 'deleted', id: 'x' }, ['Deleted']],
    [{ kind: 'left', id: 'x', why: 'belongs to project a now' }, ['TakenOver']],
  ];
  for (const [change, reasons] of rows)
    assert.deepEqual(
      deletionEvents([change]).map(({ reason }) => reason),
      reasons,
      change.kind,
    );
});

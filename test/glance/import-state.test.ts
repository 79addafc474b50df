import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { importState } from '../../src/glance/import-state.ts';

const failed = (stores: string) => ({ os_glance_failed_import: stores });
const task = { os_glance_import_task: 't1' };

for (const [what, status, properties, state] of [
  ['accepted and not begun', 'queued', task, { kind: 'running', task: 't1', stores: [] }],
  ['accepted for staged data', 'uploading', task, { kind: 'running', task: 't1', stores: [] }],
  [
    'under way',
    'importing',
    { ...task, os_glance_importing_to_stores: 'a,b', ...failed('') },
    { kind: 'running', task: 't1', stores: ['a', 'b'] },
  ],
  ['over but for its note', 'active', { ...task, ...failed('') }, { kind: 'running', task: 't1', stores: [] }],
  ['done', 'active', failed(''), { kind: 'succeeded' }],
  ['done, on a Glance with one store', 'active', {}, { kind: 'succeeded' }],
  ['done, of an image that was deactivated since', 'deactivated', failed(''), { kind: 'succeeded' }],
  ['done in some stores', 'active', failed('b,c'), { kind: 'partial', failedStores: ['b', 'c'] }],
  ['failed', 'queued', failed('a'), { kind: 'failed', failedStores: ['a'] }],
  ['failed, with the data staged still', 'uploading', failed('a'), { kind: 'failed', failedStores: ['a'] }],
  ['without a task and still importing', 'importing', failed('a'), { kind: 'stuck' }],
  ['of an image that is gone', 'deleted', {}, { kind: 'stuck' }],
  ['in a state that we do not know', 'defrosting', {}, { kind: 'running', task: undefined, stores: [] }],
] as const) {
  test(`an import that is ${what} is ${state.kind}`, () => {
    assert.deepEqual(importState({ status, properties }), state);
  });
}

test('only failures of the requested stores count', () => {
  assert.deepEqual(importState({ status: 'active', properties: failed('old,new') }, ['new', 'other']), {
    kind: 'partial',
    failedStores: ['new'],
  });
  assert.deepEqual(importState({ status: 'active', properties: failed('old') }, ['new']), { kind: 'succeeded' });
});

test('every image has one of the import states, and an import ends only without a task', () => {
  const properties = fc.dictionary(
    fc.constantFrom('os_glance_import_task', 'os_glance_failed_import', 'os_glance_importing_to_stores'),
    fc.oneof(fc.string(), fc.constant(null), fc.integer()),
  );
  fc.assert(
    fc.property(
      fc.constantFrom('queued', 'importing', 'active', 'uploading', 'saving'),
      properties,
      (status, notes) => {
        const { kind } = importState({ status, properties: notes });
        if (typeof notes['os_glance_import_task'] === 'string') assert.equal(kind, 'running');
        else if (status !== 'saving') assert.notEqual(kind, 'running');
      },
    ),
    { seed: 1 },
  );
});

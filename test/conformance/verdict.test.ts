import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject, JsonValue } from '../../src/openstack/json.ts';
import type { Case } from './case.ts';
import type { Played } from './difference.ts';
import { problemsOf } from './verdict.ts';

const showing = (expect: Case['expect'], cinder = ['returned']): Case => ({
  name: 'show',
  operations: [{ op: 'show', image: '<image>' }],
  cinder,
  expect,
});
const returned = (value: JsonValue, glance: JsonObject = {}): Played => ({ results: [{ value }], glance });
const failed = (error: string): Played => ({ results: [{ error }], glance: {} });

test('equal outcomes pass where they are expected to be equal', () => {
  assert.deepEqual(
    problemsOf(showing('same'), returned({ a: [1, { b: null }] }), returned({ a: [1, { b: null }] })),
    [],
  );
  assert.deepEqual(problemsOf(showing('same', ['Invalid 400']), failed('Invalid 400'), failed('Invalid 400')), []);
});

test('a difference without a reason is a problem at any depth', () => {
  const differing: [Played, Played, place: string][] = [
    [returned({ a: '1' }), returned({ a: '2' }), '/results/0/value/a'],
    [returned({ a: '1' }), returned({}), '/results/0/value/a'],
    [returned({}), returned({ constructor: '1' }), '/results/0/value/constructor'],
    [returned({ 'a/b~c': 1 }), returned({ 'a/b~c': '1' }), '/results/0/value/a~1b~0c'],
    [returned([{ id: 1 }]), returned([{ id: 2 }]), '/results/0/value/0/id'],
    [returned([1, 2]), returned([1]), '/results/0/value'],
    [returned({}), failed('Invalid'), '/results/0'],
    [returned({}, { '<image>': {} }), returned({}), '/glance/<image>'],
  ];
  for (const [cinder, ours, place] of differing) {
    const [problem = '', ...more] = problemsOf(showing('same'), cinder, ours);
    assert.deepEqual(more, []);
    assert.ok(problem.startsWith(`a difference without a reason: ${place}: `), problem);
  }
});

test('a documented difference passes only if it is exactly as documented', () => {
  const known = showing({ values: { '/results/0/value/a': [undefined, '1'] } });
  assert.deepEqual(problemsOf(known, returned({}), returned({ a: '1' })), []);
  const other = problemsOf(known, returned({}), returned({ a: '2' }));
  assert.deepEqual(other, ['another difference than expected: /results/0/value/a: Cinder undefined, ours "2"']);
  const gone = problemsOf(known, returned({ a: '1' }), returned({ a: '1' }));
  assert.deepEqual(gone, ['a difference that has gone: /results/0/value/a: Cinder undefined, ours "1"']);
});

test('an expected object matches any object with its keys, an expected list only an equal list', () => {
  const known = showing({ values: { '/glance/<image>': [undefined, { a: '1', tags: ['t'] }] } });
  const holding = (image: JsonObject) => problemsOf(known, returned({}), returned({}, { '<image>': image }));
  assert.deepEqual(holding({ a: '1', b: '2', tags: ['t'] }), []);
  assert.equal(holding({ b: '2', tags: ['t'] }).length, 1);
  assert.equal(holding({ a: '1', tags: ['t', 'u'] }).length, 1);
});

test('equal failures are a problem where Cinder is expected to succeed', () => {
  const problems = problemsOf(showing('same'), failed('ImageNotFound 404'), failed('ImageNotFound 404'));
  assert.deepEqual(problems, ['Cinder comes to ["ImageNotFound 404"]']);
});

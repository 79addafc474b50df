import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plannedStep } from '../../src/commands/planned.ts';
import { blankMemory } from '../../src/image/model/memory.ts';
import { existing } from '../image/adopting.ts';
import { uid } from '../image/resource.ts';

test('a new property has no value before, whatever its name is', () => {
  const image = existing({ properties: { os_version: '12' } });
  const before = { observed: { revisions: [], listed: true }, memory: blankMemory(uid) };
  const operations = ['constructor', 'toString', 'os_version'].map((key) => ({
    op: 'add' as const,
    path: `/${key}`,
    value: 'x',
  }));
  const action = { kind: 'step', step: { kind: 'patch', image, operations, keys: [] }, before } as const;
  assert.deepEqual(plannedStep(action)?.fields, {
    'properties.constructor': { after: 'x' },
    'properties.toString': { after: 'x' },
    'properties.os_version': { before: '12', after: 'x' },
  });
});

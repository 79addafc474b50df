import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import { valuesSchema } from '../../charts/schema.ts';
import { type Group, listValues, readValues } from '../../charts/values.ts';

const text = readFileSync(join(chart, 'values.yaml'), 'utf8');

const objectSchema = z.looseObject({
  properties: z.record(z.string(), z.unknown()),
  additionalProperties: z.boolean(),
});

/** Paths of the groups whose schema accepts unknown names. */
function openGroups(group: Group, schema: unknown): string[] {
  const { properties, additionalProperties } = objectSchema.parse(schema);
  const inner = [...group.members].flatMap(([name, entry]) =>
    entry.kind === 'group' ? openGroups(entry, properties[name]) : [],
  );
  return additionalProperties ? [group.path, ...inner] : inner;
}

describe('values.yaml and its schema', () => {
  test('the description of a value may have several lines, and ends where the value begins', () => {
    const values = readValues(
      '# A comment for readers of the file.\n\n# -- Several\n#  lines.\na: 1\nb:\n  # -- One line.\n  c: [x]\n',
    );
    assert.deepEqual(listValues(values), [
      { kind: 'value', path: 'a', default: 1, description: 'Several lines.' },
      { kind: 'value', path: 'b.c', default: ['x'], description: 'One line.' },
    ]);
  });

  test('a value without a description is rejected at any depth', () => {
    assert.throws(() => readValues('a: 1\n'), /^Error: a has no description/);
    assert.throws(
      () => readValues('# -- A.\na: 1\nb:\n  # -- C.\n  c: 1\n  # no description\n  d: 2\n'),
      /^Error: b\.d has/,
    );
    assert.throws(() => readValues('a: {}\n'), /^Error: a has no description/);
  });

  test('a value whose default does not imply its type needs a shape, and a shape needs its value', () => {
    const more = `${text}\n# -- More.\nmore: []\n`;
    assert.throws(() => valuesSchema(readValues(more)), /^Error: more needs a shape/);
    const fewer = text.replace(/^# -- .*\nreplicaCount: 1\n/m, '');
    assert.notEqual(fewer, text);
    assert.throws(
      () => valuesSchema(readValues(fewer)),
      /^Error: there is a shape for replicaCount, but no such value/,
    );
  });

  test('every group rejects unknown names, except global, which all charts of an umbrella chart share', () => {
    const values = readValues(text);
    assert.deepEqual(openGroups(values, valuesSchema(values)), ['global']);
  });
});

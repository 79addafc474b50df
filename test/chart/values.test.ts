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

/** Paths of the groups whose schema lets names pass that do not exist. */
function openGroups(group: Group, schema: unknown): string[] {
  const { properties, additionalProperties } = objectSchema.parse(schema);
  const inner = [...group.members].flatMap(([name, entry]) =>
    entry.kind === 'group' ? openGroups(entry, properties[name]) : [],
  );
  return additionalProperties ? [group.path, ...inner] : inner;
}

describe('what is generated from values.yaml', () => {
  test('descriptions may go over several lines, and end where the value begins', () => {
    const values = readValues(
      '# For whom it may concern.\n\n# -- What it\n#  does.\na: 1\nb:\n  # -- Another.\n  c: [x]\n',
    );
    assert.deepEqual(listValues(values), [
      { kind: 'value', path: 'a', default: 1, description: 'What it does.' },
      { kind: 'value', path: 'b.c', default: ['x'], description: 'Another.' },
    ]);
  });

  test('a value without a description is refused, wherever it is', () => {
    assert.throws(() => readValues('a: 1\n'), /^Error: a has no description/);
    assert.throws(
      () => readValues('# -- A.\na: 1\nb:\n  # -- C.\n  c: 1\n  # no description\n  d: 2\n'),
      /^Error: b\.d has/,
    );
    assert.throws(() => readValues('a: {}\n'), /^Error: a has no description/);
  });

  test('a value whose default does not say what it takes needs a shape, and a shape needs its value', () => {
    const more = `${text}\n# -- More.\nmore: []\n`;
    assert.throws(() => valuesSchema(readValues(more)), /^Error: more needs a shape/);
    const fewer = text.replace(/^# -- .*\nreplicas: 1\n/m, '');
    assert.notEqual(fewer, text);
    assert.throws(() => valuesSchema(readValues(fewer)), /^Error: there is a shape for replicas, and no such value/);
  });

  test('no group lets a misspelt name pass, but for the one that all charts of an umbrella share', () => {
    const values = readValues(text);
    assert.deepEqual(openGroups(values, valuesSchema(values)), ['global']);
  });
});

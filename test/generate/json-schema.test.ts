/** The JSON schema for editors, checked by the validator of Python. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { apiVersion, kind } from '../../src/api/group.ts';
import { jsonSchema, jsonSchemaFile } from '../../src/generate/json-schema.ts';
import { cases } from '../api/cases.ts';
import { python } from '../env/wsgi.ts';

const root = join(import.meta.dirname, '../..');

const program = `
import json, sys
from jsonschema import Draft7Validator
asked = json.load(sys.stdin)
Draft7Validator.check_schema(asked["schema"])
validator = Draft7Validator(asked["schema"])
print(json.dumps([[error.message for error in validator.iter_errors(each)] for each in asked["objects"]]))
`;

/** The errors of each object. */
function errorsOf(objects: readonly unknown[]): string[][] {
  const input = JSON.stringify({ schema: JSON.parse(jsonSchema()), objects });
  const { stdout, stderr } = spawnSync(python, ['-c', program], { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  assert.notEqual(stdout, '', stderr);
  return z.array(z.array(z.string())).parse(JSON.parse(stdout));
}

const resource = (spec: unknown) => ({ apiVersion, kind, metadata: { name: 'a' }, spec });

describe('the JSON schema of GlanceImage', () => {
  test('the file is at the path that kubeconform makes of group, kind and version', () => {
    assert.equal(jsonSchemaFile, 'docs/schemas/glance-image-operator.dev/glanceimage_v1alpha1.json');
    assert.equal(readFileSync(join(root, jsonSchemaFile), 'utf8'), jsonSchema());
  });

  test('the schema accepts every example, and every declaration that the API server accepts without dropping a null', () => {
    const examples = globSync('examples/images/*.yaml', { cwd: root }).flatMap((file) =>
      parseAllDocuments(readFileSync(join(root, file), 'utf8')).map((document): unknown => document.toJS()),
    );
    const named = z.looseObject({ kind: z.string() });
    const images = examples.filter((object) => named.safeParse(object).data?.kind === kind);
    assert.ok(images.length > 3);
    const isWhole = (spec: unknown) => !/:null[,}]/.test(JSON.stringify(spec));
    const accepted = cases.filter(({ spec, refused }) => refused === undefined && isWhole(spec));
    assert.ok(accepted.length > 20);
    assert.deepEqual(errorsOf([...images, ...accepted.map(({ spec }) => resource(spec))]).flat(), []);
  });

  test('the schema rejects an unknown field, a wrong type, a wrong value and a missing field', () => {
    const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
    const wrong = [
      [{ cloud, image: { visibilty: 'public' } }, /visibilty/],
      [{ cloud, image: { minDiskGiB: 'ten' } }, /'ten' is not of type 'integer'/],
      [{ cloud, image: { visibility: 'open' } }, /'open' is not one of/],
      [{ cloud: { name: 'demo' } }, /'secretRef' is a required property/],
      [{ cloud, deletionPolicy: 'Keep' }, /'Keep' is not one of/],
    ] as const;
    const errors = errorsOf(wrong.map(([spec]) => resource(spec)));
    for (const [at, [, pattern]] of wrong.entries()) assert.match((errors[at] ?? []).join(), pattern);
    const [other, noSpec] = errorsOf([
      { ...resource({ cloud }), kind: 'Image' },
      { apiVersion, kind, metadata: {} },
    ]);
    assert.match(other?.join() ?? '', /'Image' is not one of/);
    assert.match(noSpec?.join() ?? '', /'spec' is a required property/);
  });
});

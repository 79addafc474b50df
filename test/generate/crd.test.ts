import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { jsonMap, matching, rule, set, text, textMap, time, transition } from '../../src/api/rules.ts';
import { crdYaml, customResourceDefinition } from '../../src/generate/crd.ts';
import { structuralSchema } from '../../src/generate/crd-schema.ts';
import { jsonSchemaFile } from '../../src/generate/json-schema.ts';
import type { StructuralSchema } from '../../src/generate/structural.ts';

const file = 'crds/glance-image-operator.dev_glanceimages.yaml';
const root = join(import.meta.dirname, '../..');

/** A schema whose only field is `field`, with a description unless it has one. */
const withField = (field: z.ZodType) => z.object({ field: field.meta({ description: 'A field.', ...field.meta() }) });
const fieldOf = (field: z.ZodType) => structuralSchema(withField(field)).properties?.['field'];

function* fields(schema: StructuralSchema, path = ''): Generator<[path: string, field: StructuralSchema]> {
  if (schema.items !== undefined) yield* fields(schema.items, `${path}[]`);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    yield [`${path}.${name}`, field];
    yield* fields(field, `${path}.${name}`);
  }
}

describe('the generated CRD', () => {
  const [version] = customResourceDefinition().spec.versions;
  const schema = version?.schema.openAPIV3Schema;
  assert(schema !== undefined);

  it('the generated CRD is the file in crds', () => {
    assert(readFileSync(join(root, file), 'utf8') === crdYaml(), 'run "npm run generate" and commit the result');
  });

  it('the CRD is the same in YAML 1.1, which kubectl uses, and in YAML 1.2', () => {
    const wanted: unknown = JSON.parse(JSON.stringify(customResourceDefinition()));
    assert.deepEqual(parse(crdYaml(), { version: '1.1' }), wanted);
    assert.deepEqual(parse(crdYaml(), { version: '1.2' }), wanted);
  });

  it('the CRD requires spec, and gives a new resource the status of one not yet observed', () => {
    assert.deepEqual(schema.required, ['spec']);
    assert.deepEqual(schema.properties?.['status']?.default, { observedGeneration: -1 });
    assert.deepEqual(version?.subresources, { status: {} });
  });

  it('the CRD has the labels by which clusterctl move discovers and moves its objects, also in the chart', () => {
    const labels = { 'clusterctl.cluster.x-k8s.io': '', 'clusterctl.cluster.x-k8s.io/move': '' };
    assert.deepEqual(customResourceDefinition().metadata.labels, labels);
    for (const at of [file, `charts/glance-image-operator/files/${file}`])
      assert.deepEqual(parse(readFileSync(join(root, at), 'utf8')).metadata.labels, labels);
  });

  it('the CRD has the columns of the design', () => {
    const columns = (wide: boolean) =>
      version?.additionalPrinterColumns
        .filter(({ priority = 0 }) => wide || priority === 0)
        .map(({ name }) => name)
        .join(', ');
    assert.equal(columns(false), 'Ready, Reason, Cloud, Size, Progress, Age');
    assert.equal(columns(true), 'Ready, Reason, Cloud, Size, Progress, Age, Revision, Image ID, Image Name, Digest');
  });

  it('the columns of the CRD show only fields that exist', () => {
    const paths = new Set([...fields(schema)].map(([path]) => path));
    for (const { jsonPath } of version?.additionalPrinterColumns ?? []) {
      const path = jsonPath.replace(/\[\?.*?\)\]/, '[]');
      assert(path.startsWith('.metadata.') || paths.has(path), jsonPath);
    }
  });

  it('the selectable fields of the CRD are at most eight existing texts and booleans', () => {
    const types = new Map([...fields(schema)].map(([path, { type }]) => [path, type]));
    const selectable = version?.selectableFields ?? [];
    assert(selectable.length > 0 && selectable.length <= 8);
    for (const { jsonPath } of selectable) assert.match(types.get(jsonPath) ?? '', /^(string|boolean)$/, jsonPath);
  });

  it('describes every field in whole sentences', () => {
    for (const [path, { description }] of fields(schema)) assert.match(description ?? '', /^\S.*\S\.$/, path);
  });

  it('every message of a CEL rule says how to fix the violation', () => {
    const messages = [['', schema] as const, ...fields(schema)].flatMap(
      ([, field]) => field['x-kubernetes-validations']?.map(({ message }) => message) ?? [],
    );
    assert(messages.length > 0);
    for (const message of messages)
      assert.match(
        message,
        /for example|such as|followed by|create another|or use method|name the stores|name it in|Choose another name|exactly one|at least one|leave|name the image|declare managementPolicy|use the other|prints it/,
        message,
      );
  });
});

describe('generate', () => {
  it('the generator writes the file, and with --check reports an outdated file by message and exit code', () => {
    const directory = mkdtempSync(join(tmpdir(), 'crd-'));
    const run = (...options: string[]) => {
      const { status, stderr } = spawnSync(process.execPath, [join(root, 'src/generate/generate.ts'), ...options], {
        cwd: directory,
        encoding: 'utf8',
      });
      return { status, stderr };
    };
    // The tables of these pages are written into them, so they must exist.
    mkdirSync(join(directory, 'docs/reference'), { recursive: true });
    for (const page of ['docs/reference/flags.md', 'docs/reference/monitoring.md'])
      copyFileSync(join(root, page), join(directory, page));
    const told = (name: string) => `${name} is out of date: run "npm run generate" and commit the result.\n`;
    const stale = { status: 1, stderr: told(file) };
    try {
      const others = [jsonSchemaFile, 'docs/reference/reasons.md', 'docs/reference/glanceimage.md'];
      assert.deepEqual(run('--check'), { status: 1, stderr: [file, ...others].map(told).join('') });
      assert.deepEqual(run(), { status: 0, stderr: '' });
      assert.deepEqual(run('--check'), { status: 0, stderr: '' });
      writeFileSync(join(directory, file), `${crdYaml()}# edited by hand\n`);
      assert.deepEqual(run('--check'), stale);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('the conversion', () => {
  const description = 'A field.';

  it('the schema keeps bounds, list types, defaults and rules', () => {
    assert.deepEqual(fieldOf(text(1, 9).default('a')), {
      description,
      type: 'string',
      minLength: 1,
      maxLength: 9,
      default: 'a',
    });
    assert.deepEqual(fieldOf(z.int().min(0).max(9).meta({ format: 'int64' })), {
      description,
      type: 'integer',
      minimum: 0,
      maximum: 9,
      format: 'int64',
    });
    assert.deepEqual(fieldOf(set(text(0, 9), 3)), {
      description,
      type: 'array',
      items: { type: 'string', maxLength: 9 },
      maxItems: 3,
      'x-kubernetes-list-type': 'set',
    });
    assert.deepEqual(fieldOf(jsonMap(5)), {
      description,
      type: 'object',
      additionalProperties: { 'x-kubernetes-preserve-unknown-fields': true },
      maxProperties: 5,
    });
    const notA = { absent: ['a'], message: 'must not hold a' };
    assert.deepEqual(fieldOf(textMap(5, 9, notA)), {
      description,
      type: 'object',
      additionalProperties: { type: 'string', maxLength: 9 },
      maxProperties: 5,
      'x-kubernetes-validations': [{ rule: "self.all(key, !(key in ['a']))", message: 'must not hold a' }],
    });
    assert.deepEqual(fieldOf(time()), {
      description,
      type: 'string',
      format: 'date-time',
      minLength: 1,
      maxLength: 64,
    });
    assert.deepEqual(fieldOf(matching(text(0, 9), '^a$', 'must be a'))?.['x-kubernetes-validations'], [
      { rule: "self.matches(r'^a$')", message: 'must be a' },
    ]);
  });

  it('the schema keeps the rules of an object and of its fields, through optional, default and prefault', () => {
    const inner = z.object({ a: text(0, 9).optional().meta({ description }) });
    const ruled = rule(transition(inner, { rule: 'self == oldSelf', message: 'a is fixed' }), {
      cel: 'has(self.a)',
      test: () => true,
      message: 'needs a',
    });
    for (const schema of [ruled, ruled.optional(), ruled.prefault({}), ruled.default({})]) {
      const messages = fieldOf(schema)?.['x-kubernetes-validations']?.map(({ message }) => message);
      assert.deepEqual(messages, ['a is fixed', 'needs a']);
    }
  });

  it('the schema counts characters as the API server does', () => {
    assert(text(1, 2).safeParse('\u{1f600}\u{1f600}').success);
    assert(!text(1, 2).safeParse('\u{1f600}\u{1f600}\u{1f600}').success);
  });

  const ruled = rule(text(0, 9), { cel: 'self != "a"', test: (value) => value !== 'a', message: 'must not be a' });
  const refused: [what: string, schema: z.ZodType, message: RegExp][] = [
    // Checks that zod would drop without an error.
    ['a bare refinement', withField(text(0, 9).refine((value) => value !== '')), /field: a refinement without a twin/],
    ['a superRefine', withField(text(0, 9).superRefine(() => {})), /field: a refinement without a twin/],
    ['a bare check', withField(text(0, 9).check(() => {})), /field: a refinement without a twin/],
    ['a refinement at the root', withField(text(0, 9)).refine(() => true), /the root: a refinement without a twin/],
    [
      'a refinement deep inside',
      withField(withField(z.int().refine(() => true))),
      /field\.properties\.field: a refine/,
    ],
    [
      'a refinement of list items',
      withField(
        set(
          text(0, 9).refine(() => true),
          3,
        ),
      ),
      /field\.items: a refinement/,
    ],
    ['a regular expression', withField(text(0, 9).regex(/a/i)), /the check string_format does not convert/],
    ['a length in UTF-16 units', withField(z.string().max(9)), /the check max_length does not convert/],
    ['a shortest length in UTF-16 units', withField(text(0, 9).min(1)), /the check min_length does not convert/],
    ['a trim', withField(text(0, 9).trim()), /the check overwrite does not convert/],
    ['a multipleOf', withField(z.int().multipleOf(2)), /the check multiple_of does not convert/],
    ['a transformation', withField(text(0, 9).transform(Number)), /pipe is not on the list|[Tt]ransform/],
    ['a pipe', withField(text(0, 9).pipe(z.string())), /pipe is not on the list/],
    ['a coercion', withField(z.coerce.boolean()), /field: the API server does not coerce/],
    ['a catch', withField(z.boolean().catch(false)), /catch is not on the list/],
    ['a readonly', withField(z.boolean().readonly()), /readonly is not on the list/],
    ['a nullable', withField(z.boolean().nullable()), /nullable is not on the list/],
    ['a literal', withField(z.literal('a')), /literal is not on the list/],
    ['a union', withField(z.union([z.boolean(), z.int()])), /union is not on the list/],
    ['a date', withField(z.date()), /[Dd]ate/],
    ['a cycle', withField(z.json()), /not on the list|Cycle/],
    ['a loose object', withField(z.looseObject({})), /field: use a plain z\.object/],
    ['a strict object', withField(z.strictObject({})), /field: use a plain z\.object/],
    [
      'a map with checked keys',
      withField(z.record(text(1, 9), z.unknown()).meta({ maxProperties: 3 })),
      /field: .* keys/,
    ],
    [
      'a map with listed keys',
      withField(z.record(z.enum(['a']), z.unknown()).meta({ maxProperties: 3 })),
      /field: .* keys/,
    ],
    ['a default that zod itself rejects', withField(text(1, 9).default('')), /its own default is invalid: must have 1/],
    [
      'a default without the defaults inside it',
      withField(z.object({ a: z.boolean().default(true).meta({ description }) }).default(JSON.parse('{}'))),
      /field: the API server fills .*: use prefault/,
    ],
    // Twins that get lost on the way.
    [
      'a rule that an outer rule replaces',
      withField(rule(ruled.optional(), { cel: 'true', test: () => true, message: 'b' })),
      /field: lost x-kubernetes-validations/,
    ],
    [
      'a rule that a meta replaces',
      withField(ruled.meta({ 'x-kubernetes-validations': [] })),
      /field: lost x-kubernetes-val/,
    ],
    ['a bound that a meta replaces', withField(text(0, 9).meta({ maxLength: 10 })), /field: lost maxLength/],
    [
      'a set that a meta turns into a list',
      withField(set(text(0, 9), 3).meta({ 'x-kubernetes-list-type': 'atomic' })),
      /field: lost x-kubernetes-list-type/,
    ],
    // The lint.
    [
      'a field without a description',
      z.object({ field: z.boolean() }),
      /properties\.field: a field needs a description/,
    ],
    [
      'a field deep inside without a description',
      withField(z.object({ a: z.boolean() })),
      /field\.properties\.a: a field needs/,
    ],
    ['text without a bound', withField(z.string()), /field: a string needs a bound/],
    ['list items without a bound', withField(set(z.string(), 3)), /field\.items: a string needs a bound/],
    [
      'a list without a bound',
      withField(z.array(z.boolean()).meta({ 'x-kubernetes-list-type': 'atomic' })),
      /maxItems: a list needs a bound/,
    ],
    ['a list without a list type', withField(z.array(z.boolean()).max(3)), /list-type: a list needs a list type/],
    [
      'a list of an unknown list type',
      withField(z.array(z.boolean()).max(3).meta({ 'x-kubernetes-list-type': 'bag' })),
      /list-type: a list needs a list type/,
    ],
    ['a map without a bound', withField(z.record(z.string(), z.unknown())), /field: a map needs a bound/],
    [
      'a map of flags',
      withField(z.record(z.string(), z.boolean()).meta({ maxProperties: 3 })),
      /the values of a map are any JSON/,
    ],
    ['any JSON as a field', withField(z.unknown()), /field\.type: not structural/],
    ['a number that is no integer', withField(z.number()), /field\.type: not structural/],
    ['an enum of numbers', withField(z.enum({ a: 1 })), /field\.type: not structural/],
    ['a format that is not enforced', withField(text(0, 9).meta({ format: 'uri' })), /format: the API server ignores/],
    ['an unknown format of integers', withField(z.int().meta({ format: 'int128' })), /format: the API server ignores/],
    ['a format of zod', withField(z.email()), /string_format|pattern/],
    ['an exclusive bound', withField(z.int().gt(0)), /exclusiveMinimum/],
    ['a title', withField(z.boolean().meta({ title: 'A' })), /"title"/],
    ['examples', withField(z.boolean().meta({ examples: [true] })), /"examples"/],
    ['an id', z.object({ field: z.boolean().meta({ id: 'a', description }) }), /"definitions"/],
    [
      'a rule whose message has two lines',
      withField(rule(z.boolean(), { cel: 'self', test: () => true, message: 'a\nb' })),
      /the message of a rule is one line/,
    ],
  ];
  for (const [what, schema, message] of refused) {
    it(`the generator rejects a schema with ${what}`, () => {
      assert.throws(() => structuralSchema(schema), message);
    });
  }
});

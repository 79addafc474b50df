import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { z } from 'zod';
import { parseGlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { specSchema } from '../../src/api/spec.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { isMap, type StructuralSchema } from '../../src/generate/structural.ts';
import { installCrd } from '../env/crd.ts';
import type { Kubernetes } from '../env/kubernetes.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { cases } from './cases.ts';
import { changes } from './changes.ts';
import { cloud, from, http, type Refusal, says } from './declarations.ts';
import { fullStatus } from './full-status.ts';

const [version] = customResourceDefinition().spec.versions;
const schema = version?.schema.openAPIV3Schema;
assert(schema !== undefined);

function rulesOf(schema: StructuralSchema): { rule: string; message: string }[] {
  const inner = [...Object.values(schema.properties ?? {}), ...(schema.items === undefined ? [] : [schema.items])];
  return [...(schema['x-kubernetes-validations'] ?? []), ...inner.flatMap(rulesOf)];
}
const messages = new Set(rulesOf(schema).map(({ message }) => message));

/** A zod path as the API server writes it: `image.tags[1]`. */
function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

function fieldNames(schema: StructuralSchema): string[] {
  const inner = [...Object.values(schema.properties ?? {}), ...(schema.items === undefined ? [] : [schema.items])];
  return [...Object.keys(schema.properties ?? {}), ...inner.flatMap(fieldNames)];
}

/** The paths of the fields of `schema` that `value` does not have. */
function missing(schema: StructuralSchema, value: unknown, path: string): string[] {
  if (value === undefined) return [path];
  if (isMap(schema)) return [];
  const first = schema.items !== undefined && Array.isArray(value) ? missing(schema.items, value[0], `${path}[0]`) : [];
  const below = Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    missing(inner, Reflect.get(Object(value), name), `${path}.${name}`),
  );
  return [...first, ...below];
}

describe('the case table', () => {
  it('the cases break every rule of the CRD', () => {
    const broken = new Set([...cases, ...changes].map(({ refused }) => refused?.says));
    for (const message of messages) assert(broken.has(message), message);
  });

  it('the cases have a declaration and a status with every field', () => {
    const specs = cases.filter(({ what }) => what.startsWith('every field')).map(({ spec }) => spec);
    const missed = specs.map((spec) => missing(schema, { spec, status: fullStatus }, ''));
    assert.deepEqual(
      missed.reduce((all, one) => all.filter((path) => one.includes(path))),
      // A source is of one kind: below the other kinds nothing can be there at the same time.
      [],
    );
  });

  it('the names of the cases are unique', () => {
    for (const table of [cases, changes]) assert.equal(new Set(table.map(({ what }) => what)).size, table.length);
  });
});

describe('zod alone', () => {
  for (const { what, spec, refused, zodAlone = refused === undefined ? 'accepts' : 'refuses' } of cases) {
    it(`${zodAlone} ${what}`, () => {
      const result = specSchema.safeParse(spec);
      assert.equal(result.success ? 'accepts' : 'refuses', zodAlone, result.error?.message);
      if (result.success || refused === undefined) return;
      // The path of zod is that of the field, or of the list around it.
      const issue = result.error.issues.find(({ path }) => refused.field.startsWith(fieldPath(['spec', ...path])));
      assert(issue !== undefined, result.error.message);
      if (messages.has(refused.says)) assert.equal(issue.message, refused.says);
    });
  }
});

const refusalSchema = z.object({
  message: z.string(),
  details: z.object({ causes: z.array(z.object({ field: z.string().optional(), message: z.string() })) }).optional(),
});
const storedSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().optional() }),
  spec: z.unknown(),
});

describe('the API server', () => {
  let stack: Stack;
  let kubernetes: Kubernetes;
  let namespace: string | undefined;
  let collection: string;

  before(async () => {
    stack = await connectStack();
    kubernetes = stack.kubernetes;
    await installCrd(kubernetes);
    namespace = await kubernetes.createNamespace('api');
    collection = `/apis/${apiVersion}/namespaces/${namespace}/${plural}`;
  });
  after(async () => {
    if (namespace !== undefined) await kubernetes.request('DELETE', `/api/v1/namespaces/${namespace}`);
    await stack?.stop();
  });

  const manifest = (name: string, spec: unknown) => ({ apiVersion, kind, metadata: { name }, spec });
  const strictDryRun = '?dryRun=All&fieldValidation=Strict';

  /** Checks that the response is a rejection with this message about this field. */
  function assertRefused(answer: { status: number; json: unknown }, { field, says }: Refusal): void {
    const { message, details } = refusalSchema.parse(answer.json);
    assert(answer.status === 422 || answer.status === 400, `${answer.status}: ${message}`);
    const causes = details?.causes ?? [{ message }];
    assert(
      causes.some((cause) => (cause.field ?? '') === field && cause.message.includes(says)),
      `not about ${field}: ${message}`,
    );
  }

  for (const { what, spec, refused, zodAlone } of cases) {
    it(`${refused === undefined ? 'accepts' : 'refuses'} ${what}`, async () => {
      const answer = await kubernetes.request('POST', `${collection}${strictDryRun}`, manifest('case', spec));
      if (refused !== undefined) return assertRefused(answer, refused);
      const stored = answer.as(storedSchema);
      const parsed = specSchema.parse(stored.spec);
      assert.deepEqual(stored.spec, parsed, 'zod and the API server fill the same defaults');
      if (zodAlone === undefined) assert.deepEqual(specSchema.parse(spec), parsed);
    });
  }

  for (const [index, { what, from, to, image, refused }] of changes.entries()) {
    it(`${refused === undefined ? 'accepts' : 'refuses'} a change to ${what}`, async () => {
      const name = `change-${index}`;
      let stored = (await kubernetes.request('POST', collection, manifest(name, from))).as(storedSchema);
      if (image !== undefined) {
        const status = { ...fullStatus, image: { ...fullStatus.image, status: image } };
        stored = (await kubernetes.request('PUT', `${collection}/${name}/status`, { ...stored, status })).as(
          storedSchema,
        );
      }
      const changed = { ...stored, spec: to };
      const answer = await kubernetes.request('PUT', `${collection}/${name}${strictDryRun}`, changed);
      if (refused === undefined) answer.ok();
      else assertRefused(answer, refused);
    });
  }

  it('the API server returns a valid resource with the status of one that was not observed yet', async () => {
    const answer = await kubernetes.request('POST', collection, manifest('new', cases[0]?.spec));
    const { status } = parseGlanceImage(answer.ok().json);
    assert.deepEqual(status, { observedGeneration: -1 });
  });

  it('stores no default that could be taken for a wish', async () => {
    const { spec } = (await kubernetes.request('POST', collection, manifest('bare', { cloud }))).as(storedSchema);
    assert.deepEqual(spec, { cloud, suspend: false, interval: '10m', image: {} });
    const filled = await kubernetes.request('POST', collection, manifest('filled', from({})));
    const file = { ...http, mirrors: [], digestOf: 'Served', decompress: 'Auto' };
    assert.deepEqual(filled.as(storedSchema).spec, {
      ...from({}),
      content: { http: file },
      suspend: false,
      interval: '10m',
    });
  });

  it('stores a status with every field as it was written, and that parses here', async () => {
    const created = (await kubernetes.request('POST', collection, manifest('status', cases[0]?.spec))).as(storedSchema);
    const path = `${collection}/status/status?fieldValidation=Strict`;
    const answer = await kubernetes.request('PUT', path, { ...created, status: fullStatus });
    assert.deepEqual(parseGlanceImage(answer.ok().json).status, fullStatus);
  });

  it('the API server counts the characters of a status as zod does', async () => {
    const created = (await kubernetes.request('POST', collection, manifest('long', cases[0]?.spec))).as(storedSchema);
    const put = (length: number) => {
      const status = { observedGeneration: 1, imageID: '\u{1f600}'.repeat(length) };
      return kubernetes.request('PUT', `${collection}/long/status`, { ...created, status });
    };
    assertRefused(await put(1025), { field: 'status.imageID', says: 'Too long' });
    parseGlanceImage((await put(1024)).ok().json);
  });

  it('kubectl explain describes every field', async () => {
    const { stdout, stderr, code } = await kubernetes.kubectl(['explain', plural, '--recursive']);
    assert.equal(code, 0, stderr);
    for (const name of fieldNames(schema)) assert.match(stdout, new RegExp(`^ *${name}\\t`, 'm'));
  });

  it('kubectl shows each violation and its remedy in one sentence', async () => {
    const input = JSON.stringify(manifest('kubectl', { ...Object(cases[0]?.spec), interval: '5s' }));
    const { stderr } = await kubernetes.kubectl(['apply', '-f', '-'], { input });
    assert.equal(
      stderr,
      `The GlanceImage "kubectl" is invalid: spec.interval: Invalid value: "5s": ${says.interval}\n`,
    );
  });
});

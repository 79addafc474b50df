import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { statusSchema } from '../../src/api/status.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { createServedFields } from '../../src/image/access/served-fields.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { createLogger } from '../../src/lib/log.ts';
import { fullStatus } from '../api/full-status.ts';
import { createVirtualClock } from '../clock.ts';

const schemaOf = () => structuredClone(customResourceDefinition().spec.versions[0]?.schema.openAPIV3Schema);
type Schema = NonNullable<ReturnType<typeof schemaOf>>;

/** A server whose CRD lacks the fields at these paths. */
function create(...lacking: readonly string[]) {
  const clock = createVirtualClock();
  const lines: string[] = [];
  const state = { lacking, asked: 0, down: false };
  const request = async ({ path }: { path: string }) => {
    assert.equal(path, '/openapi/v3/apis/glance-image-operator.dev/v1alpha1');
    state.asked++;
    if (state.down) throw new Error('no route to host');
    const schema = schemaOf();
    for (const each of state.lacking) remove(schema, each.split('.'));
    const of = [{ group: 'glance-image-operator.dev', version: 'v1alpha1', kind: 'GlanceImage' }];
    return JSON.parse(
      JSON.stringify({
        components: {
          schemas: {
            list: { 'x-kubernetes-group-version-kind': [{ ...of[0], kind: 'GlanceImageList' }] },
            image: { ...schema, 'x-kubernetes-group-version-kind': of },
          },
        },
      }),
    );
  };
  const log = createLogger('debug', { write: (line) => void lines.push(line) });
  const served = createServedFields({ transport: { request }, clock, log });
  return { served, clock, lines, state, look: () => served.look(neverAborted()) };
}

function remove(schema: Schema | undefined, [name = '', ...rest]: readonly string[]): void {
  const at = schema?.items ?? schema;
  assert.ok(at?.properties?.[name] !== undefined, `there is no field ${name}`);
  if (rest.length === 0) delete at.properties[name];
  else remove(at.properties[name], rest);
}

const status = statusSchema.parse(fullStatus);
const missingIn = (line: string) => z.looseObject({ missing: z.array(z.string()) }).parse(JSON.parse(line)).missing;

test('with the CRD of this version no field is missing, and a status stays the same object', async () => {
  const { served, lines, look } = create();
  assert.equal(await look(), false);
  assert.equal(served.fit(status), status);
  assert.deepEqual(lines, []);
});

test('fields that an earlier CRD does not have are named once, and left out of the status', async () => {
  const { served, clock, lines, look } = create(
    'spec.publish',
    'status.source',
    'status.revisions.digest',
    'status.content',
  );
  assert.equal(await look(), true);
  await clock.advance(60_000);
  assert.equal(await look(), false);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /The CRD is older than this operator: .*Install the CRD of this version/);
  assert.deepEqual(missingIn(lines[0] ?? '').sort(), [
    'spec.publish',
    'status.content',
    'status.revisions[].digest',
    'status.source',
  ]);
  const { source: _, content: __, revisions = [], ...rest } = status;
  const fewer = revisions.map(({ digest: ___, ...each }) => each);
  assert.ok(revisions.some(({ digest }) => digest !== undefined));
  assert.deepEqual(served.fit(status), { ...rest, revisions: fewer });
});

test('after the CRD was upgraded, the status has all fields again', async () => {
  const { served, clock, lines, state } = create('status.source');
  const stop = new AbortController();
  const ended = served.run(stop.signal).catch(() => {});
  await clock.advance(5 * 60_000);
  assert.notDeepEqual(served.fit(status), status);
  state.lacking = [];
  await clock.advance(5 * 60_000);
  assert.equal(served.fit(status), status);
  assert.match(lines.at(-1) ?? '', /The CRD has all fields of this version now/);
  stop.abort();
  await ended;
});

test('the schema is read at most every ten seconds, and once for all that ask at the same time', async () => {
  const { clock, state, look } = create('status.source');
  await Promise.all(Array.from({ length: 50 }, look));
  assert.equal(state.asked, 1);
  for (let second = 0; second < 60; second++) {
    await look();
    await clock.advance(1_000);
  }
  assert.equal(state.asked, 6);
});

test('the known fields stay as they are while the API server does not respond', async () => {
  const { served, clock, state, look } = create('status.source');
  state.down = true;
  assert.equal(await look(), false);
  assert.equal(served.fit(status), status);
  state.down = false;
  await clock.advance(10_000);
  assert.equal(await look(), true);
  const fitted = served.fit(status);
  state.down = true;
  await clock.advance(10_000);
  assert.equal(await look(), false);
  assert.deepEqual(served.fit(status), fitted);
});

/**
 * Pairs of a declaration and the state of a cloud, on real servers: the steps that `plan` prints, and those that the operator then
 * takes, read from the requests that it sends to Glance.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { z } from 'zod';
import { findCondition, isConvergedReason } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, kind } from '../../src/api/group.ts';
import { planCommand } from '../../src/commands/plan.ts';
import type { PlannedResource, PlannedStep } from '../../src/commands/planned.ts';
import { encodeProperty } from '../../src/glance/translation.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { digestOf } from '../env/content.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { World } from '../operator/world.ts';
import { surroundings } from './surroundings.ts';

const bodies = { a: raw(4096, 'a'), b: raw(8192, 'b') };
type Body = keyof typeof bodies;

const anySpec = fc.record({
  content: fc.constantFrom('none', 'sha256', 'sha512', 'list'),
  body: fc.constantFrom<Body>('a', 'b'),
  image: fc.record({
    name: fc.constantFrom('ubuntu', 'debian'),
    hidden: fc.boolean(),
    protected: fc.boolean(),
    visibility: fc.constantFrom('private', 'shared', 'community'),
    minDiskGiB: fc.nat(3),
    tags: fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { maxLength: 2 }),
    properties: fc.dictionary(fc.constantFrom('os_distro', 'hw_rng_model', 'ü'), fc.constantFrom('1', 'ü 漢', 'true'), {
      maxKeys: 2,
    }),
  }),
  propertyPolicy: fc.constantFrom('Purge', 'Merge'),
  keep: fc.nat(1),
});

/** Changes by another client while the resource is suspended. */
const meddlings = ['nothing', 'rename', 'property', 'delete', 'deactivate', 'unmark', 'hide'] as const;

export const anyPair = fc.record({
  before: fc.option(fc.tuple(anySpec, fc.constantFrom(...meddlings)), { nil: undefined, freq: 4 }),
  after: anySpec,
});
const specSchema = z.object({
  content: z.string(),
  body: z.enum(['a', 'b']),
  image: z.record(z.string(), z.unknown()),
  propertyPolicy: z.string(),
  keep: z.number(),
});
const pairSchema = z.object({ before: z.tuple([specSchema, z.enum(meddlings)]).optional(), after: specSchema });
type Spec = z.infer<typeof specSchema>;

const printedSchema = z.object({ resources: z.array(z.custom<PlannedResource>()) });

export interface Foresight extends AsyncDisposable {
  /** Resolves with the kinds of the steps that were compared. */
  compare(pair: z.infer<typeof pairSchema>): Promise<string[]>;
}

export async function createForesight(): Promise<Foresight> {
  const stack = await connectStack();
  const glance = await startProxy({ url: stack.openstack.imageUrl });
  const world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plan-'));
  const kubeconfig = stack.kubernetes.kubeconfig(world.user);
  const loopback = ['--source-allow', '127.0.0.0/8', '--cloud-allow', '127.0.0.0/8'];
  let count = 0;

  for (const [name, body] of Object.entries(bodies)) world.source.add(`/${name}.raw`, { body });
  const list = Object.entries(bodies).map(([name, body]) => `${digestOf(body)}  ${name}.raw\n`);
  world.source.add('/SHA256SUMS', { body: Buffer.from(list.join('')) });

  async function planned(args: readonly string[]): Promise<{ code: number; resource: PlannedResource }> {
    const around = surroundings();
    const flags = ['--kubeconfig', kubeconfig, '--namespace', world.namespace, ...loopback, '--output', 'json'];
    const code = await planCommand.run([...args, ...flags], () => around);
    assert.notEqual(code, 1, around.errors());
    const [resource] = printedSchema.parse(JSON.parse(around.output())).resources;
    return { code, resource: resource ?? assert.fail() };
  }

  return {
    async compare({ before, after }) {
      const name = `pair-${count++}`;
      if (before !== undefined) {
        const [spec, meddling] = before;
        await world.apply(name, specOf(spec, world));
        const resource = await world.until(name, 'concluded', isConcluded);
        await world.apply(name, { ...specOf(spec, world), suspend: true });
        await world.reason(name, 'Suspended');
        await meddle(meddling, resource.status.imageID, world);
      }
      const file = join(folder, `${name}.json`);
      const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
      const spec = { cloud, ...specOf(after, world), suspend: false };
      writeFileSync(file, JSON.stringify({ apiVersion, kind, metadata: { name, namespace: world.namespace }, spec }));
      const from = glance.requests.length;
      const lists = listsRead(world);
      const { code, resource: forecast } = await planned(['--filename', file]);
      assert.deepEqual(glance.requests.slice(from).filter(changesSomething), [], 'plan writes nothing');
      const resolved = listsRead(world) - lists;
      await world.apply(name, spec);
      const end = await world.until(name, 'concluded', isConcluded);
      const taken = withoutUnprotecting(stepsIn(glance.requests.slice(from)));
      assertTaken(forecast, taken, end, resolved);
      assert.equal(code, forecast.steps.length > 0 || forecast.end.state !== 'settled' ? 2 : 0);
      if (isConvergedReason(findCondition(end.status.conditions, 'Ready')?.reason)) {
        const { code: again, resource } = await planned([name]);
        assert.deepEqual([again, resource.steps], [0, []]);
      }
      await world.delete(name);
      await world.gone(name);
      return forecast.steps.map(({ step }) => step);
    },
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true });
      await world[Symbol.asyncDispose]();
      await glance[Symbol.asyncDispose]();
    },
  };
}

function listsRead({ source }: World): number {
  return source.requests.filter(({ path }) => path === '/SHA256SUMS').length;
}

function specOf({ content, body, image, propertyPolicy, keep }: Spec, { source }: World): Record<string, unknown> {
  const url = `${source.url}/${body}.raw`;
  const digest = (algorithm: 'sha256' | 'sha512') => `${algorithm}:${digestOf(bodies[body], algorithm)}`;
  const declared = {
    image: { ...image, diskFormat: 'raw' },
    propertyPolicy,
    revisions: { keep },
    deletionPolicy: 'Delete',
  };
  switch (content) {
    case 'none':
      return declared;
    case 'list':
      return {
        ...declared,
        content: { http: { url, digestFrom: { checksums: { url: `${source.url}/SHA256SUMS` } } } },
      };
    case 'sha256':
      return { ...declared, content: { http: { url, digest: digest('sha256') } } };
    default:
      return { ...declared, content: { http: { url, digest: digest('sha512') } } };
  }
}

async function meddle(how: (typeof meddlings)[number], id: string | undefined, world: World): Promise<void> {
  if (id === undefined) return;
  const { project } = world;
  const patch = (op: string, path: string, value?: unknown) =>
    world.patchImage(id, [{ op, path, ...(value === undefined ? {} : { value }) }]);
  switch (how) {
    case 'nothing':
      return;
    case 'rename':
      return patch('replace', '/name', 'renamed');
    case 'property':
      return patch('add', '/os_version', '1');
    case 'hide':
      return patch('replace', '/os_hidden', !(await project.getImage(id)).os_hidden);
    case 'unmark':
      return patch('remove', '/glance_image_operator_owner');
    case 'deactivate':
      await project.image('POST', `/v2/images/${id}/actions/deactivate`);
      return;
    case 'delete':
      await patch('replace', '/protected', false);
      (await project.image('DELETE', `/v2/images/${id}`)).ok();
  }
}

/** Nothing is going to happen before an edit, or a long wait. */
function isConcluded({ metadata, status }: GlanceImage): boolean {
  if (status.observedGeneration !== metadata.generation) return false;
  const ready = findCondition(status.conditions, 'Ready');
  const isStalled = findCondition(status.conditions, 'Stalled')?.status === 'True';
  return isConvergedReason(ready?.reason) || isStalled || status.lastError !== undefined;
}

interface Taken {
  step: string;
  id: string;
  /** Keys and values as Glance gets them. A removed one is null. */
  fields: Record<string, unknown>;
}

const operationsSchema = z.array(z.object({ op: z.string(), path: z.string(), value: z.unknown().optional() }));

function stepsIn(requests: readonly ProxiedRequest[]): Taken[] {
  return requests.flatMap((request) => {
    const { method, path, status, body } = request;
    const [, id = '', rest = ''] = /^\/v2\/images\/([^/?]+)\/?([^?]*)/.exec(path) ?? [];
    const done = status >= 200 && status < 300;
    if (!done) return [];
    const step = (name: string, fields: Record<string, unknown> = {}): Taken[] => [{ step: name, id, fields }];
    if (method === 'GET') return rest === 'file' ? step('verify') : [];
    if (path === '/v2/images' && method === 'POST') {
      const { id: created = '', ...fields } = z.looseObject({ id: z.string().optional() }).parse(JSON.parse(body));
      return [{ step: 'create', id: created, fields }];
    }
    if (method === 'PATCH') {
      const entries = operationsSchema
        .parse(JSON.parse(body))
        .map(({ op, path: key, value }) => [
          key.slice(1).replaceAll('~1', '/').replaceAll('~0', '~'),
          op === 'remove' ? null : value,
        ]);
      return step('change', Object.fromEntries(entries));
    }
    if (method === 'PUT' && rest === 'file') return step('transfer');
    if (method === 'DELETE' && rest === '') return step('delete');
    if (method === 'POST' && rest.startsWith('actions/')) return step(rest.slice('actions/'.length));
    return changesSomething(request) ? step(`${method} ${rest}`) : [];
  });
}

/** The step that deletes a protected image lifts its protection first. */
function withoutUnprotecting(taken: readonly Taken[]): Taken[] {
  return taken.filter(({ id, step, fields }, index) => {
    const next = taken[index + 1];
    const isLifting = step === 'change' && JSON.stringify(fields) === '{"protected":false}';
    return !isLifting || next?.step !== 'delete' || next.id !== id;
  });
}

const names: Readonly<Record<string, string>> = {
  hidden: 'os_hidden',
  diskFormat: 'disk_format',
  containerFormat: 'container_format',
  minDiskGiB: 'min_disk',
  minRAMMiB: 'min_ram',
};

/** In the form of `Taken`. */
function asTaken({ step, fields = {}, unknown = [] }: PlannedStep): Pick<Taken, 'step' | 'fields'> {
  const entries = Object.entries(fields).map(([name, { after }]): [string, unknown] => {
    const isProperty = name.startsWith('properties.');
    const key = isProperty ? name.slice('properties.'.length) : (names[name] ?? name);
    if (unknown.includes(name)) return [key, anything];
    if (after === undefined) return [key, null];
    return [key, isProperty ? encodeProperty(after) : after];
  });
  return { step: step === 'retire' ? 'change' : step, fields: Object.fromEntries(entries) };
}

const anything = Symbol('known after apply');

function assertTaken(forecast: PlannedResource, taken: readonly Taken[], end: GlanceImage, resolved: number): void {
  const reading = forecast.steps.findIndex(({ ifRight }) => ifRight);
  // Data that is read back may be wrong, and then other steps follow.
  const inGlance = forecast.steps.filter(({ step, ifRight }) => step !== 'resolve' && step !== 'inspect' && !ifRight);
  const expected = inGlance.map(asTaken);
  const shown = JSON.stringify({ forecast, taken, status: end.status }, null, 1);
  const sure = reading < 0 ? taken : taken.slice(0, expected.length);
  assert.deepEqual(
    sure.map(({ step, fields }) => [step, Object.keys(fields).sort()]),
    expected.map(({ step, fields }) => [step, Object.keys(fields).sort()]),
    shown,
  );
  for (const [index, { fields, id }] of sure.entries()) {
    const planned = inGlance[index] ?? assert.fail();
    for (const [key, value] of Object.entries(expected[index]?.fields ?? {})) {
      if (value !== anything) assert.deepEqual(fields[key], value, `${key}: ${shown}`);
    }
    if (planned.revision !== undefined && planned.step === 'create')
      assert.equal(id, imageIDOf(end.metadata.uid, planned.revision), shown);
    if (planned.imageID !== undefined) assert.equal(id, planned.imageID, shown);
  }
  assert.equal(
    forecast.steps.some(({ step }) => step === 'resolve'),
    resolved > 0,
    shown,
  );
  const ready = findCondition(end.status.conditions, 'Ready');
  if (reading >= 0) return;
  if (forecast.end.state === 'settled') assert.ok(isConvergedReason(ready?.reason), shown);
  if (forecast.end.state === 'blocked') assert.equal(ready?.reason, forecast.end.reason, shown);
}

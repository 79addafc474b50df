/**
 * The prediction of `simulate` is the state of the real Glance after `perform`, for declarations and images of any kind that Glance
 * admits.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { ImageClient } from '../../src/glance/client/index.ts';
import { ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { desire } from '../../src/image/model/desired.ts';
import {
  contentProperty,
  type Identity,
  identityOf,
  imageIDOf,
  markOf,
  ownerProperty,
} from '../../src/image/model/identity.ts';
import { blankMemory, type Memory } from '../../src/image/model/memory.ts';
import { simulate } from '../../src/image/model/simulate.ts';
import type { PlanStep, State } from '../../src/image/model/step.ts';
import { hashOf } from '../../src/image/model/verify.ts';
import { claimOf, type Owner, revisionOf } from '../../src/image/observe/observe.ts';
import { perform } from '../../src/image/perform/perform.ts';
import { plan } from '../../src/image/plan/plan.ts';
import { digestOf } from '../env/content.ts';
import { raw } from '../env/images.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually, patience } from '../env/wait.ts';
import { openClient } from '../glance/kit.ts';
import { resourceOf } from './resource.ts';
import { now, stepLine } from './states.ts';
import { performOn } from './stub-glance.ts';

let stack: Stack;
before(async () => {
  stack = await connectStack();
});
after(() => stack.stop());

const data = { declared: raw(4096, 'declared'), other: raw(4096, 'other') };
const statuses = ['queued', 'active', 'deactivated', 'saving', 'uploading'] as const;
const marks = ['ours', 'missing', 'of another owner'] as const;

interface AnyImage {
  status: (typeof statuses)[number];
  mark: (typeof marks)[number];
  hidden: boolean;
  protected: boolean;
  visibility: 'private' | 'shared' | 'community';
  fingerprint: 'declared' | 'earlier' | 'none';
  data: 'declared' | 'other';
  name: string;
  properties: Record<string, string>;
  role: 'created' | 'published' | 'promoted';
  isVerified: boolean;
}

interface World {
  content: 'none' | 'comparable' | 'to be read back';
  image: Record<string, unknown>;
  propertyPolicy: 'Purge' | 'Merge';
  images: readonly AnyImage[];
  interrupted: 'none' | 'now' | 'long ago';
}

const anyValue = fc.constantFrom('x', '', '24.10', 'ü 漢', 'a/b~c', '[1, 2]', '{"a": null}');
const anyKey = fc.constantFrom(
  'os_distro',
  'hw_qemu_guest_agent',
  'a/b~c',
  'ü',
  'with space',
  'x'.repeat(255),
  'mappings',
);
const anyDeclared = fc.oneof(
  anyValue,
  fc.integer(),
  fc.boolean(),
  fc.constantFrom([{ virtual: 'ami', device: 'sda' }], { a: [1, null, 'ü'] }, 0.1),
);
const anyName = fc.constantFrom('ubuntu', 'debian', 'ü 漢', 'x'.repeat(255));
const anyTags = fc.uniqueArray(fc.constantFrom('a', 'b', 'ü', 'with space', 'x'.repeat(255)), { maxLength: 4 });
const visibility = fc.constantFrom('private' as const, 'shared' as const, 'community' as const);

const anyImage = (status: (typeof statuses)[number], mark: (typeof marks)[number]): fc.Arbitrary<AnyImage> =>
  fc.record({
    status: fc.constant(status),
    mark: fc.constant(mark),
    hidden: fc.boolean(),
    protected: fc.boolean(),
    visibility,
    fingerprint: fc.constantFrom('declared', 'declared', 'earlier', 'none'),
    data: fc.constantFrom('declared', 'declared', 'other'),
    name: anyName,
    properties: fc.dictionary(anyKey, anyValue, { maxKeys: 3 }),
    role: fc.constantFrom('created', 'published', 'promoted'),
    isVerified: fc.boolean(),
  });

const anySettings = fc.record({
  content: fc.constantFrom('none' as const, 'comparable' as const, 'comparable' as const, 'to be read back' as const),
  image: fc.record({
    name: anyName,
    hidden: fc.boolean(),
    protected: fc.boolean(),
    visibility,
    minDiskGiB: fc.nat(100),
    minRAMMiB: fc.nat(100_000),
    tags: anyTags,
    properties: fc.dictionary(anyKey, anyDeclared, { maxKeys: 4 }),
    diskFormat: fc.constant('raw'),
  }),
  propertyPolicy: fc.constantFrom('Purge' as const, 'Merge' as const),
  interrupted: fc.constantFrom('none' as const, 'now' as const, 'long ago' as const),
});

/** Each status with each mark once, some with an image next to it, and a resource without an image. */
const worlds: World[] = statuses.flatMap((status, row) =>
  marks.map((mark, column) => {
    const seed = 20260102 + 10 * row + column;
    const neighbour = fc.constantFrom(...statuses).chain((one) => anyImage(one, 'ours'));
    const images = fc.tuple(anyImage(status, mark), fc.array(neighbour, { maxLength: 1 }));
    const [world] = fc.sample(
      fc.tuple(anySettings, images).map(([settings, [image, others]]) => ({ ...settings, images: [...others, image] })),
      { seed, numRuns: 1 },
    );
    return world ?? assert.fail();
  }),
);
worlds.push(
  ...fc.sample(
    anySettings.map((settings) => ({ ...settings, images: [] })),
    { seed: 1, numRuns: 3 },
  ),
);

const digest = (body: Buffer, algorithm: 'sha256' | 'sha512') => `${algorithm}:${digestOf(body, algorithm)}`;
const url = 'https://example.com/image.raw';
const contents = {
  none: undefined,
  comparable: { http: { url, digest: digest(data.declared, 'sha512'), decompress: 'None' } },
  'to be read back': { http: { url, digest: digest(data.declared, 'sha256') } },
};

/** The same in Glance and in a prediction. Glance alone decides on the rest: times, and where the data is. */
function comparable(image: Image): Partial<Image> {
  const {
    createdAt: _,
    updatedAt: __,
    virtualSize: ___,
    stores: ____,
    locations: _____,
    directUrl: ______,
    ...rest
  } = image;
  return rest;
}

interface Subject {
  identity: Identity;
  owner: Owner;
  fingerprint: string | undefined;
}

/** Makes the image with the calls of a client, as the operator and others have left it. */
async function made(
  client: ImageClient,
  any: AnyImage,
  number: number,
  { identity, fingerprint = 'v1' }: Subject,
  release: AbortSignal,
): Promise<Image> {
  const id = imageIDOf(identity.uid, number);
  const ours = markOf(identity);
  const marked = { ours, missing: {}, 'of another owner': { ...ours, [ownerProperty]: 'demo/debian/0' } };
  const earlier = { [contentProperty]: `v1;${digest(data.other, 'sha256')};Served;Auto;raw;bare` };
  const prints = { declared: { [contentProperty]: fingerprint }, earlier, none: {} };
  const { hidden, visibility: seen, name } = any;
  const properties = { ...any.properties, ...marked[any.mark], ...prints[any.fingerprint] };
  const wanted = {
    name,
    hidden,
    visibility: seen,
    protected: any.protected,
    diskFormat: 'raw',
    containerFormat: 'bare',
  };
  await client.create(id, { ...wanted, properties }, patience());
  const body = data[any.data];
  const upload = { size: body.length, signal: patience() };
  switch (any.status) {
    case 'queued':
      break;
    case 'active':
    case 'deactivated':
      await client.upload(id, pieces(body), upload);
      if (any.status === 'deactivated') await client.deactivate(id, patience());
      break;
    case 'uploading':
      await client.stage(id, pieces(body), upload);
      break;
    case 'saving': {
      // Its end is of no interest: the image may be deleted under it.
      client.upload(id, held(body, release), { size: body.length, signal: release }).catch(() => {});
      await eventually(
        async () => (await client.get(id, patience())).status === 'saving',
        () => `image ${id} is not saving`,
      );
    }
  }
  const image = await client.get(id, patience());
  assert.equal(image.status, any.status);
  return image;
}

async function* pieces(body: Buffer): AsyncGenerator<Uint8Array> {
  yield body;
}

/** All but the last bytes, which never come. The client keeps a piece back until it has the next one. */
async function* held(body: Buffer, release: AbortSignal): AsyncGenerator<Uint8Array> {
  yield body.subarray(0, -2);
  yield body.subarray(-2, -1);
  await new Promise((_, reject) => {
    release.addEventListener('abort', () => reject(release.reason), { once: true });
  });
}

function memoryOf(world: World, images: readonly Image[], { identity, fingerprint = 'v1' }: Subject): Memory {
  const last = images.at(-1);
  const promoted = images[world.images.findIndex(({ role }) => role === 'promoted')];
  const at = new Date(now.getTime() - (world.interrupted === 'now' ? 0 : 100 * 3_600_000)).toISOString();
  return {
    ...blankMemory(identity.uid),
    next: images.length,
    images: images.map(({ id }) => id),
    published: images.filter((_, index) => world.images[index]?.role !== 'created').map(({ id }) => id),
    ...(promoted === undefined ? {} : { promoted: promoted.id }),
    ...(last === undefined || world.interrupted === 'none'
      ? {}
      : { interrupted: { imageID: last.id, at, isCut: true } }),
    findings: images.flatMap((image, index) => {
      const hash = hashOf(image);
      const isKnown = world.images[index]?.isVerified === true && hash !== undefined;
      return isKnown ? [{ imageID: image.id, fingerprint, verdict: 'right' as const, hash }] : [];
    }),
  };
}

/** Performs the plan step by step, and compares what Glance holds after each. Resolves with the kinds of the steps. */
async function compare(client: ImageClient, project: string, world: World, release: AbortSignal): Promise<string[]> {
  const uid = crypto.randomUUID();
  const content = contents[world.content];
  const { image, propertyPolicy } = world;
  const spec = { ...(content === undefined ? {} : { content }), image, propertyPolicy };
  const resource = resourceOf({ metadata: { uid }, spec });
  const identity = identityOf(resource, 'test-cluster');
  const desired = desire(resource, identity, project, undefined);
  const owner: Owner = { ...identity, inheritFrom: [], projects: [project] };
  const subject = { identity, owner, fingerprint: desired.fingerprint };
  const images: Image[] = [];
  for (const [number, any] of world.images.entries()) images.push(await made(client, any, number, subject, release));
  const memory = memoryOf(world, images, subject);
  const revisions = images.map((one) => revisionOf(one, claimOf(owner, memory)));
  let state: State = { observed: { revisions, listed: false }, memory };
  const { steps } = plan(desired, state, now);
  for (const step of steps) {
    const predicted = simulate(state, step, now);
    const performed = await perform(step, state, performOn({ images: client }, { owner, signal: patience() }));
    assert.equal(performed.kind, 'done', `${stepLine(step)}: ${JSON.stringify(performed)}`);
    assert.ok(performed.kind === 'done');
    assert.deepEqual(performed.state.memory, predicted.memory);
    assertSame(performed.state, predicted);
    await assertHeld(client, predicted, step);
    state = performed.state;
  }
  return steps.map(({ kind }) => kind);
}

function assertSame(found: State, predicted: State): void {
  const shown = ({ observed }: State) =>
    observed.revisions.map(({ number, ownership, image }) => ({ number, ownership, image: comparable(image) }));
  assert.deepEqual(shown(found), shown(predicted));
}

async function assertHeld(client: ImageClient, { observed }: State, step: PlanStep): Promise<void> {
  for (const { image } of observed.revisions)
    assert.deepEqual(comparable(await client.get(image.id, patience())), comparable(image), stepLine(step));
  if (step.kind === 'delete') await assert.rejects(client.get(step.image.id, patience()), ImageNotFound);
}

describe('the prediction of a step', () => {
  test('the real Glance holds what is predicted after each step, whatever the images were before', async (t) => {
    const { client, project } = await openClient(t, stack);
    const reached = new Map<string, number>();
    for (const world of worlds) {
      const release = new AbortController();
      try {
        for (const kind of await compare(client, project.id, world, release.signal))
          reached.set(kind, (reached.get(kind) ?? 0) + 1);
      } catch (error) {
        throw new Error(JSON.stringify(world), { cause: error });
      } finally {
        release.abort();
      }
    }
    for (const kind of ['create', 'patch', 'delete', 'record'])
      assert.ok((reached.get(kind) ?? 0) > 2, `${kind}: ${reached.get(kind)}`);
  });
});

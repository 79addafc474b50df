/** Arguments are checked before anything is changed, because callers in JavaScript have no types. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Conflict, InvalidImageRef, InvalidRequest, StoreNotFound } from '../../src/glance/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { ConnectedImageService } from '../../src/library/connect.ts';
import type { ImageContent } from '../../src/library/content.ts';
import { getRemoteImageService } from '../../src/library/remote.ts';
import type { UpdateOptions } from '../../src/library/writes.ts';
import type { JsonObject } from '../../src/openstack/json.ts';
import { imageId } from '../glance/model.ts';
import { openStub } from './stub-glance.ts';
import { untyped } from './untyped.ts';

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

const bytes = Buffer.from('bytes');
const formats = { disk_format: 'raw', container_format: 'bare' };
const filling = (options: UpdateOptions) => (images: ConnectedImageService) =>
  images.update(imageId, { name: 'after' }, { data: bytes, ...options });

interface Rejection {
  name: string;
  act: (images: ConnectedImageService) => Promise<unknown>;
  error?: new (...args: never[]) => Error;
  message?: RegExp;
  image?: JsonObject;
}

const rejections: Rejection[] = [
  {
    name: 'data for an active image, together with a new name',
    image: { status: 'active', size: 1, ...formats },
    act: filling({}),
    error: Conflict,
  },
  {
    name: 'a store that does not exist, together with a new name',
    act: filling({ store: 'nowhere' }),
    error: StoreNotFound,
  },
  { name: 'a store that no header can carry, together with a new name', act: filling({ store: 'größer' }) },
  { name: 'a base image that no header can carry, together with a new name', act: filling({ baseImageRef: 'a\nb' }) },
  { name: 'a size that is not that of the data, together with a new name', act: filling({ size: 3 }) },
  { name: 'a negative size, together with a new name', act: filling({ data: untyped(streamOf(bytes)), size: -1 }) },
  {
    name: 'a size that is not that of the data of a new image',
    act: (images) => images.create({}, { data: bytes, size: 3 }),
  },
  { name: 'an id that is null', act: (images) => images.create({ id: untyped(null) }), message: /^id: / },
  { name: 'an id that is a number', act: (images) => images.show(untyped(7)), message: /not the id of an image/ },
  { name: 'an id that is absent', act: (images) => images.show(untyped(null)), message: /not the id of an image/ },
  ...[undefined, null, 7, 5n, {}, ['p'], '', '..', '\ud800'].map((project) => ({
    name: `a project that is ${typeof project === 'bigint' ? '5n' : JSON.stringify(project)}, as a member`,
    act: (images: ConnectedImageService) => images.addMember(imageId, untyped(project)),
    message: /^not the name of a member: /,
  })),
  {
    name: 'a time that is none',
    act: (images) => drain(images.detail({ filters: { createdSince: new Date('junk') } })),
    message: /^filters\.createdSince: /,
  },
  {
    name: 'states that are no list',
    act: (images) => drain(images.detail({ filters: { statuses: untyped('queued') } })),
    message: /^filters\.statuses: /,
  },
  {
    name: 'a filter that does not exist',
    act: (images) => drain(images.detail({ filters: untyped({ min_disk: 1 }) })),
    message: /min_disk/,
  },
  ...[-1, 1.5, Number.NaN, 'x'].map((limit) => ({
    name: `the limit ${limit}`,
    act: (images: ConnectedImageService) => drain(images.detail({ limit: untyped(limit) })),
    message: /^limit: /,
  })),
  ...[[], 7, true, 'text', [['a', 'b']], new Map([['a', 'b']])].flatMap((properties) => [
    {
      name: `properties that are ${named(properties)}, for an image with properties`,
      image: { a: '1', size: 5 },
      act: (images: ConnectedImageService) => images.update(imageId, { properties: untyped(properties) }),
      message: /^properties: /,
    },
    {
      name: `properties that are ${named(properties)}, given back with a size`,
      image: { a: '1', size: 5 },
      act: (images: ConnectedImageService) => images.update(imageId, untyped({ size: 5, properties })),
      message: /^properties: /,
    },
    {
      name: `properties that are ${named(properties)}, for a new image`,
      act: (images: ConnectedImageService) => images.create({ properties: untyped(properties) }),
      message: /^properties: /,
    },
  ]),
  ...[null, 7, 'text', ['a']].flatMap((fields) => [
    {
      name: `fields that are ${named(fields)}, for a new image`,
      act: (images: ConnectedImageService) => images.create(untyped(fields)),
    },
    {
      name: `fields that are ${named(fields)}, for an existing image`,
      act: (images: ConnectedImageService) => images.update(imageId, untyped(fields)),
    },
  ]),
  ...['text', ['a'], { k: 'v' }, 7, null].flatMap((data) => [
    {
      name: `data that is ${named(data)}, together with a new name`,
      act: filling({ data: untyped(data) }),
      message: /^data: /,
    },
    {
      name: `data that is ${named(data)}, for a new image`,
      act: (images: ConnectedImageService) => images.create({}, { data: untyped(data) }),
      message: /^data: /,
    },
    {
      name: `data that is ${named(data)}, for staging`,
      act: (images: ConnectedImageService) => images.stage(imageId, untyped<ImageContent>(data)),
      message: /^data: /,
    },
  ]),
];

function named(value: unknown): string {
  return value instanceof Map ? 'a Map' : JSON.stringify(value);
}

async function* streamOf(...pieces: unknown[]) {
  yield* pieces;
}

for (const { name, act, error = InvalidRequest, message, image } of rejections) {
  test(`nothing is changed when a call is rejected for ${name}`, async (t) => {
    const { images, writes } = await openStub(t, { image: { ...formats, ...image } });
    await assert.rejects(act(images), (thrown) => {
      assert.ok(thrown instanceof error, `${thrown}`);
      if (message !== undefined) assert.match(thrown.message, message);
      return true;
    });
    assert.deepEqual(writes(), []);
  });
}

for (const ref of [null, 7, {}]) {
  test(`a reference that is ${JSON.stringify(ref)} is an InvalidImageRef`, async (t) => {
    const { images } = await openStub(t);
    assert.throws(() => getRemoteImageService(untyped(ref), { service: images, connect: images.at }), InvalidImageRef);
  });
}

const deliveries: [name: string, act: (images: ConnectedImageService, data: ImageContent) => Promise<unknown>][] = [
  ['uploading', (images, data) => images.update(imageId, {}, { data })],
  ['staging', (images, data) => images.stage(imageId, data)],
];
for (const [name, act] of deliveries) {
  for (const [what, pieces] of [
    ['text', ['text']],
    ['bytes and then text', [bytes, 'text']],
  ] as const) {
    test(`${name} a stream of ${what} fails, and no complete request reaches Glance`, async (t) => {
      const { images, writes, requests, bodies } = await openStub(t, { image: formats });
      await assert.rejects(act(images, untyped(streamOf(...pieces))), (error) => {
        assert.ok(error instanceof InvalidRequest, `${error}`);
        assert.match(error.message, /^data: /);
        return true;
      });
      for (const write of writes()) {
        const body = bodies[requests.indexOf(write)];
        assert.ok(body === undefined || body === '(incomplete)', body);
      }
    });
  }
}

test('a reference to a base image with blanks in it is sent as it is', async (t) => {
  const headers: unknown[] = [];
  const { images } = await openStub(t, {
    image: formats,
    answer({ method, headers: sent }, response) {
      if (method !== 'PUT') return false;
      headers.push(sent['x-image-meta-store'], sent['x-openstack-base-image-ref']);
      response.writeHead(400).end();
      return true;
    },
  });
  const options = { data: bytes, store: 'fast', baseImageRef: 'not a uuid' };
  await assert.rejects(images.update(imageId, {}, options), InvalidRequest);
  assert.deepEqual(headers, ['fast', 'not a uuid']);
});

/** Arguments that are right, for every method. The last one, the options, is left out. */
const calls: { [name in keyof ConnectedImageService & string]?: readonly unknown[] } = {
  detail: [{}],
  show: [imageId],
  create: [{}],
  update: [imageId, { name: 'x' }],
  delete: [imageId],
  deactivate: [imageId],
  reactivate: [imageId],
  addTag: [imageId, 'tag'],
  removeTag: [imageId, 'tag'],
  download: [imageId],
  stage: [imageId, bytes],
  importImage: [imageId, { method: { name: 'glance-direct' } }],
  copyToStores: [imageId, ['fast']],
  deleteFromStore: [imageId, 'fast'],
  tasks: [imageId],
  getLocation: [imageId],
  addLocation: [imageId, { url: 'http://example.com/x' }],
  listMembers: [imageId],
  addMember: [imageId, 'p'],
  removeMember: [imageId, 'p'],
  acceptMembership: [imageId],
  rejectMembership: [imageId],
  checkStores: [['fast']],
  at: ['https://example.com/image'],
};
/** They take no arguments but options, or a sink or a path of the program's own. */
const others = [
  'downloadTo',
  'downloadToFile',
  'importMethods',
  'getStores',
  'getStoreDetails',
  'usage',
  'versions',
  'close',
];

test('every method is called with wrong arguments, or takes none', async (t) => {
  const { images } = await openStub(t);
  assert.deepEqual(Object.keys(images).sort(), [...Object.keys(calls), ...others].sort());
});

for (const [name, right] of Object.entries(calls)) {
  for (const index of right.keys()) {
    test(`${name} with a wrong argument ${index + 1} throws no error of JavaScript`, async (t) => {
      for (const wrong of [null, 7, true, {}, [], [7], Symbol('odd')])
        await callWrongly(t, name, right.with(index, wrong));
    });
  }
}

async function callWrongly(t: TestContext, name: string, args: readonly unknown[]): Promise<void> {
  const { images } = await openStub(t, { image: formats });
  const method: unknown = Reflect.get(images, name);
  assert.ok(typeof method === 'function');
  try {
    const result: unknown = await method(...args);
    if (name === 'detail') await drain(untyped(result));
  } catch (error) {
    assert.ok(error instanceof OperatorError, `${args.map(String).join(', ')}: ${error}`);
  }
}

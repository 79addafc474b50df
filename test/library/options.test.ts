/** The options of each call are checked before anything is sent. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { InvalidRequest } from '../../src/glance/errors.ts';
import { type ConnectedImageService, connectImageService } from '../../src/library/connect.ts';
import { imageId } from '../glance/model.ts';
import { openStub } from './stub-glance.ts';
import { untyped } from './untyped.ts';

const bytes = Buffer.from('bytes');

type Methods = Exclude<keyof ConnectedImageService, 'at' | 'close' | symbol>;
/** Every method, with the options of the test. */
const calls: { [name in Methods]: (images: ConnectedImageService, options: never) => unknown } = {
  detail: (images, options) => images.detail({}, options).next(),
  show: (images, options) => images.show(imageId, options),
  create: (images, options) => images.create({}, options),
  update: (images, options) => images.update(imageId, { name: 'after' }, options),
  delete: (images, options) => images.delete(imageId, options),
  deactivate: (images, options) => images.deactivate(imageId, options),
  reactivate: (images, options) => images.reactivate(imageId, options),
  addTag: (images, options) => images.addTag(imageId, 'tag', options),
  removeTag: (images, options) => images.removeTag(imageId, 'tag', options),
  download: (images, options) => images.download(imageId, options),
  downloadTo: (images, options) => images.downloadTo(imageId, new PassThrough(), options),
  downloadToFile: (images, options) => images.downloadToFile(imageId, '/dev/null', options),
  stage: (images, options) => images.stage(imageId, bytes, options),
  importImage: (images, options) => images.importImage(imageId, { method: { name: 'glance-direct' } }, options),
  copyToStores: (images, options) => images.copyToStores(imageId, 'all', options),
  deleteFromStore: (images, options) => images.deleteFromStore(imageId, 'fast', options),
  tasks: (images, options) => images.tasks(imageId, options),
  importMethods: (images, options) => images.importMethods(options),
  getLocation: (images, options) => images.getLocation(imageId, options),
  addLocation: (images, options) => images.addLocation(imageId, { url: 'http://example.com/x' }, options),
  listMembers: (images, options) => images.listMembers(imageId, options),
  addMember: (images, options) => images.addMember(imageId, 'p', options),
  removeMember: (images, options) => images.removeMember(imageId, 'p', options),
  acceptMembership: (images, options) => images.acceptMembership(imageId, options),
  rejectMembership: (images, options) => images.rejectMembership(imageId, options),
  getStores: (images, options) => images.getStores(options),
  getStoreDetails: (images, options) => images.getStoreDetails(options),
  checkStores: (images, options) => images.checkStores(['fast'], options),
  usage: (images, options) => images.usage(options),
  versions: (images, options) => images.versions(options),
};

test('the options of every method are checked by a test', async (t) => {
  const { images } = await openStub(t);
  assert.deepEqual(
    Object.keys(calls).sort(),
    Object.keys(images)
      .filter((key) => !/^(?:at|close)$/.test(key))
      .sort(),
  );
});

/** Rejects with an InvalidRequest with this message; a method never throws in another way. */
async function rejected(act: () => unknown, message: RegExp): Promise<void> {
  const result = act();
  assert.ok(result instanceof Promise);
  await assert.rejects(result, (error) => {
    assert.ok(error instanceof InvalidRequest, `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

class Unreadable {
  get own(): never {
    throw new RangeError('mine');
  }
}
/** Objects of which each reading throws. */
const unreadable: [name: string, make: () => object][] = [
  [
    'a getter that throws',
    () => Object.defineProperty({}, 'name', { enumerable: true, get: () => new Unreadable().own }),
  ],
  [
    'a proxy that throws',
    () =>
      new Proxy(
        {},
        {
          get: () => new Unreadable().own,
          has: () => new Unreadable().own,
          ownKeys: () => new Unreadable().own,
          getPrototypeOf: () => new Unreadable().own,
        },
      ),
  ],
  [
    'a revoked proxy',
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  ],
];

const wrongForAll: [options: unknown, message: RegExp][] = [
  ...[null, 7, 'text', [], new Map(), new AbortController()].map((options): [unknown, RegExp] => [
    options,
    /^options: expected a plain object$/,
  ]),
  ...[null, 7, {}, { aborted: false }, new AbortController()].map((signal): [unknown, RegExp] => [
    { signal },
    /^signal: expected an AbortSignal$/,
  ]),
  // It inherits from AbortSignal, and no call can follow it.
  [{ signal: Object.create(AbortSignal.prototype) }, /^options: it cannot be read: /],
  [{ signall: new AbortController().signal }, /"signall"/],
];

for (const [name, call] of Object.entries(calls)) {
  test(`${name} rejects options of a wrong type or name, and sends nothing`, async (t) => {
    const { images, requests } = await openStub(t);
    for (const [options, message] of wrongForAll) await rejected(() => call(images, untyped(options)), message);
    assert.deepEqual(requests, []);
  });
}

const wrongForSome: [name: 'create' | 'update' | 'stage', options: object, message: RegExp][] = [
  ...['false', 'x', 0, null].map((purge): ['update', object, RegExp] => [
    'update',
    { purge },
    /^purge: expected boolean/,
  ]),
  ['create', { purge: true }, /"purge"/],
  ['stage', { store: 'fast' }, /"store"/],
  ...[7, null, {}, []].flatMap((wrong): ['create' | 'update', object, RegExp][] => [
    ['create', { data: bytes, store: wrong }, /^store: expected string/],
    ['update', { data: bytes, store: wrong }, /^store: expected string/],
    ['update', { data: bytes, baseImageRef: wrong }, /^baseImageRef: expected string/],
  ]),
  ...[-1, 0.5, Number.NaN, '5', null, 5n].flatMap((size): ['create' | 'stage', object, RegExp][] => [
    ['create', { data: bytes, size }, /^size: /],
    ['stage', { size }, /^size: /],
    // Also without data, for which they have no meaning.
    ['create', { size }, /^size: /],
  ]),
];

test('an option of a wrong type is named, and nothing is sent', async (t) => {
  const { images, requests } = await openStub(t);
  for (const [name, options, message] of wrongForSome)
    await rejected(() => calls[name](images, untyped(options)), message);
  assert.deepEqual(requests, []);
});

for (const [what, make] of unreadable) {
  test(`an argument with ${what} is an InvalidRequest, and nothing is sent`, async (t) => {
    const { images, requests } = await openStub(t);
    const wrong = () => untyped<never>(make());
    const acts = [
      ...Object.values(calls).map((call) => () => call(images, wrong())),
      () => images.detail(wrong()).next(),
      () => images.detail({ filters: wrong() }).next(),
      () => images.detail({ filters: { properties: wrong() } }).next(),
      () => images.detail({ filters: { name: wrong() } }).next(),
      () => images.detail({ sort: wrong() }).next(),
      () => images.create(wrong()),
      () => images.create({ name: wrong() }),
      () => images.create({ properties: wrong() }),
      () => images.create({ properties: { mappings: [wrong()] } }),
      () => images.update(imageId, wrong()),
      () => images.update(imageId, { properties: wrong() }),
      () => images.update(imageId, { properties: { mappings: [wrong()] } }),
      () => images.addLocation(imageId, wrong()),
      () => images.addLocation(imageId, { url: 'http://example.com/x', metadata: wrong() }),
    ];
    for (const act of acts) await rejected(act, /: (?:it cannot be read: (?:mine|Cannot perform .*)|expected .*)$/);
    assert.deepEqual(requests, []);
  });
}

test('a query that is an instance of another class is an InvalidRequest, because none of its keys would be read', async (t) => {
  const { images, requests } = await openStub(t);
  for (const wrong of [new Map([['name', 'x']]), new Set(['x']), new Date(0), new AbortController()].map(
    untyped<never>,
  )) {
    await rejected(() => images.detail(wrong).next(), /^query: expected a plain object$/);
    await rejected(() => images.detail({ filters: wrong }).next(), /^filters: expected a plain object$/);
    await rejected(
      () => images.detail({ filters: { properties: wrong } }).next(),
      /^filters\.properties: expected a plain object$/,
    );
  }
  assert.deepEqual(requests, []);
});

test('objects of another context of Node are objects like any other', async (t) => {
  const { images, bodies } = await openStub(t, { image: { disk_format: 'raw', container_format: 'bare' } });
  const foreign = (code: string) => untyped<never>(runInNewContext(code));
  await images.show(imageId, foreign('({})'));
  const filters = foreign('({ createdSince: new Date(0), properties: { a: "b" }, tags: ["t"] })');
  assert.equal((await images.detail({ filters }).next()).done, false);
  await images.create(foreign('({ name: "x", tags: ["t"], properties: { mappings: [{ a: 1 }] } })'));
  assert.match(bodies.join(), /"mappings":"\[\{\\"a\\":1\}\]"/);
});

test('a call is not affected by later changes of its arguments', async (t) => {
  const { images, requests, bodies } = await openStub(t, { image: { disk_format: 'raw', container_format: 'bare' } });
  const fields = { name: 'before', tags: ['before'], properties: { mappings: [{ a: 'before' }], b: 'before' } };
  const created = images.create(fields);
  fields.name = 'after';
  fields.tags.push('after');
  fields.properties.b = 'after';
  for (const one of fields.properties.mappings) one.a = 'after';
  await created;
  const location = { url: 'http://example.com/x', metadata: { a: ['before'] } };
  const added = images.addLocation(imageId, location);
  location.metadata.a.push('after');
  await added;
  assert.ok(requests.includes('POST /images') && requests.includes(`PATCH /images/${imageId}`));
  assert.doesNotMatch(bodies.join(), /after/);
});

test('options that are absent or undefined are no options', async (t) => {
  const { images } = await openStub(t, { image: { disk_format: 'raw', container_format: 'bare' } });
  for (const options of [undefined, {}, { signal: undefined }, Object.create(null)]) {
    assert.equal((await images.show(imageId, untyped(options))).id, imageId);
    await images.create({}, untyped({ ...options, data: undefined, size: undefined, store: undefined }));
    await images.update(imageId, {}, untyped({ ...options, purge: undefined }));
  }
});

test('a sink is destroyed when the options of its download are rejected', async (t) => {
  const { images } = await openStub(t);
  const sink = new PassThrough();
  await assert.rejects(images.downloadTo(imageId, sink, untyped({ signal: 7 })), InvalidRequest);
  assert.ok(sink.destroyed);
});

test('a service is connected only with options that it has', async () => {
  const cloudsYaml = '{"clouds":{"demo":{"auth_type":"none","image_endpoint_override":"http://127.0.0.1:1"}}}';
  const right = { cloudsYaml, cloud: 'demo' };
  for (const [options, message] of [
    [undefined, /^options: expected a plain object$/],
    [null, /^options: expected a plain object$/],
    [[right], /^options: expected a plain object$/],
    [{ ...right, pagesize: 7 }, /"pagesize"/],
    [{ ...right, privileged: {} }, /"privileged"/],
    [{ ...right, requester: { token: true, projectID: 'p' } }, /^requester: .*"projectID"/],
    [{ ...right, proxy: { url: 'http://127.0.0.1:1', user: 'x' } }, /^proxy: .*"user"/],
  ] as const)
    assert.throws(
      () => connectImageService(untyped(options)),
      (error) => error instanceof InvalidRequest && message.test(error.message),
      `${message}`,
    );
  await connectImageService({
    ...right,
    privilegedCloud: 'demo',
    ...untyped<object>({ region: undefined, proxy: undefined }),
  }).close();
});

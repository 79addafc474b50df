/** The options of each call are checked before anything is sent. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
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

const wrongForAll: [options: unknown, message: RegExp][] = [
  ...[null, 7, 'text', [], new Map(), new AbortController()].map((options): [unknown, RegExp] => [
    options,
    /^options: expected an object$/,
  ]),
  ...[null, 7, {}, { aborted: false }, new AbortController()].map((signal): [unknown, RegExp] => [
    { signal },
    /^signal: expected an AbortSignal$/,
  ]),
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
    [undefined, /^options: expected an object$/],
    [null, /^options: expected an object$/],
    [[right], /^options: expected an object$/],
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

/** Values of a program that are written as JSON, and the arguments of functions that need no service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidImageRef, InvalidRequest } from '../../src/glance/errors.ts';
import { deepest } from '../../src/http/json-bounds.ts';
import * as library from '../../src/library/index.ts';
import { collect } from '../glance/kit.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { openStub } from './stub-glance.ts';
import { untyped } from './untyped.ts';

const invalid = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof InvalidRequest, `${error}`);
  assert.match(error.message, message);
  return true;
};

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = { a: value };
  return value;
}

function cyclic(): object {
  const value: Record<string, unknown> = {};
  value['a'] = value;
  return value;
}

const noJson: [name: string, value: () => unknown][] = [
  ['contains itself', cyclic],
  ['is 20000 levels deep', () => nested(20_000)],
  [`is ${deepest + 1} levels deep`, () => nested(deepest + 1)],
  ['has an integer without bounds', () => ({ a: 5n })],
  ['has a function', () => ({ a: () => 1 })],
  ['has a function for its form as JSON', () => ({ toJSON: () => 'other' })],
  ['has a Map', () => ({ a: new Map() })],
  ['has a Date', () => [new Date(0)]],
  ['has a symbol', () => [Symbol('a')]],
  ['has no value', () => [undefined]],
  ['lacks an element', () => new Array(1)],
  ['has no number', () => [Number.NaN]],
];

for (const [name, value] of noJson) {
  test(`a property or metadata that ${name} is an InvalidRequest, and nothing is sent`, async (t) => {
    const { images, requests } = await openStub(t);
    for (const key of ['mappings', 'block_device_mapping', 'other']) {
      const properties: never = untyped({ [key]: value() });
      const message = new RegExp(`^property ${key}: it is not a JSON value of at most 32 levels$`);
      await assert.rejects(images.create({ properties }), invalid(message));
      await assert.rejects(images.update(imageId, { properties }), invalid(message));
      await assert.rejects(images.create(untyped({ [key]: value() })), invalid(message));
    }
    await assert.rejects(
      images.addLocation(imageId, { url: 'http://example.com/x', metadata: { a: untyped(value()) } }),
      invalid(/^location\.metadata: expected an object of JSON values with at most 27 levels$/),
    );
    assert.deepEqual(requests, []);
  });
}

test('a property of the greatest depth is sent', async (t) => {
  const { images, bodies } = await openStub(t);
  const value: never = untyped(nested(deepest));
  await images.create({ properties: { mappings: value } });
  assert.deepEqual(JSON.parse(bodies.at(-1) ?? '').mappings, JSON.stringify(value));
});

test('metadata of the greatest depth is sent, and a list of images with it can still be read', async (t) => {
  const { images, bodies } = await openStub(t);
  const metadata: never = untyped({ a: nested(26) });
  const url = 'http://example.com/x';
  await images.addLocation(imageId, { url, metadata });
  assert.match(bodies.at(-1) ?? '', /"metadata":\{"a":/);
  const list = { images: [wireImage({ locations: [{ url, metadata }] })] };
  const other = await openStub(t, {
    answer({ url: asked }, response) {
      if (!asked?.startsWith('/v2/images')) return false;
      response.end(JSON.stringify(list));
      return true;
    },
  });
  const [image] = await collect(other.images.detail());
  assert.deepEqual(image?.locations, [{ url, metadata }]);
});

const digest = { algorithm: 'md5', value: 'd41d8cd98f00b204e9800998ecf8427e' };
for (const [wrong, message] of [
  [{ ...digest, algorithm: '__proto__' }, /^location\.digest.*expected md5, sha1, sha256 or sha512/],
  [{ ...digest, algorithm: 'constructor' }, /^location\.digest.*expected md5, sha1, sha256 or sha512/],
  [{ ...digest, algorithm: 7 }, /^location\.digest.*expected md5, sha1, sha256 or sha512/],
  [{ ...digest, algorithm: 'sha1' }, /^location\.digest\.value: expected 40 hex digits$/],
  [{ ...digest, value: '' }, /^location\.digest\.value: expected 32 hex digits$/],
  [{ ...digest, value: 'x'.repeat(32) }, /^location\.digest\.value: expected 32 hex digits$/],
  [{ ...digest, size: 7 }, /^location\.digest: .*"size"/],
] as const) {
  test(`the digest ${JSON.stringify(wrong)} of a location is an InvalidRequest, and nothing is sent`, async (t) => {
    const { images, requests } = await openStub(t);
    const location = { url: 'http://example.com/x', digest: untyped<never>(wrong) };
    await assert.rejects(images.addLocation(imageId, location), invalid(message));
    assert.deepEqual(requests, []);
  });
}

test('a name that a request or a location does not have is an InvalidRequest that quotes it', async (t) => {
  const { images, requests } = await openStub(t);
  const url = 'http://example.com/x';
  for (const [act, message] of [
    [() => images.addLocation(imageId, untyped({ url, meta: {} })), /^location: .*"meta"/],
    [
      () => images.importImage(imageId, untyped({ method: { name: 'glance-direct' }, store: 'x' })),
      /^request: .*"store"/,
    ],
    [
      () => images.importImage(imageId, { method: untyped({ name: 'glance-direct', uri: 'x' }) }),
      /^request\.method: .*"uri"/,
    ],
    [
      () => images.detail({ sort: [untyped({ key: 'name', direction: 'asc', order: 1 })] }).next(),
      /^sort\.0: .*"order"/,
    ],
  ] as const)
    await assert.rejects(act(), invalid(message));
  assert.deepEqual(requests, []);
});

const wrongs = [undefined, null, 7, 'text', {}, []];

test('a function of the library that needs no service rejects arguments of a wrong type', async (t) => {
  const { images } = await openStub(t);
  const requester = { token: false };
  const shown = { visibility: 'private', status: 'active', properties: {} } as const;
  for (const wrong of wrongs) {
    const value: never = untyped(wrong);
    assert.throws(() => library.isImageAvailable(value, requester), invalid(/^image: expected an image/));
    assert.throws(() => library.isImageAvailable(shown, value), invalid(/^requester/));
    assert.throws(() => library.importState(value), invalid(/^image: expected an image/));
    assert.throws(() => library.fixedCertificates(value), invalid(/^pems: expected a Map/));
    assert.throws(() => library.parseImageRef(value), InvalidImageRef);
    for (const ref of [imageId, `http://example.com/${imageId}`]) {
      assert.throws(() => library.getRemoteImageService(ref, value), invalid(/^options: expected|^service: expected/));
      assert.throws(
        () => library.getRemoteImageService(ref, { service: value, connect: images.at }),
        invalid(/^service: expected an image service$/),
      );
      assert.throws(
        () => library.getRemoteImageService(ref, { service: images, connect: value }),
        invalid(/^connect: expected a function$/),
      );
    }
  }
  for (const wrong of [null, 7, {}, [7]]) {
    const value: never = untyped(wrong);
    assert.throws(() => library.isImageAvailable(shown, requester, value), invalid(/^members/));
    assert.throws(() => library.importState(shown, value), invalid(/^requested/));
  }
  assert.throws(() => library.fixedCertificates(untyped(new Map([['id', 7]]))), invalid(/^pems\.id: expected string/));
});

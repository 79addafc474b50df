/** Creates, changes and deletes images: the written and the unchanged attributes, and the allowed names. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import {
  Conflict,
  ImageCorrupted,
  ImageLimitExceeded,
  ImageNotAuthorized,
  ImageNotFound,
  InvalidRequest,
} from '../../src/glance/errors.ts';
import type { ImageFields } from '../../src/library/fields.ts';
import type { Project } from '../env/project.ts';
import type { ProxiedRequest } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { openService, raw, type TestServiceOptions } from '../glance/kit.ts';

let stack: Stack;
let project: Project;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('change');
});
after(() => stack.stop());

/** A service of the one project that most tests here share. */
const open = (t: TestContext, options: TestServiceOptions = {}) => openService(t, stack, { project, ...options });

const is = (method: string, end: string) => (request: ProxiedRequest) =>
  request.method === method && request.path.endsWith(end);

test('no update is lost of several for one image at the same time, although Glance saves whole images', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({});
  const properties = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`key${at}`, 'x']));
  await Promise.all(
    Object.keys(properties).map((key) => images.update(id, { properties: { [key]: 'x' } }, { purge: false })),
  );
  assert.deepEqual((await images.show(id)).properties, properties);
});

test('lists in mappings and block_device_mapping are JSON for Glance and lists again when shown', async (t) => {
  const { images, project } = await open(t);
  const properties = {
    mappings: [
      { virtual: 'aaa', device: 'bbb' },
      { virtual: 'xxx', device: 'yyy' },
    ],
    block_device_mapping: [
      { virtual_device: 'fake', device_name: '/dev/fake' },
      { virtual_device: 'ephemeral0', device_name: '/dev/fake0' },
    ],
    prop1: 'propvalue1',
  };
  const given = { name: 'x', properties };
  const before = structuredClone(given);
  const { id } = await images.create(given);
  assert.deepEqual(given, before);
  const stored = await project.getImage(id);
  assert.deepEqual(JSON.parse(String(stored['mappings'])), properties.mappings);
  assert.deepEqual(JSON.parse(String(stored['block_device_mapping'])), properties.block_device_mapping);
  const image = await images.show(id);
  assert.deepEqual([image.name, image.properties], ['x', properties]);
});

for (const text of ['', '[{', 'null?']) {
  test(`text that is not JSON (${JSON.stringify(text)}) stays text, and the image stays readable and changeable`, async (t) => {
    const { images } = await open(t);
    const { id } = await images.create({ properties: { mappings: text, block_device_mapping: text } });
    assert.deepEqual((await images.show(id)).properties, { mappings: text, block_device_mapping: text });
    assert.equal((await images.update(id, { name: 'x' })).name, 'x');
  });
}

test('every key that is not a field is a property, in addition to those in `properties`', async (t) => {
  const { images } = await open(t);
  // Values that a program without our types may pass.
  const given: ImageFields & Record<string, unknown> = { name: 'x', is_public: false };
  const withBoth = { ...given, properties: { instance_id: '42', user_id: 'somebody' } };
  const shown = await images.create(withBoth);
  assert.deepEqual(shown.properties, { is_public: 'false', instance_id: '42', user_id: 'somebody' });
  assert.deepEqual((await images.create(given)).properties, { is_public: 'false' });
  assert.deepEqual((await images.create({ name: 'x' })).properties, {});
});

test('a key in `properties` overrides the same key outside of it', async (t) => {
  const { images } = await open(t);
  const given = { name: 'x', os_distro: 'outer', os_version: '1', properties: { os_distro: 'inner', cores: 4 } };
  const image = await images.create(given);
  assert.deepEqual(image.properties, { os_distro: 'inner', os_version: '1', cores: '4' });
});

test('a shown image can be given back; a changed value for a read-only attribute is rejected by name', async (t) => {
  const { images, proxy } = await open(t);
  const image = await images.create({ ...raw, properties: { kept: '1' } }, { data: Buffer.alloc(100, 1) });
  const { updatedAt: _, ...rest } = await images.update(image.id, { ...image, name: 'given back' });
  assert.deepEqual({ ...rest, updatedAt: image.updatedAt }, { ...image, name: 'given back' });

  const changes = proxy.requests.filter(({ method }) => method !== 'GET').length;
  const other = { ...image, size: 5, checksum: 'x', status: 'queued' };
  await assert.rejects(images.update(image.id, other), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.match(error.message, /^size: .*cannot be written; checksum: .*cannot be written$/);
    return true;
  });
  for (const key of ['virtual_size', 'self', 'stores', 'os_hash_value', 'location', 'os_glance_x', 'disk_format']) {
    const named = new RegExp(`property ${key}: `);
    await assert.rejects(images.update(image.id, { properties: { [key]: 'x' } }), named);
    await assert.rejects(images.create({ properties: { [key]: 'x' } }), named);
  }
  // Nothing of this reached Glance.
  assert.equal(proxy.requests.filter(({ method }) => method !== 'GET').length, changes);
});

test('a value of another type than its field is rejected by name', async (t) => {
  const { images, calls } = await open(t);
  const given: Record<string, unknown> = {
    minDiskGiB: '5',
    protected: 'yes',
    tags: 'x',
    properties: { f: Number.NaN },
  };
  await assert.rejects(images.create(given), (error) => {
    assert.ok(error instanceof InvalidRequest);
    for (const key of ['minDiskGiB', 'protected', 'tags', 'property f']) assert.match(error.message, new RegExp(key));
    return true;
  });
  assert.deepEqual(calls(), []);
});

test('names are only data', async (t) => {
  const { images } = await open(t);
  const names = ['method', 'items', 'keys', 'store_id', 'base_image_ref', 'backend', 'controller', 'constructor'];
  const odd = [
    '__proto__',
    '',
    'a/b',
    '~',
    '~1',
    '/',
    '%2F',
    'é',
    '日本語',
    "quote'",
    '"',
    '\\',
    'k'.repeat(255),
    'data',
  ];
  const properties = Object.fromEntries([...names, ...odd].map((name) => [name, `of ${name}`]));
  const { id } = await images.create({ properties });
  assert.deepEqual((await images.show(id)).properties, properties);
  // Changed and removed one by one, they are distinguished as well.
  const changed = Object.fromEntries([...names, ...odd].slice(0, -2).map((name) => [name, 'changed']));
  assert.deepEqual((await images.update(id, { properties: changed })).properties, changed);
  assert.deepEqual((await images.update(id, { properties: {} })).properties, {});
});

test('a property whose name has white space at its ends, which Glance would mistake for another, is never changed', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({ properties: { ' x': '1', x: '2' } });
  assert.deepEqual((await images.update(id, { properties: { x: '3' } })).properties, { ' x': '1', x: '3' });
  await assert.rejects(
    images.update(id, { properties: { ' x': '4' } }),
    /^InvalidRequest: property " x": .*white space/,
  );
  assert.deepEqual((await images.show(id)).properties, { ' x': '1', x: '3' });
});

test('a change that Glance accepts and does not make is an InvalidRequest', async (t) => {
  const { images, project, proxy } = await open(t);
  const { id } = await images.create({});
  const unchanged = JSON.stringify(await project.getImage(id));
  const headers = { 'content-type': 'application/json' };
  proxy.on({ matches: is('PATCH', id), fault: { kind: 'answer', status: 200, headers, body: unchanged } });
  await assert.rejects(images.update(id, { properties: { a: 'x' } }), /^InvalidRequest: .*did not make it: \/a/);
});

test('a key that is too long is an InvalidRequest, too many are an ImageLimitExceeded', async (t) => {
  const { images } = await open(t);
  await assert.rejects(images.create({ properties: { ['k'.repeat(256)]: 'v' } }), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.match(error.message, /255/);
    return true;
  });
  const many = (count: number) => ({
    properties: Object.fromEntries(Array.from({ length: count }, (_, index) => [`key ${index}`, 'v'])),
  });
  const { id } = await images.create({});
  for (const [count, call] of [
    [1000, () => images.create(many(1000))],
    [129, () => images.update(id, many(129))],
  ] as const) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof ImageLimitExceeded);
      assert.equal(error.httpStatus, 413);
      assert.match(error.message, new RegExp(`Attempted: ${count}, Maximum: 128`));
      return true;
    });
  }
});

test('an update of the name changes the name and nothing else', async (t) => {
  const { images } = await open(t);
  const image = await images.create({ name: 'old', tags: ['a'], properties: { kept: '1' } });
  const updated = await images.update(image.id, { name: 'new' });
  assert.deepEqual({ ...updated, updatedAt: image.updatedAt }, { ...image, name: 'new' });
  assert.deepEqual(await images.show(image.id), updated);
});

test('purging removes what is not declared, in the one change that sets what is', async (t) => {
  const { images, calls } = await open(t);
  const { id } = await images.create({ properties: { k2: 'v2' } });
  const before = calls().length;
  assert.deepEqual((await images.update(id, { properties: { k1: 'v1' } })).properties, { k1: 'v1' });
  assert.deepEqual(calls().slice(before), [`GET /v2/images/${id}`, `PATCH /v2/images/${id}`]);
  // A removed and an added property with one value are two operations: Glance takes no `move`.
  assert.deepEqual((await images.update(id, { properties: { k3: 'v1' } })).properties, { k3: 'v1' });
});

const absent = {};
for (const [what, given, purge, left] of [
  ['absent', absent, true, { a: '1', b: '2' }],
  ['absent, without purging', absent, false, { a: '1', b: '2' }],
  ['empty', { properties: {} }, true, {}],
  ['empty, without purging', { properties: {} }, false, { a: '1', b: '2' }],
  ['null', { properties: null }, true, {}],
  ['null, without purging', { properties: null }, false, {}],
  ['one of them', { properties: { a: '3' } }, true, { a: '3' }],
  ['one of them, without purging', { properties: { a: '3' } }, false, { a: '3', b: '2' }],
  ['one that is null, without purging', { properties: { a: null } }, false, { b: '2' }],
] as const) {
  test(`an update leaves the properties ${JSON.stringify(left)} if \`properties\` is ${what}`, async (t) => {
    const { images } = await open(t);
    const { id } = await images.create({ properties: { a: '1', b: '2' } });
    const image = await images.update(id, { name: 'new', ...given }, { purge });
    assert.deepEqual([image.name, image.properties], ['new', left]);
  });
}

test('an update without changes sends no change to Glance', async (t) => {
  const { images, calls } = await open(t);
  const fields = { name: 'x', tags: ['b', 'a'], minDiskGiB: 1, properties: { a: 1, mappings: [{ x: 1 }] } };
  const image = await images.create(fields);
  const before = calls().length;
  assert.deepEqual(await images.update(image.id, { ...fields, tags: ['a', 'b', 'a'] }), image);
  assert.deepEqual(calls().slice(before), [`GET /v2/images/${image.id}`]);
});

test('tags are a set like any other, and can be cleared', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({ tags: ['a', 'b'] });
  assert.deepEqual((await images.update(id, { tags: ['c'] })).tags, ['c']);
  for (const tag of ['ü', 'a/b', '? &', '? &']) await images.addTag(id, tag);
  assert.deepEqual((await images.show(id)).tags, ['? &', 'a/b', 'c', 'ü']);
  for (const tag of ['c', 'ü', '? &']) {
    await images.removeTag(id, tag);
    await assert.rejects(images.removeTag(id, tag), ImageNotFound);
  }
  assert.deepEqual((await images.show(id)).tags, ['a/b']);
  assert.deepEqual((await images.update(id, { tags: [] })).tags, []);
});

test('an update takes no notice of an id among its fields', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({ name: 'old' });
  assert.deepEqual((await images.update(id, { id: randomUUID(), name: 'new' })).id, id);
});

test('a change that conflicts with another client is computed again', async (t) => {
  const { images, project, proxy } = await open(t);
  const { id } = await images.create({ properties: { a: '1', b: '2' } });
  // The property to be removed has been deleted before the request reaches Glance.
  const gone = Promise.withResolvers<void>();
  proxy.on({ matches: is('PATCH', id), fault: { kind: 'hold', released: gone.promise }, times: 1 });
  const updated = images.update(id, { properties: { b: '3' } });
  (await project.image('PATCH', `/v2/images/${id}`, [{ op: 'remove', path: '/a' }])).ok();
  gone.resolve();
  assert.deepEqual((await updated).properties, { b: '3' });
});

test('data and metadata go into an image in one update, and its formats before the data', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({ name: 'old' });
  const { name: _, ...formats } = raw;
  const image = await images.update(id, { ...formats, name: 'new' }, { data: Buffer.alloc(256, 42) });
  assert.deepEqual([image.status, image.name, image.size], ['active', 'new', 256]);
  assert.deepEqual(await images.show(id), image);
});

test('an update with data alone is one upload and one read, and its headers are for that call only', async (t) => {
  const { images, proxy, calls } = await open(t);
  const first = await images.create(raw);
  const second = await images.create(raw);
  const before = calls().length;
  await images.update(first.id, {}, { data: Buffer.from('data'), store: 'slow', baseImageRef: '123' });
  assert.deepEqual(calls().slice(before), [
    `GET /v2/images/${first.id}`,
    `PUT /v2/images/${first.id}/file`,
    `GET /v2/images/${first.id}`,
  ]);
  const [upload] = proxy.requests.filter(is('PUT', '/file'));
  assert.equal(upload?.headers['x-image-meta-store'], 'slow');
  assert.equal(upload?.headers['x-openstack-base-image-ref'], '123');
  assert.equal(upload?.headers['x-openstack-image-size'], '4');
  assert.deepEqual((await images.show(first.id)).stores, ['slow']);
  const later = await images.update(second.id, {}, { data: Buffer.from('data') });
  assert.deepEqual(later.stores, ['fast']);
  for (const { headers, path } of proxy.requests) {
    if (path.startsWith(`/v2/images/${first.id}/file`)) continue;
    assert.deepEqual([headers['x-image-meta-store'], headers['x-openstack-base-image-ref']], [undefined, undefined]);
  }
});

test('a creation with a lost response makes one image', async (t) => {
  const { images, project, proxy } = await openService(t, stack);
  proxy.on({ matches: is('POST', '/images'), fault: { kind: 'loseAnswer' }, times: 1 });
  const image = await images.create({ name: 'once' });
  assert.deepEqual(
    (await project.listImages()).map(({ id, name }) => [id, name]),
    [[image.id, 'once']],
  );
  assert.equal(proxy.requests.filter(is('POST', '/images')).length, 2);
});

test('an id that the caller chose is the one of the image, once', async (t) => {
  const { images } = await open(t);
  const id = randomUUID();
  assert.equal((await images.create({ id, name: 'x' })).id, id);
  await assert.rejects(images.create({ id, name: 'x' }), Conflict);
  await assert.rejects(images.create({ id: '../images', name: 'x' }), InvalidRequest);
});

test('an image is created with its data, and not at all when the data fails', async (t) => {
  const { images, project } = await openService(t, stack);
  const image = await images.create({ ...raw, name: 'whole' }, { data: Buffer.alloc(5000, 1) });
  assert.deepEqual([image.status, image.size], ['active', 5000]);
  async function* broken() {
    yield Buffer.alloc(5000, 1);
    throw new Error('the disk has died');
  }
  await assert.rejects(images.create(raw, { data: broken() }), /the disk has died/);
  await assert.rejects(images.create(raw, { data: Buffer.from('data'), size: 5 }), InvalidRequest);
  await assert.rejects(images.create({ ...raw, diskFormat: 'qcow2' }, { data: Buffer.alloc(5000, 1) }), {
    code: 'FormatMismatch',
  });
  assert.deepEqual(
    (await project.listImages()).map(({ id }) => id),
    [image.id],
  );
});

test('a body that was begun is never sent again', async (t) => {
  const { images, proxy } = await open(t);
  const { id } = await images.create(raw);
  // Glance has received all of it, and the response never comes.
  proxy.on({ matches: is('PUT', '/file'), fault: { kind: 'loseAnswer' }, times: 1 });
  await assert.rejects(images.update(id, {}, { data: Buffer.alloc(3000, 7) }), { code: 'GlanceUnreachable' });
  assert.equal(proxy.requests.filter(is('PUT', '/file')).length, 1);
  const image = await images.show(id);
  assert.deepEqual([image.status, image.size], ['active', 3000]);
});

test('an upload that is confirmed and did not arrive whole is noticed', async (t) => {
  const { images, proxy } = await open(t);
  const { id } = await images.create(raw);
  proxy.on({ matches: is('PUT', '/file'), fault: { kind: 'answer', status: 204 }, times: 1 });
  await assert.rejects(images.update(id, {}, { data: Buffer.alloc(3000, 7) }), (error) => {
    assert.ok(error instanceof ImageCorrupted);
    assert.equal(error.message, `Glance has 0 bytes of image ${id}, but 3000 were sent`);
    return true;
  });
});

test('a delete removes the image that was named and no other; a protected one stays', async (t) => {
  const { images, project } = await openService(t, stack);
  const first = await images.create({ name: 'first' });
  const second = await images.create({ name: 'second', protected: true });
  await images.delete(first.id);
  await assert.rejects(images.delete(first.id), ImageNotFound);
  await assert.rejects(images.delete(second.id), (error) => {
    assert.ok(error instanceof ImageNotAuthorized);
    assert.match(error.message, /protected/);
    return true;
  });
  assert.deepEqual(
    (await project.listImages()).map(({ id }) => id),
    [second.id],
  );
  await images.update(second.id, { protected: false });
  await images.delete(second.id);
});

/**
 * A cloud that was set up otherwise: no locations with its images, a store that takes no data, properties with types, and
 * imports from its own region.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { Conflict, ImageNotAuthorized, ImageNotFound, InvalidRequest } from '../../src/glance/errors.ts';
import { importState } from '../../src/glance/import-state.ts';
import type { ServiceImage } from '../../src/library/service-image.ts';
import { digestOf, generated } from '../env/content.ts';
import type { Project } from '../env/project.ts';
import { type Source, startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { bytesOf, openService, raw, type TestServiceOptions, until } from '../glance/kit.ts';
import { startVariant, type Variant } from '../glance/variant.ts';

let stack: Stack;
let project: Project;
let variant: Variant;
let source: Source;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('otherwise');
  [variant, source] = await Promise.all([startVariant(stack), startSource({ ports: stack.sourcePorts })]);
});
after(async () => {
  await Promise.all([variant.stop(), source.stop()]);
  await stack.stop();
});

const content = generated(100_000, 'locations');
const sha512 = digestOf(content, 'sha512');
const open = (t: TestContext, options: TestServiceOptions = {}) =>
  openService(t, stack, { imageUrl: variant.imageUrl, project, ...options });
const isOver = (image: ServiceImage) => importState(image).kind !== 'running';

test('an ordinary user, rejected by the new API, gets the locations that the image shows, or none', async (t) => {
  const { images } = await openService(t, stack, { project });
  const { id, directUrl, locations } = await images.create(raw, { data: Buffer.alloc(100, 1) });
  assert.deepEqual(await images.getLocation(id), { directUrl, locations });
  const elsewhere = await open(t);
  assert.deepEqual(await elsewhere.images.getLocation(id), { directUrl, locations: [] });
  elsewhere.proxy.on({ matches: ({ path }) => path.includes(id), fault: { kind: 'answer', status: 403 } });
  assert.deepEqual(await elsewhere.images.getLocation(id), { directUrl: null, locations: [] });
  await assert.rejects(images.getLocation(randomUUID()), ImageNotFound);
});

test('a location is added by the new API, by the user that may use it, and becomes the data', async (t) => {
  const { images, proxy } = await open(t, { asService: true });
  const url = source.add(`/${randomUUID()}`, { body: content });
  const { id } = await images.create(raw);
  const digest = { algorithm: 'sha512', value: sha512 } as const;
  const before = proxy.requests.length;
  // The new API takes nothing but the address and the digest; the store it finds by itself.
  assert.equal(await images.addLocation(id, { url, metadata: { store: 'web' }, digest }), 'accepted');
  const since = proxy.requests.slice(before).filter(({ path }) => path !== '/versions');
  assert.deepEqual(
    since.map(({ method, path }) => `${method} ${path}`),
    [`POST /v2/images/${id}/locations`],
  );
  assert.notEqual(since[0]?.headers['x-auth-token'], proxy.requests[0]?.headers['x-auth-token']);
  const image = await until(images, id, isOver);
  assert.deepEqual([image.status, image.hash?.value, image.size], ['active', sha512, content.size]);
  assert.deepEqual(await images.getLocation(id), { directUrl: null, locations: [{ url, metadata: { store: 'web' } }] });
  assert.ok((await bytesOf((await images.download(id)).body)).equals(content.slice(0, content.size)));
});

test('an ordinary user adds a location by the new API too where the cloud has a store for it', async (t) => {
  const { images } = await open(t);
  const url = source.add(`/${randomUUID()}`, { body: content });
  const { id } = await images.create(raw);
  assert.equal(await images.addLocation(id, { url }), 'accepted');
  const image = await until(images, id, isOver);
  assert.equal(image.status, 'active');
  await assert.rejects(images.addLocation(id, { url }), Conflict);
  await assert.rejects(images.addLocation(id, { url: 'http://127.0.0.1:1/x' }), (error) => {
    assert.ok(error instanceof Conflict);
    assert.match(error.message, /status is active/);
    return true;
  });
});

test('a location that neither API accepts fails with the messages of both', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create(raw);
  // The file store is not for ordinary users, and this cloud shows no locations, so it takes none by the earlier API.
  await assert.rejects(images.addLocation(id, { url: 'file:///etc/hostname' }), (error) => {
    assert.ok(error instanceof ImageNotAuthorized);
    assert.equal(error.httpStatus, 403);
    assert.match(
      error.message,
      /returned 403 for the addition of a location .*; and by the earlier API: .*returned 403/,
    );
    return true;
  });
});

test('a digest that the data at a location does not have makes the image no image', async (t) => {
  const { images } = await open(t, { asService: true });
  const url = source.add(`/${randomUUID()}`, { body: content });
  const { id } = await images.create(raw);
  const digest = { algorithm: 'sha256', value: '0'.repeat(64) } as const;
  await assert.rejects(images.addLocation(id, { url, digest: { ...digest, value: 'short' } }), InvalidRequest);
  await images.addLocation(id, { url, digest });
  const image = await until(images, id, isOver);
  assert.notEqual(image.status, 'active');
});

test('properties that the cloud gives a type have it, written and read', async (t) => {
  const { images, project } = await open(t);
  const properties = { hw_cpu_cores: 4, hw_boot_menu: true, hw_other: 4, kernel_id: 'k' };
  const { id } = await images.create({ properties });
  const shown = { ...properties, hw_other: '4' };
  assert.deepEqual((await images.show(id)).properties, shown);
  // Everywhere else they are text.
  assert.equal((await project.getImage(id))['hw_cpu_cores'], '4');
  assert.deepEqual((await images.update(id, { properties: { ...shown, hw_cpu_cores: 8 } })).properties, {
    ...shown,
    hw_cpu_cores: 8,
  });
  await assert.rejects(images.update(id, { properties: { hw_cpu_cores: 'many' } }), InvalidRequest);
});

test('a read-only store is a StoreReadOnly, reported before the upload if the stores are listed', async (t) => {
  const { images } = await open(t);
  await assert.rejects(images.checkStores(['fast', 'web']), { code: 'StoreReadOnly' });
  const { id } = await images.create(raw);
  await assert.rejects(images.update(id, {}, { data: Buffer.alloc(100, 1), store: 'web' }), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /^store web accepts no data; Glance returned 410 for the upload: /);
    return true;
  });
  assert.equal((await images.update(id, {}, { data: Buffer.alloc(100, 1), store: 'slow' })).status, 'active');
});

test('data that reaches only some of the stores makes the image active there, and the others are named', async (t) => {
  const { images } = await open(t);
  const uri = source.add(`/${randomUUID()}`, { body: content });
  const { id } = await images.create(raw);
  const stores = ['web', 'slow'];
  await images.importImage(id, { method: { name: 'web-download', uri }, stores, allStoresMustSucceed: false });
  const image = await until(images, id, isOver);
  assert.deepEqual(importState(image), { kind: 'partial', failedStores: ['web'] });
  assert.deepEqual([image.status, image.stores, image.hash?.value], ['active', ['slow'], sha512]);
});

test('where all stores must have the data and one fails, the image has none and may be imported again', async (t) => {
  const { images } = await open(t);
  const uri = source.add(`/${randomUUID()}`, { body: content });
  const { id } = await images.create(raw);
  await images.importImage(id, { method: { name: 'web-download', uri }, stores: ['slow', 'web'] });
  const failed = importState(await until(images, id, isOver));
  assert.equal(failed.kind, 'failed');
  await images.importImage(id, { method: { name: 'web-download', uri }, stores: ['slow'] });
  const image = await until(images, id, isOver);
  // Glance still notes the failure of the earlier import.
  assert.deepEqual(importState(image), { kind: 'partial', failedStores: ['web'] });
  assert.deepEqual(importState(image, ['slow']), { kind: 'succeeded' });
});

test('staged data that a store does not take leaves the image stuck, and it can only be deleted', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create(raw);
  await images.stage(id, content.slice(0, content.size));
  await images.importImage(id, { method: { name: 'glance-direct' }, stores: ['web'] });
  const image = await until(images, id, isOver);
  assert.deepEqual(importState(image), { kind: 'stuck' });
  await assert.rejects(images.importImage(id, { method: { name: 'glance-direct' } }), Conflict);
  await images.delete(id);
  await assert.rejects(images.show(id), ImageNotFound);
});

test('an image is copied from another region by any of its endpoints', async (t) => {
  const { images } = await open(t);
  const { id: imageId } = await images.create(raw, { data: content.slice(0, content.size) });
  for (const serviceInterface of [undefined, 'internal'] as const) {
    const { id } = await images.create(raw);
    const from = { imageId, region: stack.openstack.region, ...(serviceInterface ? { serviceInterface } : {}) };
    await images.importImage(id, { method: { name: 'glance-download', ...from } });
    const image = await until(images, id, isOver);
    assert.deepEqual([importState(image).kind, image.hash?.value], ['succeeded', sha512]);
  }
});

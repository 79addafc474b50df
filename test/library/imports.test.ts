/** Imports by every method, copies between stores, and the capabilities of a cloud. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import {
  Conflict,
  ImageNotAuthorized,
  ImageNotFound,
  InvalidRequest,
  NotAuthorized,
  StoreNotFound,
} from '../../src/glance/errors.ts';
import { importState } from '../../src/glance/import-state.ts';
import type { ServiceImage } from '../../src/library/service-image.ts';
import { digestOf, generated } from '../env/content.ts';
import type { Project } from '../env/project.ts';
import { type Source, startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { openService, raw, type TestServiceOptions, until } from '../glance/kit.ts';

let stack: Stack;
let project: Project;
let source: Source;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('imports');
  source = await startSource({ ports: stack.sourcePorts });
});
after(async () => {
  await source.stop();
  await stack.stop();
});

/** A service of the one project that most tests here share. */
const open = (t: TestContext, options: TestServiceOptions = {}) => openService(t, stack, { project, ...options });

const content = generated(100_000, 'imports');
const sha512 = digestOf(content, 'sha512');
const bytes = content.slice(0, content.size);
const isOver = (image: ServiceImage) => importState(image).kind !== 'running';

test('staged data becomes the image when it is imported', async (t) => {
  const { images } = await open(t);
  assert.deepEqual((await images.importMethods()).toSorted(), [
    'copy-image',
    'glance-direct',
    'glance-download',
    'web-download',
  ]);
  const { id } = await images.create(raw);
  await images.stage(id, bytes);
  assert.equal((await images.show(id)).status, 'uploading');
  // It can neither be replaced nor joined by an upload.
  await assert.rejects(images.stage(id, bytes), Conflict);
  await assert.rejects(images.update(id, {}, { data: bytes }), Conflict);
  await images.importImage(id, { method: { name: 'glance-direct' } });
  const image = await until(images, id, isOver);
  assert.deepEqual(importState(image), { kind: 'succeeded' });
  assert.deepEqual([image.status, image.size, image.hash?.value], ['active', content.size, sha512]);
  const tasks = await images.tasks(id);
  assert.deepEqual(
    tasks.map(({ type, status }) => [type, status]),
    [['api_image_import', 'success']],
  );
  assert.deepEqual(
    tasks,
    tasks.toSorted((a, b) => (a.createdAt ?? '').localeCompare(b.createdAt ?? '')),
  );
});

test('staged data that breaks off leaves the image queued', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create(raw);
  async function* broken() {
    yield bytes;
    throw new Error('the disk has died');
  }
  await assert.rejects(images.stage(id, broken()), /the disk has died/);
  await until(images, id, ({ status }) => status === 'queued');
  await images.stage(id, bytes);
});

test('a Glance that takes no staged data says so, and the image is not taken for gone', async (t) => {
  const { images, proxy } = await open(t);
  const { id } = await images.create(raw);
  proxy.on({ matches: ({ path }) => path.endsWith('/stage'), fault: { kind: 'answer', status: 404 } });
  await assert.rejects(images.stage(id, bytes), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.match(error.message, /^this Glance accepts no staged data: Glance returned 404 for the staging of the data/);
    return true;
  });
  await images.delete(id);
  await assert.rejects(images.stage(id, bytes), ImageNotFound);
});

test('Glance downloads an image by itself; meanwhile a second import is rejected; a failed import can be tried again', async (t) => {
  const { images } = await open(t);
  const gate = Promise.withResolvers<void>();
  const path = `/${randomUUID()}`;
  const uri = source.add(path, { body: content, gate: { at: 50_000, released: gate.promise } });
  const { id } = await images.create(raw);
  await images.importImage(id, { method: { name: 'web-download', uri: `${uri}-missing` } });
  const failed = await until(images, id, isOver);
  assert.deepEqual(importState(failed), { kind: 'failed', failedStores: ['fast'] });
  assert.equal((await images.tasks(id)).at(-1)?.status, 'failure');

  const method = { name: 'web-download', uri } as const;
  await images.importImage(id, { method });
  // Accepted is running, at once.
  assert.equal(importState(await images.show(id)).kind, 'running');
  await assert.rejects(images.importImage(id, { method }), Conflict);
  gate.resolve();
  const image = await until(images, id, isOver);
  assert.deepEqual([importState(image).kind, image.hash?.value], ['succeeded', sha512]);
  // Newest last.
  assert.deepEqual(
    (await images.tasks(id)).map(({ status }) => status),
    ['failure', 'success'],
  );
});

test('an impossible import is rejected before any call', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({ name: 'without formats' });
  const uri = source.add(`/${randomUUID()}`, { body: content });
  await assert.rejects(images.importImage(id, { method: { name: 'web-download', uri } }), Conflict);
  await images.update(id, raw);
  await assert.rejects(images.importImage(id, { method: { name: 'glance-direct' } }), Conflict);
  await assert.rejects(
    images.importImage(id, { method: { name: 'web-download', uri: 'ftp://127.0.0.1/x' } }),
    InvalidRequest,
  );
  await assert.rejects(images.importImage(id, { method: { name: 'web-download', uri }, stores: ['none'] }), (error) => {
    assert.ok(error instanceof StoreNotFound);
    assert.equal(error.httpStatus, 409);
    assert.match(
      error.message,
      /^the cloud has no store "none"; it has fast, slow; Glance returned 409 for the import/,
    );
    return true;
  });
  assert.equal((await images.show(id)).status, 'queued');
});

test('an image is copied to other stores and removed from them, but never from its last', async (t) => {
  const { images } = await open(t, { asAdmin: true });
  const { id } = await images.create({ ...raw, visibility: 'private' }, { data: bytes });
  t.after(() => stack.openstack.image('DELETE', `/v2/images/${id}`));
  await images.copyToStores(id, 'all');
  const copied = await until(images, id, isOver);
  assert.deepEqual([importState(copied).kind, copied.stores?.toSorted()], ['succeeded', ['fast', 'slow']]);
  await images.deleteFromStore(id, 'fast');
  assert.deepEqual((await images.show(id)).stores, ['slow']);
  await images.copyToStores(id, ['fast']);
  await until(images, id, isOver);
  await images.deleteFromStore(id, 'slow');
  await assert.rejects(images.deleteFromStore(id, 'fast'), ImageNotAuthorized);
  await assert.rejects(images.deleteFromStore(id, 'none'), StoreNotFound);
  await assert.rejects(images.copyToStores(id, ['none']), StoreNotFound);
  const user = await open(t);
  const { id: theirs } = await user.images.create(raw, { data: bytes });
  await assert.rejects(user.images.copyToStores(theirs, ['slow']), ImageNotAuthorized);
});

test('the stores of a cloud are listed, and an unknown store is named', async (t) => {
  const { images } = await open(t);
  const stores = [
    { id: 'fast', isDefault: true, readOnly: false },
    { id: 'slow', isDefault: false, readOnly: false },
  ];
  assert.deepEqual(await images.getStores(), stores);
  await images.checkStores(['fast', 'slow']);
  await assert.rejects(images.checkStores(['slow', 'none']), StoreNotFound);
  const { id } = await images.create(raw);
  await assert.rejects(images.update(id, {}, { data: bytes, store: 'none' }), (error) => {
    assert.ok(error instanceof StoreNotFound);
    assert.equal(error.httpStatus, 400);
    assert.match(
      error.message,
      /^the cloud has no store "none"; it has fast, slow; Glance returned 400 for the upload: /,
    );
    return true;
  });
  await assert.rejects(images.update(id, {}, { data: bytes, store: 'a\r\nb' }), InvalidRequest);
  await assert.rejects(images.getStoreDetails(), NotAuthorized);
  const admin = await open(t, { asAdmin: true });
  const [fast] = (await admin.images.getStoreDetails()) ?? [];
  assert.deepEqual({ ...fast, properties: {} }, { ...stores[0], type: 'file', weight: 0, properties: {} });
});

test('a cloud with a single unnamed store lists none', async (t) => {
  const { images, proxy } = await open(t);
  proxy.on({ matches: ({ path }) => path.startsWith('/v2/info/stores'), fault: { kind: 'answer', status: 404 } });
  assert.equal(await images.getStores(), undefined);
  assert.equal(await images.getStoreDetails(), undefined);
});

test('the usage of the quotas and the versions of the API are returned', async (t) => {
  const { images, project } = await openService(t, stack);
  await project.setLimit('image_count_total', 7);
  await images.create({});
  const usage = await images.usage();
  assert.deepEqual(usage['image_count_total'], { limit: 7, usage: 1 });
  assert.equal(usage['image_size_total']?.usage, 0);
  assert.ok((await images.versions()).includes('v2.17'));
});

/** Finding images: by id, in lists, and for whom they are there. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ImageNotFound, InvalidRequest } from '../../src/glance/errors.ts';
import type { ListFilters } from '../../src/glance/list.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { collect, openService, raw, type TestService } from '../glance/kit.ts';

let stack: Stack;
before(async () => {
  stack = await connectStack();
});
after(() => stack.stop());

/** Images with these names, in this order. */
async function make({ images }: TestService, names: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const name of names) ids.push((await images.create({ ...raw, name, visibility: 'private' })).id);
  return ids;
}
const oldestFirst = [{ key: 'created_at', direction: 'asc' } as const];
const ten = Array.from({ length: 10 }, (_, index) => `image ${index}`);

test('a new image has an id, is shown by it, and the list grows by one', async (t) => {
  const { images, project } = await openService(t, stack);
  const filters = { owner: project.id };
  assert.deepEqual(await collect(images.detail({ filters })), []);
  const image = await images.create({ name: 'test image' });
  assert.match(image.id, /^[0-9a-f-]{36}$/);
  assert.deepEqual(await images.show(image.id), image);
  assert.deepEqual(await collect(images.detail({ filters })), [image]);
});

test('an unknown id is an ImageNotFound with the message of Glance', async (t) => {
  const { images } = await openService(t, stack);
  await images.create({ name: 'another' });
  await assert.rejects(images.show(randomUUID()), (error) => {
    assert.ok(error instanceof ImageNotFound);
    assert.equal(error.httpStatus, 404);
    assert.match(error.requestId ?? '', /^req-/);
    assert.match(
      error.message,
      /^Glance returned 404 for the request for the image: No image found with ID .*\(req-.*\)$/,
    );
    return true;
  });
});

test('what lacks a name, data and properties is shown with null for each and no properties', async (t) => {
  const { images, project } = await openService(t, stack);
  const { id } = await images.create({});
  const { createdAt, updatedAt, ...image } = await images.show(id);
  assert.deepEqual(image, {
    id,
    name: null,
    status: 'queued',
    visibility: 'shared',
    protected: false,
    hidden: false,
    diskFormat: null,
    containerFormat: null,
    minDiskGiB: 0,
    minRAMMiB: 0,
    owner: project.id,
    tags: [],
    size: null,
    virtualSize: null,
    checksum: null,
    hash: null,
    locations: [],
    properties: {},
  });
  // Times are times, in a list as in a single image.
  const now = Date.now();
  for (const time of [createdAt, updatedAt]) assert.ok(time instanceof Date && Math.abs(now - time.getTime()) < 60_000);
  const [listed] = await collect(images.detail({ filters: { owner: project.id } }));
  assert.deepEqual([listed?.createdAt, listed?.updatedAt], [createdAt, updatedAt]);
});

for (const visibility of ['private', 'shared', 'community'] as const) {
  test(`visibility ${visibility} is shown as it was set`, async (t) => {
    const { images } = await openService(t, stack);
    const { id } = await images.create({ visibility });
    assert.equal((await images.show(id)).visibility, visibility);
  });
}

test('properties that an image needs to boot are properties, as is what only other services know', async (t) => {
  const { images, project } = await openService(t, stack);
  const properties = { kernel_id: randomUUID(), ramdisk_id: randomUUID(), is_public: 'False', instance_id: '42' };
  const { id } = await images.create({ properties });
  assert.deepEqual((await images.show(id)).properties, properties);
  const [listed] = await collect(images.detail({ filters: { owner: project.id } }));
  assert.deepEqual(listed?.properties, properties);
});

test('the key of an encrypted volume stands in the image and among its properties', async (t) => {
  const { images } = await openService(t, stack);
  const cinderEncryptionKeyId = randomUUID();
  const image = await images.create({ cinderEncryptionKeyId });
  assert.equal(image.cinderEncryptionKeyId, cinderEncryptionKeyId);
  assert.deepEqual(image.properties, { cinder_encryption_key_id: cinderEncryptionKeyId });
});

test('a list without conditions is one request without conditions', async (t) => {
  const { images, proxy, calls } = await openService(t, stack);
  await collect(images.detail());
  assert.equal(calls().length, 1);
  const query = new URL(proxy.requests.at(-1)?.path ?? '', proxy.url).searchParams;
  assert.deepEqual([...query.keys()].sort(), ['limit', 'sort']);
});

test('a list without an order has the newest image first', async (t) => {
  const service = await openService(t, stack);
  await make(service, ten.slice(0, 4));
  const filters = { owner: service.project.id };
  const names = (await collect(service.images.detail({ filters }))).map(({ name }) => name);
  assert.deepEqual(names, ten.slice(0, 4).reverse());
});

test('a list goes on after the marker, as far as the limit, in order and in full', async (t) => {
  const service = await openService(t, stack, { pageSize: 3 });
  const { images, project } = service;
  const filters = { owner: project.id };
  const ids = await make(service, ten);
  const listed = async (query: { marker?: string; limit?: number }) =>
    (await collect(images.detail({ filters, sort: oldestFirst, ...query }))).map(({ id }) => id);
  const [, second = '', , fourth = ''] = ids;
  assert.deepEqual(await listed({}), ids);
  assert.deepEqual(await listed({ marker: second }), ids.slice(2));
  assert.deepEqual(await listed({ limit: 5 }), ids.slice(0, 5));
  assert.deepEqual(await listed({ marker: fourth, limit: 5 }), ids.slice(4, 9));
  assert.deepEqual(await listed({ limit: 0 }), []);
  // Each image in a list is all that it is by itself.
  for (const image of await collect(images.detail({ filters, sort: oldestFirst, marker: second }))) {
    assert.deepEqual(image, await images.show(image.id));
  }
});

test('a limit below a page asks for no more than that', async (t) => {
  const service = await openService(t, stack, { pageSize: 100 });
  await make(service, ten.slice(0, 3));
  assert.equal((await collect(service.images.detail({ limit: 2 }))).length, 2);
  assert.match(service.calls().at(-1) ?? '', /limit=2&/);
});

for (const [name, marker] of [
  ['of no image', randomUUID()],
  ['that is no id', 'no-such-image'],
] as const) {
  test(`a marker ${name} is an InvalidRequest`, async (t) => {
    const { images } = await openService(t, stack);
    await assert.rejects(collect(images.detail({ marker })), InvalidRequest);
  });
}

test('a list is filtered by the given filters, which stay unchanged', async (t) => {
  const service = await openService(t, stack);
  const { images, project } = service;
  const odd = 'gt:ub"u,ntu & co';
  const made = await images.create(
    { ...raw, name: odd, tags: ['a', 'b'], protected: false, properties: { mark: 'x=1&y' } },
    { data: Buffer.alloc(5000, 1) },
  );
  await images.create({ name: 'other', protected: true, diskFormat: 'qcow2' });
  const found = async (filters: ListFilters) =>
    (await collect(images.detail({ filters: Object.freeze({ owner: project.id, ...filters }) }))).map(({ id }) => id);
  for (const filters of [
    { name: odd },
    { statuses: ['active', 'saving'] },
    { ids: [made.id, randomUUID()] },
    { tags: ['b', 'a'] },
    { protected: false },
    { minSize: 5000, maxSize: 5000 },
    { diskFormats: ['raw', 'iso'], containerFormats: ['bare'] },
    { checksum: made.checksum ?? '' },
    { hash: made.hash?.value ?? '' },
    { properties: { mark: 'x=1&y' } },
    { createdSince: new Date(made.createdAt.getTime() - 1000), statuses: ['active'] },
  ]) {
    assert.deepEqual(await found(filters), [made.id], JSON.stringify(filters));
  }
  for (const filters of [{ ids: [] }, { name: 'ubuntu' }, { minSize: 5001 }, { tags: ['a', 'c'] }]) {
    assert.deepEqual(await found(filters), [], JSON.stringify(filters));
  }
  await assert.rejects(found({ properties: { limit: '1' } }), InvalidRequest);
});

test('without a token, a project finds its own images, and no other private ones', async (t) => {
  const { images, project } = await openService(t, stack);
  const nobody = await openService(t, stack, { project, requester: { token: false, projectId: project.id } });
  const ours = await images.create({ name: 'ours', visibility: 'private', properties: { owner_id: project.id } });
  const theirs = await images.create({ name: 'theirs', visibility: 'private', properties: { owner_id: 'another' } });
  const plain = await images.create({ name: 'plain', visibility: 'private' });
  const listed = await collect(nobody.images.detail({ filters: { visibility: 'private' } }));
  assert.deepEqual(
    listed.map(({ id, name, visibility }) => [id, name, visibility]),
    [[ours.id, 'ours', 'private']],
  );
  assert.equal((await nobody.images.show(ours.id)).name, 'ours');
  for (const { id } of [theirs, plain]) await assert.rejects(nobody.images.show(id), ImageNotFound);
  // A limit counts what is found, not what is looked at.
  assert.equal((await collect(nobody.images.detail({ filters: { visibility: 'private' }, limit: 1 }))).length, 1);
});

test('without a token and without a right, a private image is not there; an administrator finds it', async (t) => {
  const { images, project } = await openService(t, stack);
  const { id } = await images.create({ visibility: 'private', properties: { is_public: 'False' } });
  for (const requester of [
    { token: false },
    { token: false, admin: false, projectId: 'another', userId: 'somebody' },
  ]) {
    const nobody = await openService(t, stack, { project, requester });
    await assert.rejects(nobody.images.show(id), ImageNotFound);
    await assert.rejects(nobody.images.update(id, { name: 'x' }), ImageNotFound);
    await assert.rejects(nobody.images.download(id), ImageNotFound);
  }
  const admin = await openService(t, stack, { project, requester: { token: false, admin: true } });
  assert.equal((await admin.images.show(id)).id, id);
  assert.deepEqual((await admin.images.show(id)).properties, { is_public: 'False' });
});

test('without a token, a shared image is there for a member that has accepted it, not before', async (t) => {
  const owner = await openService(t, stack);
  const member = await openService(t, stack);
  const requester = { token: false, projectId: member.project.id };
  const nobody = await openService(t, stack, { project: member.project, requester });
  const { id } = await owner.images.create({ visibility: 'shared' });
  await owner.images.addMember(id, member.project.id);
  await assert.rejects(nobody.images.show(id), ImageNotFound);
  await nobody.images.acceptMembership(id);
  assert.equal((await nobody.images.show(id)).id, id);
  const listed = await collect(nobody.images.detail({ filters: { visibility: 'shared' } }));
  assert.deepEqual(
    listed.map((image) => image.id),
    [id],
  );
});

test('without a token, a public image is visible to all users', async (t) => {
  const { images, project } = await openService(t, stack);
  const nobody = await openService(t, stack, { project, requester: { token: false } });
  const { id } = await images.create({ visibility: 'private' });
  await assert.rejects(nobody.images.show(id), ImageNotFound);
  const published = [{ op: 'replace', path: '/visibility', value: 'public' }];
  (await stack.openstack.image('PATCH', `/v2/images/${id}`, published)).ok();
  try {
    assert.equal((await nobody.images.show(id)).visibility, 'public');
  } finally {
    // It is in the lists of all users as long as it exists.
    await images.delete(id);
  }
});

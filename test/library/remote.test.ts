/** From references to services: each speaks with the one server that the reference names. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { InvalidImageRef } from '../../src/glance/errors.ts';
import { getRemoteImageService } from '../../src/library/remote.ts';
import type { Project } from '../env/project.ts';
import { startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { isAboutImages, openService, raw, type TestServiceOptions } from '../glance/kit.ts';

let stack: Stack;
let project: Project;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('remote');
});
after(() => stack.stop());

/** A service of the one project that most tests here share. */
const open = (t: TestContext, options: TestServiceOptions = {}) => openService(t, stack, { project, ...options });

test('an id alone is an image of the service at hand, which stays open', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create({ name: 'here' });
  {
    await using remote = getRemoteImageService(id, { service: images, connect: images.at });
    assert.equal(remote.service, images);
    assert.equal(remote.id, id);
  }
  assert.equal((await images.show(id)).name, 'here');
});

test('an address is an image of that server, and no other server is called for it', async (t) => {
  const there = await startProxy({ url: stack.openstack.imageUrl });
  t.after(() => there[Symbol.asyncDispose]());
  const { images, proxy } = await open(t, { trustedEndpoints: [there.url] });
  const { id } = await images.create(raw);
  const before = proxy.requests.length;
  for (const href of [`${there.url}/${id}`, `${there.url}/v2/images/${id}`]) {
    await using remote = getRemoteImageService(href, { service: images, connect: images.at });
    assert.equal(remote.id, id);
    assert.equal((await remote.service.show(remote.id)).id, id);
  }
  await using remote = getRemoteImageService(`${there.url}/${id}`, { service: images, connect: images.at });
  await remote.service.update(id, {}, { data: Buffer.alloc(100, 1), store: 'slow' });
  await remote.service.getLocation(id);
  assert.equal(proxy.requests.length, before);
  // A store that was named for one call is not named for the next.
  const stores = there.requests.map(({ method, headers }) => [method, headers['x-image-meta-store']]);
  assert.deepEqual(
    stores.filter(([, store]) => store !== undefined),
    [['PUT', 'slow']],
  );
});

test('a path in an address is kept', async (t) => {
  const there = await startProxy({ url: stack.openstack.imageUrl });
  t.after(() => there[Symbol.asyncDispose]());
  const { images } = await open(t, { trustedEndpoints: [`${there.url}/image`] });
  const { id } = await images.create(raw);
  await using remote = getRemoteImageService(`${there.url}/image/${id}`, { service: images, connect: images.at });
  await assert.rejects(remote.service.show(id));
  assert.equal(there.requests.filter(isAboutImages).at(-1)?.path, `/image/v2/images/${id}`);
});

test('an invalid reference is rejected without opening a connection', async (t) => {
  const { images } = await open(t);
  const connect = () => assert.fail('it was opened');
  for (const ref of ['', 'x', 'http://127.0.0.1/', 'ftp://127.0.0.1/x']) {
    assert.throws(() => getRemoteImageService(ref, { service: images, connect }), InvalidImageRef);
  }
});

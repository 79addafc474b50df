/** The errors that a caller sees, and how a service finds its Glance. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import {
  Conflict,
  GlanceConnectionFailed,
  GlanceUnavailable,
  ImageLimitExceeded,
  ImageNotAuthorized,
  ImageNotFound,
  InvalidRequest,
  NotAuthorized,
  NotFound,
} from '../../src/glance/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { connectImageService } from '../../src/library/connect.ts';
import { EndpointNotFound, HttpFailure } from '../../src/openstack/errors.ts';
import type { Project } from '../env/project.ts';
import { startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { collect, isAboutImages, openService, raw, type TestServiceOptions } from '../glance/kit.ts';
import { claimPort } from '../operator/closed-port.ts';

let stack: Stack;
let project: Project;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('failures');
});
after(() => stack.stop());

/** A service of the one project that most tests here share. */
const open = (t: TestContext, options: TestServiceOptions = {}) => openService(t, stack, { project, ...options });

const id = randomUUID();

/** Every call of the service that is about one image. */
const aboutImage = {
  show: (images) => images.show(id),
  update: (images) => images.update(id, { name: 'x' }),
  delete: (images) => images.delete(id),
  download: (images) => images.download(id),
  listMembers: (images) => images.listMembers(id),
  importImage: (images) => images.importImage(id, { method: { name: 'glance-direct' } }),
  tasks: (images) => images.tasks(id),
  addTag: (images) => images.addTag(id, 'x'),
  addMember: (images) => images.addMember(id, 'p'),
  deactivate: (images) => images.deactivate(id),
  stage: (images) => images.stage(id, Buffer.from('x')),
  deleteFromStore: (images) => images.deleteFromStore(id, 'fast'),
} satisfies Record<string, (images: Images) => Promise<unknown>>;
const aboutNone = {
  detail: (images) => collect(images.detail()),
  create: (images) => images.create({ name: 'x' }),
  getStoreDetails: (images) => images.getStoreDetails(),
  importMethods: (images) => images.importMethods(),
  usage: (images) => images.usage(),
} satisfies Record<string, (images: Images) => Promise<unknown>>;
type Images = Awaited<ReturnType<typeof openService>>['images'];

const meanings = [
  [400, InvalidRequest, InvalidRequest],
  [401, ImageNotAuthorized, NotAuthorized],
  [403, ImageNotAuthorized, NotAuthorized],
  [404, ImageNotFound, NotFound],
  [409, Conflict, Conflict],
  [413, ImageLimitExceeded, ImageLimitExceeded],
  [429, GlanceUnavailable, GlanceUnavailable],
  [500, GlanceUnavailable, GlanceUnavailable],
  [503, GlanceConnectionFailed, GlanceConnectionFailed],
] as const;

for (const [status, ofImage, plain] of meanings) {
  test(`${status} is ${ofImage.name} where it is about an image and ${plain.name} elsewhere, whatever was called`, async (t) => {
    const { images, proxy } = await open(t, { retries: 0 });
    const fault = {
      kind: 'answer',
      status,
      body: 'their message',
      headers: { 'x-openstack-request-id': 'req-7' },
    } as const;
    proxy.on({ matches: isAboutImages, fault });
    for (const [calls, kind] of [
      [aboutImage, ofImage],
      [aboutNone, plain],
    ] as const) {
      for (const [name, call] of Object.entries(calls)) {
        // The response of a cloud without stores is not a failure.
        if (name === 'getStoreDetails' && status === 404) continue;
        await assert.rejects(call(images), (error) => {
          assert.ok(error instanceof kind, `${name}: ${error}`);
          assert.equal(error.constructor, kind, name);
          assert.deepEqual([error.httpStatus, error.requestId], [status, 'req-7'], name);
          assert.match(error.message, /their message/);
          return true;
        });
      }
    }
  });
}

test('the failure that Glance gave stays the cause, whether it is about an image or not', async (t) => {
  const { images, proxy } = await open(t, { retries: 0 });
  proxy.on({ matches: isAboutImages, fault: { kind: 'answer', status: 403, body: 'no' } });
  for (const [call, kind] of [
    [() => images.show(id), ImageNotAuthorized],
    [() => collect(images.detail()), NotAuthorized],
  ] as const) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof kind);
      assert.ok(error.cause instanceof HttpFailure);
      assert.equal(error.cause.status, 403);
      assert.match(error.cause.message, /^GET http:.*: 403: no$/);
      assert.match(error.cause.stack ?? '', /HttpFailure/);
      return true;
    });
  }
});

test('an exceeded quota is an ImageLimitExceeded for every request that the real Glance rejects', async (t) => {
  const { images, project } = await openService(t, stack);
  const { id: queued } = await images.create(raw);
  await project.setLimit('image_count_total', 1);
  await assert.rejects(images.create({ name: 'one too many' }), ImageLimitExceeded);
  await project.setLimit('image_size_total', 0);
  await project.setLimit('image_stage_total', 0);
  // The smallest size that the limit excludes. More is sent in parts, and on a loaded machine a part can meet a connection that Glance
  // has closed after its response, which is then lost.
  const data = Buffer.alloc(1024 ** 2, 1);
  for (const call of [() => images.update(queued, {}, { data }), () => images.stage(queued, data)]) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof ImageLimitExceeded, `${error}`);
      assert.equal(error.httpStatus, 413);
      return true;
    });
  }
  assert.equal((await images.show(queued)).status, 'queued');
});

test('a call is tried as often as is said and once more, each time alike, lists and members included', async (t) => {
  const { images, project, proxy } = await openService(t, stack, { retries: 2 });
  const { id: shared } = await images.create({ name: 'x', visibility: 'shared' });
  const down = proxy.on({ matches: isAboutImages, fault: { kind: 'refuse' } });
  for (const call of [() => images.show(shared), () => collect(images.detail()), () => images.listMembers(shared)]) {
    const before = proxy.requests.length;
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof GlanceConnectionFailed);
      assert.equal(error.code, 'GlanceUnreachable');
      assert.match(error.message, new RegExp(`^Glance at ${proxy.url} did not respond to .*: `));
      assert.ok(error.cause instanceof OperatorError);
      return true;
    });
    assert.equal(proxy.requests.length - before, 3);
  }
  down();
  proxy.on({ matches: isAboutImages, fault: { kind: 'answer', status: 503 }, times: 2 });
  const listed = await collect(images.detail({ filters: { owner: project.id } }));
  assert.deepEqual(
    listed.map((image) => image.id),
    [shared],
  );
});

test('a token rejected by Glance is replaced once, without an error', async (t) => {
  const { images, proxy } = await open(t);
  const { id: made } = await images.create({ name: 'x' });
  proxy.on({ matches: isAboutImages, fault: { kind: 'answer', status: 401 }, times: 1 });
  assert.equal((await images.show(made)).name, 'x');
});

test('a request without permission fails with the message of Glance', async (t) => {
  const { images, project } = await open(t);
  const { id: made } = await images.create({ name: 'x' });
  const reader = await open(t, { project, user: 'reader' });
  assert.equal((await reader.images.show(made)).name, 'x');
  await assert.rejects(reader.images.create({ name: 'y' }), NotAuthorized);
  await assert.rejects(reader.images.update(made, { name: 'y' }), ImageNotAuthorized);
  await assert.rejects(reader.images.delete(made), ImageNotAuthorized);
});

test('an id that could lead to another path reaches no server', async (t) => {
  const { images, calls } = await open(t);
  for (const odd of ['../schemas/image', '', `${id}/file`, `${id}?x`, '%2e%2e']) {
    await assert.rejects(images.show(odd), InvalidRequest);
    await assert.rejects(images.update(odd, {}), InvalidRequest);
    await assert.rejects(images.update(odd, { name: 'x' }), InvalidRequest);
    await assert.rejects(images.delete(odd), InvalidRequest);
    await assert.rejects(images.download(odd), InvalidRequest);
    await assert.rejects(images.deleteFromStore(odd, 'fast'), InvalidRequest);
  }
  assert.deepEqual(calls(), []);
});

test('Glance is where the catalog has it in the region, and never in another region', async (t) => {
  const project = await stack.openstack.createProject('regions');
  const inRegion = async (region: string | null, extra: Record<string, unknown> = {}) => {
    const images = connectImageService({ cloudsYaml: await project.cloudsYaml({ region, extra }), cloud: 'demo' });
    t.after(() => images.close());
    return images.create({ name: 'x' });
  };
  assert.equal((await inRegion(stack.openstack.region)).name, 'x');
  assert.equal((await inRegion(null)).name, 'x');
  assert.equal((await inRegion(null, { image_catalog_info: 'image:glance:internalURL' })).name, 'x');
  await assert.rejects(inRegion('Nowhere'), (error) => {
    assert.ok(error instanceof EndpointNotFound);
    assert.match(error.message, /Nowhere.*RegionOne/);
    return true;
  });
});

test('addresses that are given win over the catalog: all of them are used, one that is dead harms no call, a path is kept', async (t) => {
  const project = await stack.openstack.createProject('endpoints');
  const proxy = await startProxy({ url: stack.openstack.imageUrl });
  t.after(() => proxy[Symbol.asyncDispose]());
  const dead = await claimPort();
  const extra = { image_endpoint_override: [`http://127.0.0.1:${dead}`, proxy.url, `${proxy.url}/v2`] };
  const images = connectImageService({ cloudsYaml: await project.cloudsYaml({ extra }), cloud: 'demo' });
  t.after(() => images.close());
  const { id: made } = await images.create({ name: 'x' });
  for (let call = 0; call < 20; call++) assert.equal((await images.show(made)).name, 'x');
  assert.equal(proxy.requests.filter(({ path }) => path === `/v2/images/${made}`).length, 20);

  const prefixed = { image_endpoint_override: `${proxy.url}/image` };
  const behindPath = connectImageService({ cloudsYaml: await project.cloudsYaml({ extra: prefixed }), cloud: 'demo' });
  t.after(() => behindPath.close());
  await assert.rejects(behindPath.show(made));
  assert.equal(proxy.requests.at(-1)?.path, `/image/v2/images/${made}`);
});

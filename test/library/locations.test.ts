/** Where the data of images lies, on clouds with the new API for it or the earlier one. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { ImageNotFound, InvalidRequest } from '../../src/glance/errors.ts';
import type { Project } from '../env/project.ts';
import type { ProxiedRequest } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { openService, raw, type TestServiceOptions } from '../glance/kit.ts';

let stack: Stack;
let project: Project;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('locations');
});
after(() => stack.stop());

/** A service of the one project that most tests here share. */
const open = (t: TestContext, options: TestServiceOptions = {}) => openService(t, stack, { project, ...options });

const isLocations = ({ path }: ProxiedRequest) => path.endsWith('/locations');
const answer = (status: number) => ({ matches: isLocations, fault: { kind: 'answer', status } }) as const;
/** The requests and their users: each has a token of its own. */
const asked = (requests: readonly ProxiedRequest[]) => {
  const tokens = [...new Set(requests.map(({ headers }) => headers['x-auth-token']))];
  return requests.map(({ method, headers }) => `${method} by user ${tokens.indexOf(headers['x-auth-token']) + 1}`);
};

test('locations are read from the new API by the user that may use it', async (t) => {
  const { images, proxy } = await open(t, { asService: true });
  const { id, directUrl } = await images.create(raw, { data: Buffer.alloc(100, 1) });
  const before = proxy.requests.length;
  assert.deepEqual(await images.getLocation(id), {
    directUrl: null,
    locations: [{ url: directUrl, metadata: { store: 'fast' } }],
  });
  const since = proxy.requests.slice(before).filter(({ path }) => path !== '/versions');
  assert.deepEqual(
    since.map(({ method, path }) => `${method} ${path}`),
    [`GET /v2/images/${id}/locations`],
  );
  assert.notEqual(since[0]?.headers['x-auth-token'], proxy.requests[0]?.headers['x-auth-token']);
});

for (const status of [501, 403]) {
  test(`if the new API returns ${status}, locations are those that the image shows`, async (t) => {
    const { images, proxy } = await open(t, { asService: true });
    const { id, directUrl, locations } = await images.create(raw, { data: Buffer.alloc(100, 1) });
    proxy.on(answer(status));
    const before = proxy.requests.length;
    const found = await images.getLocation(id);
    assert.ok(directUrl !== undefined && locations?.length === 1);
    assert.deepEqual(found, { directUrl, locations });
    const since = proxy.requests.slice(before).filter(({ path }) => path !== '/versions');
    assert.deepEqual(asked(since), ['GET by user 1', 'GET by user 2']);
  });
}

test('on an older cloud, the new API is not called', async (t) => {
  const { images, proxy, calls } = await open(t, { asService: true });
  const { id, directUrl } = await images.create(raw, { data: Buffer.alloc(100, 1) });
  const versions = { versions: [{ id: 'v2.16', status: 'CURRENT', links: [] }] };
  proxy.on({
    matches: ({ path }) => path === '/versions',
    fault: {
      kind: 'answer',
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(versions),
    },
  });
  const before = calls().length;
  assert.equal((await images.getLocation(id)).directUrl, directUrl);
  assert.deepEqual(calls().slice(before), [`GET /v2/images/${id}`]);
});

test('without a token, locations of an unavailable image are hidden', async (t) => {
  const { images, project } = await open(t);
  const { id } = await images.create({ ...raw, visibility: 'private' }, { data: Buffer.alloc(100, 1) });
  const nobody = await open(t, { project, asService: true, requester: { token: false } });
  await assert.rejects(nobody.images.getLocation(id), ImageNotFound);
});

for (const status of [501, 403]) {
  test(`if the new API returns ${status}, a location is added by the earlier API, by the user itself, with its metadata`, async (t) => {
    const { images, proxy } = await open(t, { asService: true });
    const { id } = await images.create(raw);
    proxy.on(answer(status));
    const before = proxy.requests.length;
    const metadata = { store: 'fast' };
    // The stores of this cloud accept no addresses, so both Glance and its earlier API reject the location.
    await assert.rejects(images.addLocation(id, { url: 'http://127.0.0.1/x', metadata }), (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.match(error.message, /^Glance returned 400 for the change of the image: Invalid location/);
      return true;
    });
    const since = proxy.requests.slice(before).filter(({ path }) => path !== '/versions');
    assert.deepEqual(asked(since), ['POST by user 1', 'PATCH by user 2']);
  });
}

test('metadata that only the earlier API keeps sends a location by that one', async (t) => {
  const { images, calls } = await open(t, { asService: true });
  const { id } = await images.create(raw);
  const location = { url: 'http://127.0.0.1/x', metadata: { store: 'fast', rack: '7' } };
  await assert.rejects(images.addLocation(id, location), InvalidRequest);
  assert.deepEqual(calls().slice(-1), [`PATCH /v2/images/${id}`]);
});

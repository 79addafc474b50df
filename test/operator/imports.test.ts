/** Imports: workers of Glance that die, edits while Glance downloads, declared keys, and data that was never verified. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { apiVersion, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { qcow2, raw } from '../env/images.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { type Source, startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from './digest.ts';
import { newestID, reasonOf, World } from './world.ts';

const [first, second] = [raw(64 * 1024), raw(128 * 1024)];

const tasksSchema = z.object({ tasks: z.array(z.object({ status: z.string() })) });

describe('imports and what surrounds them', () => {
  let stack: Stack;
  let glance: FaultProxy;
  let source: Source;
  let world: World;
  before(async () => {
    stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    source = await startSource({ ports: stack.sourcePorts });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
    await source?.stop();
    await glance?.[Symbol.asyncDispose]();
  });

  const web = (path: string, body: Buffer, gate?: Promise<unknown>) => ({
    http: {
      url: source.add(path, { body, ...(gate === undefined ? {} : { gate: { at: 1024, released: gate } }) }),
      digest: digestOf(body, 'sha512'),
    },
    method: 'WebDownload',
  });
  const uploaded = (path: string, body: Buffer) => ({
    http: { url: world.source.add(path, { body }), digest: digestOf(body) },
  });

  /** Glance shows the lock of an import whose worker has died. */
  function lock(id: () => string | undefined): () => void {
    const isImage = ({ path }: ProxiedRequest) => id() !== undefined && path === `/v2/images/${id()}`;
    const body = (text: string) => {
      const image = JSON.parse(text);
      return JSON.stringify({ ...image, os_glance_import_task: '11111111-2222-4333-8444-555555555555' });
    };
    return glance.on({ matches: isImage, fault: { kind: 'edit', body } });
  }

  test('an import whose worker in Glance has died is requested again after two hours', async () => {
    const isImport = ({ method, path }: ProxiedRequest) => method === 'POST' && path.endsWith('/import');
    let id: string | undefined;
    const unlock = lock(() => id);
    glance.on({
      matches: (request) => {
        if (isImport(request)) id ??= request.path.split('/').at(-2);
        return isImport(request);
      },
      fault: { kind: 'answer', status: 202 },
      times: 1,
    });
    await world.apply('dead', { image: { diskFormat: 'raw' }, content: web('/dead.raw', first) });
    await world.reason('dead', 'Importing');
    await world.operator.stop();
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/dead/status`;
    const at = new Date(Date.now() - 3 * 3_600_000).toISOString();
    const age = [{ op: 'replace', path: '/status/operation/import/at', value: at }];
    const contentType = 'application/json-patch+json';
    (await stack.kubernetes.request('PATCH', path, age, { contentType })).ok();
    const asked = glance.requests.filter(isImport).length;
    await world.start();
    await eventually(
      async () => glance.requests.filter(isImport).length > asked,
      () => 'no import was requested again',
    );
    unlock();
    assert.equal((await world.ready('dead')).status.imageID, id);
  });

  test('an active image that seems to be copied to another store still gets its changes', async () => {
    const content = uploaded('/copied.raw', first);
    await world.apply('copied', { image: { diskFormat: 'raw' }, content });
    const id = (await world.ready('copied')).status.imageID;
    const unlock = lock(() => id);
    await world.apply('copied', { image: { diskFormat: 'raw', tags: ['new'], name: 'renamed' }, content });
    await world.reason('copied', 'Importing');
    const image = await world.project.getImage(id ?? '');
    assert.deepEqual([image.name, image.tags], ['renamed', ['new']]);
    unlock();
  });

  test('allStores leaves out a store that accepts no data', async () => {
    const stores = [{ id: 'fast', default: 'true' }, { id: 'slow' }, { id: 'web', 'read-only': 'true' }];
    const headers = { 'content-type': 'application/json' };
    const removed = glance.on({
      matches: ({ path }) => path.startsWith('/v2/info/stores'),
      fault: { kind: 'answer', status: 200, headers, body: JSON.stringify({ stores }) },
    });
    const content = { ...uploaded('/everywhere.raw', first), method: 'Stage' };
    await world.apply('everywhere', { image: { diskFormat: 'raw', allStores: true }, content });
    const { status } = await world.ready('everywhere');
    removed();
    assert.deepEqual(status.image?.stores?.toSorted(), ['fast', 'slow']);
    const imports = glance.requests.filter(({ path }) => path === `/v2/images/${status.imageID}/import`);
    assert.equal(imports.length, 1);
  });

  test('a disk that was declared too small and is corrected while the file is fetched is not reported', async () => {
    const body = qcow2(10 * 2 ** 30);
    const released = Promise.withResolvers<void>();
    const url = world.source.add('/disk.qcow2', { body, gate: { at: 0, released: released.promise } });
    const of = (minDiskGiB: number) => ({
      image: { diskFormat: 'qcow2', minDiskGiB },
      content: { http: { url, digest: digestOf(body) } },
    });
    await world.apply('disk', of(5));
    await world.source.requested('/disk.qcow2');
    await world.apply('disk', of(20));
    await world.until('disk', 'seen', ({ status, metadata }) => status.observedGeneration === metadata.generation);
    released.resolve();
    const { status } = await world.ready('disk');
    assert.equal(status.image?.minDiskGiB, 20);
    assert.deepEqual(
      (await world.events()).filter(({ reason }) => reason === 'MinDiskTooSmall'),
      [],
    );
  });

  test('a file that Glance downloads is given up when another one is declared', async () => {
    const released = Promise.withResolvers<void>();
    await world.apply('changed', { image: { diskFormat: 'raw' }, content: web('/old.raw', first, released.promise) });
    const { status } = await world.reason('changed', 'Importing');
    await world.apply('changed', { image: { diskFormat: 'raw' }, content: web('/new.raw', second) });
    const after = await world.ready('changed');
    released.resolve();
    assert.notEqual(after.status.imageID, newestID({ status }));
    assert.equal((await world.project.getImage(after.status.imageID ?? '')).size, second.length);
    assert.deepEqual(
      (await world.events()).filter(({ reason }) => reason === 'DigestMismatch'),
      [],
    );
  });

  /** The image of a WebDownload that an administrator has deactivated before the operator could look at its data. */
  async function deactivated(name: string, digest: string): Promise<string> {
    const released = Promise.withResolvers<void>();
    const url = source.add(`/${name}.raw`, { body: first, gate: { at: 1024, released: released.promise } });
    const content = { http: { url, digest }, method: 'WebDownload' };
    await world.apply(name, { image: { diskFormat: 'raw', visibility: 'community' }, content });
    const { status } = await world.reason(name, 'Importing');
    const id = newestID({ status }) ?? assert.fail();
    await world.operator.stop();
    released.resolve();
    // The last steps of an import write the status of the image again.
    const isImported = async () => {
      const answer = await world.project.image('GET', `/v2/images/${id}/tasks`);
      return answer.as(tasksSchema).tasks.every(({ status: end }) => end === 'success');
    };
    await eventually(isImported, () => 'Glance does not complete the import');
    (await stack.openstack.image('POST', `/v2/images/${id}/actions/deactivate`)).ok();
    assert.equal((await world.project.getImage(id)).status, 'deactivated');
    await world.start();
    return id;
  }

  test('data that was not inspected stays private and hidden when an administrator deactivates it', async () => {
    const id = await deactivated('uninspected', digestOf(first, 'sha512'));
    await world.reason('uninspected', 'NotVerifiable');
    const image = await world.project.getImage(id);
    assert.deepEqual([image.status, image.visibility, image.os_hidden], ['deactivated', 'private', true]);
  });

  test('data with another digest than declared never becomes visible, although an administrator deactivates it', async () => {
    const id = await deactivated('wrong', digestOf(second, 'sha512'));
    await world.reason('wrong', 'DigestMismatch');
    assert.equal((await world.project.image('GET', `/v2/images/${id}`)).status, 404);
    const patches = glance.requests.filter(({ method, path }) => method === 'PATCH' && path === `/v2/images/${id}`);
    assert.deepEqual(patches, []);
  });

  /** The requests for an image, in their order: `read` for its data, `shown` for a change of its visibility. */
  const readOrShown = (id: string) =>
    glance.requests.flatMap(({ method, path, body }) => {
      if (method === 'GET' && path === `/v2/images/${id}/file`) return ['read'];
      return method === 'PATCH' && path === `/v2/images/${id}` && /visibility|os_hidden/.test(body) ? ['shown'] : [];
    });

  test('data that Glance has downloaded is read back before it is visible where its digest is not the one of Glance', async () => {
    const url = source.add('/sha256.raw', { body: first });
    const image = { diskFormat: 'raw', visibility: 'community' };
    await world.apply('sha256', { image, content: { http: { url, digest: digestOf(first) }, method: 'WebDownload' } });
    const { status } = await world.ready('sha256');
    const id = status.imageID ?? assert.fail();
    const found = await world.project.getImage(id);
    assert.deepEqual([found.visibility, found.os_hidden], ['community', false]);
    assert.deepEqual(readOrShown(id)[0], 'read');
    assert.ok(readOrShown(id).includes('shown'));
    assert.equal(status.content?.digest, digestOf(first));
  });

  test('data that Glance has downloaded and that has another sha256 than declared is deleted, and was never visible', async () => {
    const url = source.add('/sha256-other.raw', { body: first });
    const content = { http: { url, digest: digestOf(second) }, method: 'WebDownload' };
    await world.apply('sha256-other', { image: { diskFormat: 'raw', visibility: 'community' }, content });
    await world.reason('sha256-other', 'DigestMismatch');
    const reads = glance.requests
      .filter(({ path }) => path.endsWith('/file'))
      .map(({ path }) => path.split('/').at(-2));
    const id = reads.at(-1) ?? assert.fail();
    assert.equal((await world.project.image('GET', `/v2/images/${id}`)).status, 404);
    assert.deepEqual(readOrShown(id), ['read']);
  });

  test('the data of a deleted image does not count for the next one, which Glance downloads', async () => {
    await world.apply('bound', { image: { diskFormat: 'raw' }, content: web('/bound-1.raw', first) });
    const { status } = await world.ready('bound');
    const path = '/bound-1.raw';
    source.add(path, { body: first, gate: { at: 1024, released: new Promise(() => {}) } });
    (await world.project.image('DELETE', `/v2/images/${status.imageID}`)).ok();
    await world.annotate('bound', reconcileAtAnnotation, '1');
    await world.until('bound', 'imported again', (one) => reasonOf(one) === 'Importing');
    await world.apply('bound', { image: { diskFormat: 'raw' }, content: web('/bound-2.raw', second) });
    const after = await world.ready('bound');
    assert.equal(after.status.content?.imageID, after.status.imageID);
    assert.equal((await world.project.getImage(after.status.imageID ?? '')).size, second.length);
  });

  describe('with propertyPolicy Merge, a property that is declared no more goes', () => {
    const declared = (properties: Record<string, string>, more: object = {}) => ({
      propertyPolicy: 'Merge',
      image: { diskFormat: 'raw', properties, ...more },
    });
    const lacks = (name: string, id: string | undefined, key: string) =>
      eventually(
        async () => (await world.project.getImage(id ?? ''))[key] === undefined,
        () => `the image of ${name} still has ${key}`,
      );

    test('a property that was applied while another part of the declaration fails goes when it is declared no more', async () => {
      const content = uploaded('/failing.raw', first);
      await world.apply('failing', { ...declared({ a: '1' }), content });
      const id = (await world.ready('failing')).status.imageID;
      // Glance lets only administrators copy an image.
      const copy = { stores: ['fast', 'slow'] };
      await world.apply('failing', { ...declared({ a: '1', b: '2' }, copy), content });
      await world.reason('failing', 'Forbidden');
      assert.equal((await world.project.getImage(id ?? ''))['b'], '2');
      await world.apply('failing', { ...declared({ a: '1' }, copy), content });
      await lacks('failing', id, 'b');
    });

    test('a property that was applied just before a crash goes when it is declared no more', async () => {
      const content = uploaded('/crashing.raw', first);
      await world.apply('crashing', { ...declared({ a: '1' }), content });
      const id = (await world.ready('crashing')).status.imageID;
      const patched = Promise.withResolvers<void>();
      glance.on({
        matches: ({ method, path }) => method === 'PATCH' && path === `/v2/images/${id}`,
        fault: {
          kind: 'afterAnswer',
          async run() {
            await world.operator.kill();
            patched.resolve();
          },
        },
        times: 1,
      });
      await world.apply('crashing', { ...declared({ a: '1', b: '2' }), content });
      await patched.promise;
      assert.equal((await world.project.getImage(id ?? ''))['b'], '2');
      await world.apply('crashing', { ...declared({ a: '1' }), content });
      await world.start();
      await world.ready('crashing');
      await lacks('crashing', id, 'b');
    });

    test('a property that was declared at the creation goes when it is declared no more during the import', async () => {
      const released = Promise.withResolvers<void>();
      const content = web('/merge.raw', first, released.promise);
      await world.apply('importing', { ...declared({ a: '1', b: '2' }), content });
      await world.reason('importing', 'Importing');
      await world.apply('importing', { ...declared({ a: '1' }), content });
      released.resolve();
      const { status } = await world.ready('importing');
      await lacks('importing', status.imageID, 'b');
    });
  });

  const givingUp = [
    { method: 'Upload', status: 504 },
    { method: 'Upload', status: 'reset' },
    { method: 'Stage', status: 504 },
    { method: 'Stage', status: 'reset' },
  ] as const;
  for (const { method, status } of givingUp) {
    const how = status === 'reset' ? 'has cut the connection' : `has responded ${status}`;
    test(`data that Glance stores completely after a proxy ${how} is sent once, and its image is used (${method})`, async () => {
      const name = `slow-${method}-${status}`.toLowerCase();
      const released = Promise.withResolvers<void>();
      const isUpload = ({ method: verb, path }: ProxiedRequest) => verb === 'PUT' && /\/(?:file|stage)$/.test(path);
      glance.on({ matches: isUpload, fault: { kind: 'answerEarly', status, released: released.promise }, times: 1 });
      const from = glance.requests.length;
      await world.apply(name, {
        image: { diskFormat: 'raw' },
        content: { ...uploaded(`/${name}.raw`, first), method },
      });
      const looks = () =>
        glance.requests.slice(from).filter((one) => one.method === 'GET' && /^\/v2\/images\/[^/]+$/.test(one.path));
      await eventually(
        async () => looks().length >= 4,
        () => 'the image is not looked at',
      );
      released.resolve();
      const { imageID } = (await world.ready(name)).status;
      const requests = glance.requests.slice(from);
      assert.equal(requests.filter(isUpload).length, 1);
      assert.deepEqual(
        requests.filter((one) => one.method === 'DELETE').map(({ path }) => path),
        [],
      );
      assert.deepEqual(
        (await world.images()).filter((image) => image.name === name).map(({ id }) => id),
        [imageID],
      );
    });
  }
});

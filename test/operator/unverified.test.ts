/**
 * Invariant: an image is Ready only when its data was compared with the present declaration. Other data is replaced by a new
 * revision, after which the old one is deleted; data that cannot be compared is read back first.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apiVersion, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { newestID, World } from './world.ts';

/** Images that differ, of the same size. */
const bytesOf = (seed: number) => {
  const body = raw(64 * 1024);
  body.writeUInt32LE(seed, body.length - 4);
  return body;
};
const [first, second] = [bytesOf(1), bytesOf(2)];

describe('data that was not compared with the declaration', () => {
  let stack: Stack;
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  const http = (path: string, body: Buffer, more: object = {}) => ({
    http: { url: world.source.add(path, { body }), digest: digestOf(body) },
    ...more,
  });
  const imagesNamed = async (name: string) => (await world.images()).filter((image) => image.name === name);

  /** Ready with exactly these bytes, in one image, which is not `before`. */
  async function assertHolds(name: string, body: Buffer, before?: string): Promise<void> {
    const { status } = await world.ready(name);
    const images = await imagesNamed(name);
    assert.deepEqual(
      images.map(({ id, os_hash_value }) => [id, `sha512:${os_hash_value}`]),
      [[status.imageID, digestOf(body, 'sha512')]],
    );
    assert.notEqual(status.imageID, before);
  }

  /**
   * Glance receives all of the next upload, and its outcome stays unknown: the response is lost, and the operator's next request
   * for the image waits for `released`. Resolves with the ID of the image when it is active.
   */
  async function activeWithoutResponse(name: string, released: Promise<unknown>): Promise<string> {
    const requested = Promise.withResolvers<string>();
    let id: string | undefined;
    const isUpload = ({ method, path }: ProxiedRequest) => method === 'PUT' && path.endsWith('/file');
    const isRequest = ({ method, path }: ProxiedRequest) =>
      method === 'GET' && id !== undefined && path === `/v2/images/${id}`;
    const noteUpload = glance.on({
      matches: (request) => {
        const isFirst = id === undefined && isUpload(request);
        if (isFirst) id = request.path.split('/').at(-2);
        return isFirst;
      },
      fault: { kind: 'loseAnswer' },
      times: 1,
    });
    const holdRequest = glance.on({
      matches: (request) => {
        if (isRequest(request)) requested.resolve(id ?? '');
        return isRequest(request);
      },
      fault: { kind: 'hold', released },
      times: 1,
    });
    const imageID = await requested.promise;
    noteUpload();
    holdRequest();
    assert.equal((await world.project.getImage(imageID)).status, 'active', name);
    return imageID;
  }

  const edits = [
    {
      what: 'the digest',
      before: () => ({ image: { diskFormat: 'raw' }, content: http('/digest-1.raw', first) }),
      after: () => ({ image: { diskFormat: 'raw' }, content: http('/digest-2.raw', second) }),
      body: second,
    },
    {
      what: 'the disk format',
      before: () => ({ image: { diskFormat: 'raw' }, content: http('/format.raw', first) }),
      after: () => ({ image: { diskFormat: 'ploop' }, content: http('/format.raw', first) }),
      body: first,
    },
    {
      what: 'the referenced image',
      before: async () => {
        const { id } = await world.project.createImage({ name: 'source-1' }, first);
        return { image: { diskFormat: 'raw' }, content: { glance: { image: id } } };
      },
      after: async () => {
        const { id } = await world.project.createImage({ name: 'source-2' }, second);
        return { image: { diskFormat: 'raw' }, content: { glance: { image: id } } };
      },
      body: second,
    },
  ];

  for (const { what, before: declared, after: edited, body } of edits) {
    const name = what.replaceAll(' ', '-');
    test(`an edit of ${what} while Glance finishes the upload leads to an image with the new declaration`, async () => {
      const released = Promise.withResolvers<void>();
      const uploaded = activeWithoutResponse(name, released.promise);
      await world.apply(name, await declared());
      const id = await uploaded;
      await world.apply(name, await edited());
      await assertHolds(name, body, id);
      released.resolve();
      const [image] = await imagesNamed(name);
      assert.equal(image?.disk_format, (await world.get(name))?.spec.image.diskFormat);
    });
  }

  test('an edit of the digest while the operator is down leads to an image with the new declaration', async () => {
    const released = Promise.withResolvers<void>();
    const uploaded = activeWithoutResponse('down', released.promise);
    await world.apply('down', { image: { diskFormat: 'raw' }, content: http('/down-1.raw', first) });
    const id = await uploaded;
    await world.operator.kill();
    released.resolve();
    await world.apply('down', { image: { diskFormat: 'raw' }, content: http('/down-2.raw', second) });
    await world.start();
    await assertHolds('down', second, id);
  });

  test('a crash after the upload and before its status leads to one image with the declared data', async () => {
    const released = Promise.withResolvers<void>();
    const uploaded = activeWithoutResponse('crashed', released.promise);
    await world.apply('crashed', { image: { diskFormat: 'raw', protected: true }, content: http('/crash.raw', first) });
    await uploaded;
    await world.operator.kill();
    released.resolve();
    await world.start();
    await assertHolds('crashed', first);
  });

  test('data that another client uploads into the queued image is replaced', async () => {
    const released = Promise.withResolvers<void>();
    const url = world.source.add('/raced.raw', { body: first, gate: { at: 1024, released: released.promise } });
    await world.apply('raced', {
      image: { diskFormat: 'raw', visibility: 'community' },
      content: { http: { url, digest: digestOf(first) } },
    });
    await world.source.requested('/raced.raw');
    const { status } = await world.until('raced', 'registered', (resource) => newestID(resource) !== undefined);
    const raced = newestID({ status });
    const file = `/v2/images/${raced}/file`;
    // Either upload may be the first one that Glance takes.
    const theirs = await world.project.image('PUT', file, second);
    released.resolve();
    await assertHolds('raced', first, theirs.status < 300 ? raced : undefined);
  });

  test('data of a WebDownload that became an Upload meanwhile is replaced before it is visible', async (t) => {
    const released = Promise.withResolvers<void>();
    const source = await startSource({ ports: stack.sourcePorts });
    t.after(() => source.stop());
    const url = source.add('/web.raw', { body: first, gate: { at: 1024, released: released.promise } });
    const image = { diskFormat: 'raw', visibility: 'community' };
    const content = { http: { url, digest: digestOf(first, 'sha512') }, method: 'WebDownload' };
    await world.apply('web', { image, content });
    const { status } = await world.reason('web', 'Importing');
    await world.apply('web', { image, content: http('/upload.raw', second) });
    // Until then the data is the declared one, and may become visible.
    await world.until('web', 'seen', (web) => web.status.observedGeneration === web.metadata.generation);
    released.resolve();
    await assertHolds('web', second, newestID({ status }));
    const changes = glance.requests.filter(
      ({ method, path }) => method === 'PATCH' && path.endsWith(`${newestID({ status })}`),
    );
    assert.deepEqual(
      changes.filter(({ body }) => /visibility|os_hidden/.test(body)),
      [],
    );
  });

  /** A record without content that another client fills; the operator does not check it until its content is declared. */
  async function filled(name: string, body: Buffer): Promise<string> {
    await world.apply(name, { interval: '0', image: { diskFormat: 'raw' } });
    const id = (await world.ready(name)).status.imageID ?? assert.fail();
    (await world.project.image('PUT', `/v2/images/${id}/file`, body)).ok();
    return id;
  }

  test('data from elsewhere in an image that was Ready as a record is replaced by a new revision, which is hidden until it is verified', async () => {
    const id = await filled('late', second);
    const released = Promise.withResolvers<void>();
    const url = world.source.add('/late.raw', { body: first, gate: { at: 1024, released: released.promise } });
    const content = { http: { url, digest: digestOf(first) } };
    await world.apply('late', { image: { diskFormat: 'raw', tags: ['x'] }, content });
    const { status } = await world.until('late', 'given a second image', (resource) => {
      return newestID(resource) !== id && resource.status.transfer?.phase === 'Transferring';
    });
    assert.equal(status.imageID, undefined, 'no image has the declared data');
    const [before, next] = [await world.project.getImage(id), await world.project.getImage(newestID({ status }) ?? '')];
    assert.deepEqual([before.name, before.os_hidden, before.status], ['late', false, 'active']);
    assert.equal(next.os_hidden, true);
    assert.match(next.name ?? '', /^late \(pending [0-9a-f]{8}\)$/);
    released.resolve();
    await assertHolds('late', first, id);
    const after = await world.project.getImage(next.id);
    assert.deepEqual([after.name, after.os_hidden, after.tags], ['late', false, ['x']]);
    assert.equal((await world.project.image('GET', `/v2/images/${id}`)).status, 404);
  });

  test('data from elsewhere with the declared digest makes an image Ready', async () => {
    const id = await filled('equal', first);
    const { url } = http('/equal.raw', first).http;
    const content = { http: { url, digest: digestOf(first, 'sha512') } };
    await world.apply('equal', { image: { diskFormat: 'raw' }, content });
    assert.equal((await world.ready('equal')).status.imageID, id);
  });

  test('data from elsewhere with another digest is replaced by a new revision', async () => {
    const id = await filled('other', second);
    const { url } = http('/other.raw', first).http;
    const content = { http: { url, digest: digestOf(first, 'sha512'), decompress: 'None' } };
    await world.apply('other', { image: { diskFormat: 'raw' }, content });
    await assertHolds('other', first, id);
    await world.untilEvent('Replaced');
  });

  test('an image whose resource has lost its memory is read back and stays', async () => {
    await world.apply('restored', { image: { diskFormat: 'raw' }, content: http('/restored.raw', first) });
    const id = (await world.ready('restored')).status.imageID ?? assert.fail();
    const before = await world.project.getImage(id);
    const from = glance.requests.length;
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/restored/status`;
    const contentType = 'application/json-patch+json';
    const forget = [{ op: 'remove', path: '/status/operation' }];
    (await stack.kubernetes.request('PATCH', path, forget, { contentType })).ok();
    await world.annotate('restored', reconcileAtAnnotation, '1');
    const found = await world.until('restored', 'remembered again', ({ status }) => {
      return status.operation !== undefined && status.imageID === id && status.lastHandledReconcileAt === '1';
    });
    assert.equal((await world.ready('restored')).status.imageID, id);
    assert.equal(found.status.content?.imageID, id);
    assert.deepEqual(await world.project.getImage(id), before);
    const requests = glance.requests.slice(from);
    assert.deepEqual(requests.filter(changesSomething), []);
    assert.equal(requests.filter((one) => one.path === `/v2/images/${id}/file`).length, 1);
    assert.equal((await imagesNamed('restored')).length, 1);
  });

  test('the record of the data of a deleted image does not count for the next one', async () => {
    await world.apply('again', { image: { diskFormat: 'raw' }, content: http('/again-1.raw', first) });
    const id = (await world.ready('again')).status.imageID ?? assert.fail();
    const released = Promise.withResolvers<void>();
    world.source.add('/again-1.raw', { body: first, gate: { at: 1024, released: released.promise } });
    (await world.project.image('DELETE', `/v2/images/${id}`)).ok();
    await world.annotate('again', reconcileAtAnnotation, '1');
    const next = await world.until('again', 'created again', (resource) => {
      return newestID(resource) !== undefined && newestID(resource) !== id;
    });
    assert.equal(next.status.content, undefined);
    const uploaded = activeWithoutResponse('again', Promise.resolve());
    await world.apply('again', { image: { diskFormat: 'raw' }, content: http('/again-2.raw', second) });
    await uploaded;
    await world.operator.kill();
    released.resolve();
    await world.start();
    await assertHolds('again', second, id);
  });
});

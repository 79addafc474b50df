import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { raw } from '../env/images.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { messageOf, newestID, World } from './world.ts';

/** Faults that the real Glance does not produce on demand; the proxy in front of it injects them. */
describe('responses of Glance during the work', () => {
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    const stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  const is = (wanted: string) => (request: { method: string }) => request.method === wanted;

  test('a single 401 fetches a new token and is not reported', async () => {
    const body = '{"error": {"message": "The request you have made requires authentication."}}';
    const removed = glance.on({ matches: is('POST'), fault: { kind: 'answer', status: 401, body }, times: 1 });
    await world.apply('renewed', { interval: '0' });
    const { status } = await world.ready('renewed');
    removed();
    assert.equal(status.lastError, undefined);
    assert.equal(glance.requests.filter(is('POST')).length, 2);
  });

  test('repeated 401s are reported as a credentials error, and work continues when they stop', async () => {
    const removed = glance.on({ matches: is('POST'), fault: { kind: 'answer', status: 401 } });
    await world.apply('refused', { interval: '0' });
    const resource = await world.reason('refused', 'AuthenticationFailed');
    assert.match(messageOf(resource), /rejects the token that Keystone has just issued/);
    assert.equal(resource.status.lastError?.httpStatus, 401);
    removed();
    await world.ready('refused');
  });

  test('a 413 to the upload is reported as a size limit of Glance', async () => {
    const body = raw(64 * 1024);
    const url = world.source.add('/large.raw', { body });
    const words = 'Denying attempt to upload image larger than 1099511627776 bytes.';
    const removed = glance.on({ matches: is('PUT'), fault: { kind: 'answer', status: 413, body: words } });
    await world.apply('large', {
      interval: '0',
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(body) } },
    });
    const resource = await world.reason('large', 'QuotaExceeded');
    assert.match(messageOf(resource), /Glance returned 413.*Denying attempt to upload image larger than/);
    assert.equal(resource.status.lastError?.httpStatus, 413);
    removed();
    await world.annotate('large', 'glance-image-operator.dev/reconcile-at', '1');
    await world.ready('large');
  });

  test('a 415 to the upload is reported as a rejected format', async () => {
    const body = raw(64 * 1024);
    const url = world.source.add('/odd.raw', { body });
    const words = 'Image failed safety checks';
    const removed = glance.on({ matches: is('PUT'), fault: { kind: 'answer', status: 415, body: words } });
    await world.apply('odd', {
      interval: '0',
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(body) } },
    });
    const resource = await world.reason('odd', 'FormatMismatch');
    assert.match(messageOf(resource), /Glance returned 415.*Image failed safety checks/);
    assert.equal(resource.status.lastError?.httpStatus, 415);
    removed();
  });

  test('a 409 to a deletion is reported as an image in use, and retried', async () => {
    await world.apply('used', { interval: '0' });
    await world.ready('used');
    const headers = { 'x-openstack-request-id': 'req-in-use' };
    const fault = { kind: 'answer', status: 409, headers, body: 'Image is in use: it has snapshot children' } as const;
    const removed = glance.on({ matches: is('DELETE'), fault });
    await world.delete('used');
    const resource = await world.reason('used', 'Conflict');
    assert.match(messageOf(resource), /cannot delete the image: Glance returned 409.*in use.*req-in-use/);
    assert.equal(resource.status.lastError?.httpStatus, 409);
    assert.equal(resource.status.lastError?.requestID, 'req-in-use');
    removed();
    await world.gone('used');
  });

  test('a 503 is reported with the message of Glance, keeps the last observation, and is retried', async () => {
    await world.apply('outage', { interval: '0' });
    const { status: before } = await world.ready('outage');
    const removed = glance.on({
      matches: () => true,
      fault: { kind: 'answer', status: 503, body: 'maintenance at noon' },
    });
    await world.annotate('outage', 'glance-image-operator.dev/reconcile-at', '1');
    const resource = await world.reason('outage', 'GlanceUnavailable');
    assert.match(messageOf(resource), /503.*maintenance at noon/);
    assert.deepEqual(resource.status.image, before.image);
    assert.equal(resource.status.conditions?.find(({ type }) => type === 'Ready')?.status, 'Unknown');
    removed();
    await world.ready('outage');
  });

  /** The image of a resource whose data is on its way, held at a byte until `release`. */
  async function underWay(name: string) {
    const body = raw(2 ** 20, name);
    const gate = Promise.withResolvers<void>();
    const url = world.source.add(`/${name}.raw`, { body, gate: { at: 2 ** 19, released: gate.promise } });
    await world.apply(name, { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
    const { status } = await world.until(name, 'under way', (resource) => (resource.status.transfer?.bytes ?? 0) > 0);
    const id = newestID({ status }) ?? assert.fail();
    return { id, record: await world.project.getImage(id), size: body.length, release: () => gate.resolve() };
  }

  const asks = (method: string, id: string) => (request: ProxiedRequest) =>
    request.method === method && request.path === `/v2/images/${id}`;

  test('a wrong response after the upload condemns no image: its data is read back, and it stays', async () => {
    const { id, record, size, release } = await underWay('mangled');
    const mangled = {
      ...record,
      status: 'active',
      size: size - 1,
      os_hash_algo: 'sha512',
      os_hash_value: '0'.repeat(128),
    };
    glance.on({
      matches: asks('GET', id),
      fault: {
        kind: 'answer',
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(mangled),
      },
      times: 1,
    });
    release();
    const { status } = await world.ready('mangled');
    assert.equal(status.imageID, id);
    assert.equal(glance.requests.filter(asks('DELETE', id)).length, 0);
    assert.equal(
      glance.requests.filter(({ method, path }) => method === 'GET' && path === `/v2/images/${id}/file`).length,
      1,
    );
  });

  test('an image that stays in saving after its upload was rejected is replaced', async () => {
    const body = raw(64 * 1024, 'stuck');
    const url = world.source.add('/stuck.raw', { body });
    const rejected = Promise.withResolvers<string>();
    const isUpload = ({ method, path }: ProxiedRequest) => method === 'PUT' && path.endsWith('/file');
    glance.on({
      matches: (request) => {
        if (isUpload(request)) rejected.resolve(request.path.split('/').at(-2) ?? '');
        return isUpload(request);
      },
      fault: { kind: 'answer', status: 413, body: 'the quota of the user is used up' },
      times: 1,
    });
    await world.apply('stuck', { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
    const id = await rejected.promise;
    const record = await world.project.getImage(id);
    const saving = JSON.stringify({ ...record, status: 'saving' });
    const removed = glance.on({
      matches: asks('GET', id),
      fault: { kind: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body: saving },
    });
    await world.reason('stuck', 'QuotaExceeded');
    await world.annotate('stuck', 'glance-image-operator.dev/reconcile-at', '1');
    const { status } = await world.ready('stuck');
    removed();
    assert.notEqual(status.imageID, id);
    assert.deepEqual(
      (await world.images()).filter(({ name }) => name === 'stuck').map((image) => image.id),
      [status.imageID],
    );
  });
});

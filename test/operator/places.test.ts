/** Where images are: another Glance, another region, images that are gone and images that only seem to be. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

/** A Glance that holds no image, at another address than all others. */
async function startEmptyGlance(): Promise<{ server: Server; url: string; methods: string[] }> {
  const methods: string[] = [];
  const server = createServer((request, response) => {
    methods.push(request.method ?? '');
    request.resume();
    const isList = request.url?.startsWith('/v2/images?') === true;
    response.writeHead(isList ? 200 : 404, { 'content-type': 'application/json' });
    response.end(isList ? '{"images": []}' : '{"message": "No image found."}');
  });
  server.listen(0, '127.0.0.2');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it has no port');
  return { server, url: `http://127.0.0.2:${address.port}`, methods };
}

describe('the place of an image', () => {
  let glance: FaultProxy;
  let world: World;
  let empty: Awaited<ReturnType<typeof startEmptyGlance>>;
  before(async () => {
    const stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    empty = await startEmptyGlance();
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
    await glance?.[Symbol.asyncDispose]();
    empty?.server.close();
  });

  const cloud = (name: string) => ({ secretRef: { name }, name: 'demo' });

  async function look(name: string, times: number): Promise<void> {
    await world.annotate(name, reconcileAtAnnotation, `${times}`);
    await world.until(name, 'looked at again', ({ status }) => status.lastHandledReconcileAt === `${times}`);
  }

  test('credentials without a region that lead to another Glance make no second image, also at the deletion', async () => {
    const secret = async (imageUrl: string) =>
      world.writeSecret('placed', { 'clouds.yaml': await world.project.cloudsYaml({ region: null, imageUrl }) });
    await secret(glance.url);
    await world.apply('placed', { cloud: cloud('placed') });
    const { status } = await world.ready('placed');
    await secret(empty.url);
    await look('placed', 1);
    const changed = await world.reason('placed', 'CloudChanged');
    assert.match(messageOf(changed), new RegExp(`${status.imageID} is at ${glance.url}.*${empty.url}`));
    assert.equal(changed.status.imageID, status.imageID);
    await world.delete('placed');
    const deleting = await world.until('placed', 'held', (one) => messageOf(one).startsWith('cannot delete the image'));
    assert.match(messageOf(deleting), /does not know it/);
    assert.ok(empty.methods.every((method) => method === 'GET'));
    await secret(glance.url);
    await world.annotate('placed', reconcileAtAnnotation, '2');
    await world.gone('placed');
    assert.equal((await world.project.image('GET', `/v2/images/${status.imageID}`)).status, 404);
  });

  test('the region that is in use already can be named, and left out again', async () => {
    const secret = async (region: string | null) =>
      world.writeSecret('region', { 'clouds.yaml': await world.project.cloudsYaml({ region, imageUrl: glance.url }) });
    await secret(null);
    await world.apply('region', { cloud: cloud('region') });
    const { status } = await world.ready('region');
    await secret(world.stack.openstack.region);
    await look('region', 1);
    assert.equal((await world.ready('region')).status.imageID, status.imageID);
    await secret(null);
    await world.delete('region');
    await world.gone('region');
    assert.equal((await world.project.image('GET', `/v2/images/${status.imageID}`)).status, 404);
  });

  test('an image that was deleted in Glance is replaced, and an Event says so', async () => {
    await world.apply('deleted', { interval: '0' });
    const { status } = await world.ready('deleted');
    (await world.project.image('DELETE', `/v2/images/${status.imageID}`)).ok();
    await look('deleted', 1);
    assert.notEqual((await world.ready('deleted')).status.imageID, status.imageID);
    await world.untilEvent('Replaced');
    const events = (await world.events()).filter(({ note }) => note.includes(status.imageID ?? '?'));
    assert.deepEqual(
      events.filter(({ reason }) => reason === 'Replaced').map(({ type }) => type),
      ['Warning'],
    );
  });

  test('a false 404 makes no second image, and nothing that is known of the first one is lost', async () => {
    const body = raw(64 * 1024);
    const http = { url: world.source.add('/hidden.raw', { body }), digest: digestOf(body) };
    await world.apply('hidden', { interval: '0', image: { diskFormat: 'raw' }, content: { http } });
    const { status } = await world.ready('hidden');
    const from = glance.requests.length;
    const isImage = ({ method, path }: { method: string; path: string }) =>
      method === 'GET' && path === `/v2/images/${status.imageID}`;
    const fault = { kind: 'answer', status: 404, body: 'No image found.' } as const;
    const removed = glance.on({ matches: isImage, fault, times: 1 });
    await look('hidden', 1);
    removed();
    const after = await world.ready('hidden');
    assert.equal(after.status.imageID, status.imageID);
    assert.deepEqual(after.status.operation, status.operation);
    const requests = glance.requests.slice(from);
    assert.deepEqual(requests.filter(changesSomething), []);
    assert.deepEqual(
      requests.filter(({ path }) => path.endsWith('/file')),
      [],
      'the data is not read back',
    );
  });

  test('an image that was protected is deleted although the protection was taken back just before', async () => {
    await world.apply('unprotected', { interval: '0', image: { protected: true } });
    const { status } = await world.ready('unprotected');
    world.operator.signal('SIGSTOP');
    await world.apply('unprotected', { interval: '0', image: { protected: false } });
    await world.delete('unprotected');
    world.operator.signal('SIGCONT');
    await world.gone('unprotected');
    assert.equal((await world.project.image('GET', `/v2/images/${status.imageID}`)).status, 404);
  });
});

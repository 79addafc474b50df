/**
 * Invariant: any number of image IDs that cannot be used any more is passed, at a bounded cost for each reconcile. Glance never
 * gives out the ID of a deleted image again.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apiVersion, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { eightAtATime } from '../env/eight-at-a-time.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { newestID, World } from './world.ts';

/** More than a reconcile tries. */
const burnt = 55;

describe('burnt image IDs', () => {
  let stack: Stack;
  let glance: FaultProxy;
  let world: World;
  let uid: string;
  let passed: string[];
  before(async () => {
    stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
    await world.apply('burnt', { suspend: true });
    uid = (await world.reason('burnt', 'Suspended')).metadata.uid;
    await burn(ids(uid, 0, burnt - 1));
    await world.apply('burnt', { suspend: false });
    await world.ready('burnt');
    passed = tried();
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  const isCreation = ({ method, path }: ProxiedRequest) => method === 'POST' && path === '/v2/images';
  /** Of the IDs that were tried since the proxy forgot, those that Glance took or knew, in order. A request without such a response is repeated. */
  const tried = () =>
    glance.requests
      .filter((request) => isCreation(request) && [201, 409].includes(request.status))
      .map(({ body }) => JSON.parse(body).id);

  const burn = (ids: readonly string[]) =>
    eightAtATime(ids, async (id) => {
      await world.project.createImage({ id });
      (await world.project.image('DELETE', `/v2/images/${id}`)).ok();
    });

  const ids = (uid: string, from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, at) => imageIDOf(uid, from + at));

  test('more burnt IDs than a reconcile tries are passed one after the other, and only the first more than once', () => {
    // For some seconds, a process before may have used it.
    const repeated = passed.findIndex((id) => id !== passed[0]) - 1;
    assert.deepEqual(passed.slice(repeated), ids(uid, 0, burnt));
    assert(repeated <= 5, `the first one was tried ${repeated} times in vain`);
  });

  test('burnt image IDs are not tried again after the recorded image was deleted and the creation of the next one failed', async () => {
    const { status } = await world.ready('burnt');
    const at = Number(status.operation?.['next'] ?? assert.fail()) - 1;
    glance.forget();
    glance.on({ matches: isCreation, times: 1, fault: { kind: 'answer', status: 500 } });
    (await world.project.image('DELETE', `/v2/images/${status.imageID}`)).ok();
    await world.annotate('burnt', reconcileAtAnnotation, '1');
    await world.until('burnt', 'created again', (now) => newestID(now) === imageIDOf(uid, at + 1));
    assert.deepEqual(new Set(tried()), new Set([imageIDOf(uid, at + 1)]));
  });

  test('burnt image IDs do not hide the image of a resource that lost its whole status', async () => {
    const before = await world.ready('burnt');
    await world.operator.stop();
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/burnt/status`;
    const remove = [{ op: 'replace', path: '/status', value: { observedGeneration: -1 } }];
    const contentType = 'application/json-patch+json';
    (await stack.kubernetes.request('PATCH', path, remove, { contentType })).ok();
    await world.start();
    const { status } = await world.ready('burnt');
    assert.equal(status.imageID, before.status.imageID);
    assert.equal((await world.images()).length, 1);
    await world.delete('burnt');
    await world.gone('burnt');
    assert.deepEqual(await world.images(), []);
  });
});

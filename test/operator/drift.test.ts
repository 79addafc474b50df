import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { countByVerb } from '../env/audit.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { World } from './world.ts';

const images = 12;
/** The shortest interval there is. */
const intervalMs = 10_000;
const names = Array.from({ length: images }, (_, index) => `image-${index}`);

const isList = ({ method, path }: ProxiedRequest) => method === 'GET' && path.startsWith('/v2/images?');
const isRead = ({ method, path }: ProxiedRequest) => method === 'GET' && path.startsWith('/v2/images/');

describe('drift of settled resources', () => {
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    const stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
    for (const name of names) await world.apply(name, { interval: '10s', image: { properties: { os_distro: 'x' } } });
    for (const name of names) await world.ready(name);
    await quiet();
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  /** Resolves once a list of changes has come that all agree with. */
  async function quiet(): Promise<void> {
    const from = glance.requests.length;
    await eventually(
      () => glance.requests.slice(from).filter(isList).length >= 2,
      () => 'no lists came',
    );
  }

  /** Has every list show these. */
  function answerLists(shown: readonly unknown[]): () => void {
    const headers = { 'content-type': 'application/json' };
    const fault = { kind: 'answer', status: 200, headers, body: JSON.stringify({ images: shown }) } as const;
    return glance.on({ matches: isList, fault });
  }

  /** What happens in two intervals and a little. */
  async function watched(): Promise<{ calls: ProxiedRequest[]; writes: Record<string, number> }> {
    const { audit } = world.stack.kubernetes;
    const mark = await audit.mark();
    const from = glance.requests.length;
    await sleep(2.2 * intervalMs);
    return { calls: glance.requests.slice(from), writes: countByVerb(await audit.writes(world.user, mark)) };
  }

  test('a drift check costs pages of lists and few readings of the Secret, and no call for a single image', async () => {
    const { audit } = world.stack.kubernetes;
    const mark = await audit.mark();
    const { calls, writes } = await watched();
    const secrets = (await audit.read(world.user, mark)).filter(({ resource }) => resource === 'secrets');
    // Checks within ten seconds share one reading.
    assert.ok(secrets.length >= 1 && secrets.length <= 4, `${secrets.length} readings of the Secret`);
    assert.deepEqual(writes, {});
    assert.deepEqual(calls.filter(changesSomething), []);
    assert.deepEqual(calls.filter(isRead), []);
    const lists = calls.filter(isList).length;
    assert.ok(lists >= 2 && lists <= 2 * 4, `${lists} lists, of the visible and the hidden images, in two intervals`);
  });

  test('drift is corrected within the interval by one read and one write', async () => {
    const { status } = await world.ready('image-3');
    const from = glance.requests.length;
    await world.patchImage(status.imageID, [{ op: 'replace', path: '/os_distro', value: 'other' }]);
    await world.until('image-3', 'seen again', (now) => now.status.image?.updatedAt !== status.image?.updatedAt);
    assert.equal((await world.ready('image-3')).status.image?.properties['os_distro'], 'x');
    const about = glance.requests.slice(from).filter((call) => isRead(call) || changesSomething(call));
    assert.deepEqual(
      about.map(({ method, path }) => `${method} ${path}`),
      ['GET', 'PATCH'].map((method) => `${method} /v2/images/${status.imageID}`),
    );
  });

  test('an image that is made invisible is found and shown again', async () => {
    const { status } = await world.ready('image-4');
    await world.patchImage(status.imageID, [{ op: 'replace', path: '/os_hidden', value: true }]);
    await world.until('image-4', 'seen again', (now) => now.status.image?.updatedAt !== status.image?.updatedAt);
    assert.equal((await world.ready('image-4')).status.image?.hidden, false);
  });

  test('a wrong entry in a list causes no write', async () => {
    const { status } = await world.ready('image-6');
    const record = await world.project.getImage(status.imageID ?? '');
    const remove = answerLists([{ ...record, os_distro: 'stale' }]);
    const { calls, writes } = await watched();
    remove();
    assert.deepEqual(writes, {});
    assert.deepEqual(calls.filter(changesSomething), []);
    assert.ok(
      calls.some((call) => isRead(call) && call.path.endsWith(record.id)),
      'it was looked at',
    );
  });

  test('when lists fail, each image is read by itself', async () => {
    const remove = glance.on({ matches: isList, fault: { kind: 'answer', status: 403, body: 'no lists for you' } });
    await quiet();
    const { calls, writes } = await watched();
    remove();
    assert.deepEqual(writes, {});
    assert.deepEqual(calls.filter(changesSomething), []);
    assert.ok(calls.filter(isRead).length >= images);
  });

  test('when a policy hides the owner marker, each image is read by itself, and none counts as lost', async () => {
    await world.operator.stop();
    const remove = answerLists([]);
    await world.start();
    await quiet();
    const { calls, writes } = await watched();
    remove();
    assert.deepEqual(writes, {});
    assert.deepEqual(calls.filter(changesSomething), []);
    assert.ok(calls.filter(isRead).length >= images);
  });

  test('a restart costs pages of lists, and finds images deleted in the meantime', async () => {
    await world.operator.stop();
    const { status } = await world.ready('image-5');
    (await world.project.image('DELETE', `/v2/images/${status.imageID}`)).ok();
    const from = glance.requests.length;
    const mark = await world.stack.kubernetes.audit.mark();
    await world.start();
    await world.until('image-5', 'made again', (now) => now.status.imageID !== status.imageID);
    const again = await world.ready('image-5');
    await quiet();
    const reads = glance.requests.slice(from).filter(isRead);
    const expected = [status.imageID, again.status.imageID].map((id) => `/v2/images/${id}`);
    assert.deepEqual(
      reads.filter(({ path }) => !expected.includes(path)),
      [],
    );
    const writes = await world.stack.kubernetes.audit.writes(world.user, mark);
    assert.ok(writes.length <= 6, JSON.stringify(countByVerb(writes)));
  });
});

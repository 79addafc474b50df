/**
 * An image that one project shares with another, on the real Glance, and the state of images.
 *
 * Invariants: exactly the declared projects can use the image; an image that is not shared costs no request for members; data that
 * was not verified is never reactivated.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import type { Project } from '../env/project.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const body = raw(64 * 1024);
const listSchema = z.object({ images: z.array(z.object({ id: z.string(), owner: z.string() })) });

describe('an operator whose images other projects use', () => {
  let stack: Stack;
  let glance: FaultProxy;
  let world: World;
  let consumer: Project;
  let content: object;
  before(async () => {
    stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
    consumer = await stack.openstack.createProject();
    await world.writeSecret('consumer', { 'clouds.yaml': await consumer.cloudsYaml() });
    content = { http: { url: world.source.add('/golden.raw', { body }), digest: digestOf(body) } };
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  const sharedWith = (projects: readonly string[], more: object = {}) => ({
    interval: '0',
    image: { diskFormat: 'raw', visibility: 'shared', members: { projects }, ...more },
    content,
  });
  const withState = (state: string | undefined) => ({
    interval: '0',
    image: { diskFormat: 'raw', ...(state && { state }) },
    content,
  });
  let rounds = 0;
  async function lookAgain(name: string): Promise<void> {
    const round = String(++rounds);
    await world.annotate(name, reconcileAtAnnotation, round);
    await world.until(name, 'looked at again', ({ status }) => status.lastHandledReconcileAt === round);
  }
  async function idsListed(query: string): Promise<string[]> {
    const list = (await consumer.image('GET', `/v2/images?${query}`)).as(listSchema);
    return list.images.map(({ id }) => id);
  }
  const observing = (filter: object) => ({
    interval: '0',
    cloud: { secretRef: { name: 'consumer' }, name: 'demo' },
    managementPolicy: 'Observe',
    import: { filter: { name: 'golden', visibility: 'shared', ...filter } },
  });

  test('a consumer uses a shared image at once, lists it by owner, accepts it, and loses it when it is not declared any more', async () => {
    await world.apply('golden', sharedWith([consumer.id]));
    const { status } = await world.ready('golden');
    const { imageID = '' } = status;
    assert.deepEqual(status.members, [{ project: consumer.id, status: 'pending' }]);
    assert.equal((await consumer.image('GET', `/v2/images/${imageID}/file`)).status, 200);
    assert.deepEqual(await idsListed('name=golden'), []);
    const byOwner = `name=golden&visibility=shared&member_status=all&owner=${world.project.id}`;
    assert.deepEqual(await idsListed(byOwner), [imageID]);

    const stranger = await stack.openstack.createProject();
    const imitation = await stranger.createImage({ name: 'golden', visibility: 'shared' }, body);
    (await stranger.image('POST', `/v2/images/${imitation.id}/members`, { member: consumer.id })).ok();
    assert.deepEqual(await idsListed(byOwner), [imageID]);
    await world.apply('theirs', observing({ owner: world.project.id }));
    assert.equal((await world.ready('theirs')).status.imageID, imageID);

    const path = `/v2/images/${imageID}/members/${consumer.id}`;
    (await consumer.image('PUT', path, { status: 'accepted' })).ok();
    await lookAgain('golden');
    assert.deepEqual((await world.ready('golden')).status.members, [{ project: consumer.id, status: 'accepted' }]);
    assert.ok((await idsListed('name=golden')).includes(imageID));

    await world.apply('golden', sharedWith([]));
    await world.ready('golden');
    assert.equal((await consumer.image('GET', `/v2/images/${imageID}`)).status, 404);
    assert.deepEqual((await world.get('golden'))?.status.members, undefined);
    await lookAgain('theirs');
    await world.reason('theirs', 'ImportVanished');
  });

  test('a new build has its members before it is the image to use, and a withdrawn project loses all builds', async () => {
    const next = raw(64 * 1024, 'the next build');
    const other = { http: { url: world.source.add('/next.raw', { body: next }), digest: digestOf(next) } };
    const status = async (id = '') => (await consumer.image('GET', `/v2/images/${id}`)).status;
    await world.apply('built', sharedWith([consumer.id]));
    const first = (await world.ready('built')).status.imageID;
    const mark = glance.requests.length;
    await world.apply('built', { ...sharedWith([consumer.id]), content: other });
    const second = (await world.ready('built')).status.imageID;
    assert.notEqual(second, first);
    assert.deepEqual([await status(first), await status(second)], [200, 200]);
    const calls = glance.requests.slice(mark).map(({ method, path }) => `${method} ${path}`);
    const shared = calls.indexOf(`POST /v2/images/${second}/members`);
    assert.ok(shared >= 0 && shared < calls.indexOf(`PATCH /v2/images/${second}`), calls.join('\n'));

    await world.apply('built', { ...sharedWith([]), content: other });
    await world.ready('built');
    assert.deepEqual([await status(first), await status(second)], [404, 404]);
  });

  test('members that were declared are removed with their declaration, and others are left alone', async () => {
    const other = 'f'.repeat(32);
    await world.apply('lent', sharedWith([consumer.id]));
    const { imageID } = (await world.ready('lent')).status;
    (await world.project.image('POST', `/v2/images/${imageID}/members`, { member: other })).ok();
    await world.apply('lent', { interval: '0', image: { diskFormat: 'raw', visibility: 'shared' }, content });
    await world.ready('lent');
    const answer = await world.project.image('GET', `/v2/images/${imageID}/members`);
    const { members } = answer.as(z.object({ members: z.array(z.object({ member_id: z.string() })) }));
    assert.deepEqual(
      members.map(({ member_id }) => member_id),
      [other],
    );
  });

  test('an image without declared members costs no request for members', async () => {
    await world.apply('alone', { interval: '0', image: { diskFormat: 'raw', visibility: 'shared' }, content });
    const { imageID } = (await world.ready('alone')).status;
    await lookAgain('alone');
    const asked = glance.requests.filter(({ path }) => path.startsWith(`/v2/images/${imageID}/members`));
    assert.deepEqual(asked, []);
  });

  test('an image that is declared as deactivated is so once it is verified, and becomes active again', async () => {
    await world.apply('withdrawn', withState('Deactivated'));
    const { status } = await world.ready('withdrawn');
    const { imageID = '' } = status;
    assert.equal(status.image?.status, 'deactivated');
    assert.equal((await world.project.image('GET', `/v2/images/${imageID}/file`)).status, 403);
    const mark = glance.requests.length;
    await lookAgain('withdrawn');
    assert.ok(glance.requests.slice(mark).every(({ method }) => method === 'GET'));

    await world.apply('withdrawn', withState('Active'));
    const active = await world.ready('withdrawn');
    assert.deepEqual([active.status.imageID, active.status.image?.status], [imageID, 'active']);
    (await world.project.image('POST', `/v2/images/${imageID}/actions/deactivate`)).ok();
    await lookAgain('withdrawn');
    assert.equal((await world.ready('withdrawn')).status.image?.status, 'active');

    await world.apply('withdrawn', withState(undefined));
    await world.ready('withdrawn');
    (await world.project.image('POST', `/v2/images/${imageID}/actions/deactivate`)).ok();
    await lookAgain('withdrawn');
    const reported = await world.reason('withdrawn', 'Deactivated');
    assert.equal(reported.status.imageID, imageID);
  });

  test('a cloud that forbids a state or a member is named with what it has to allow', async () => {
    const forbid = (part: string) =>
      glance.on({
        matches: ({ method, path }) => method === 'POST' && path.includes(part),
        fault: { kind: 'answer', status: 403, body: '{"message": "Policy does not allow this."}' },
      });
    for (const [name, part, spec, reason] of [
      ['kept', '/actions/deactivate', withState('Deactivated'), 'StateForbidden'],
      ['unshared', '/members', sharedWith([consumer.id]), 'MembersForbidden'],
    ] as const) {
      const allow = forbid(part);
      await world.apply(name, spec);
      const { status } = await world.reason(name, reason);
      assert.match(status.lastError?.message ?? '', /this cloud does not let these credentials/);
      assert.equal(status.lastError?.httpStatus, 403);
      allow();
      await lookAgain(name);
      await world.ready(name);
    }
  });
});

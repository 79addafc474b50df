/** Invariant: an image of another project is foreign, whatever its ID and its marks say. It is never changed and never deleted. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty, imageIDOf, ownerOf, ownerProperty } from '../../src/image/model/identity.ts';
import { adminPassword } from '../env/bootstrap.ts';
import { generated } from '../env/content.ts';
import { raw } from '../env/images.ts';
import { imageRecordSchema, type Project } from '../env/project.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

const body = raw(64 * 1024);
/** In the marks of our images. */
const cluster = 'production';

describe('ownership of an image', () => {
  let world: World;
  let neighbour: Project;
  before(async () => {
    world = await World.create({ idle: true });
    await world.start(['--cluster-name', cluster]);
    const { openstack } = world.stack;
    neighbour = await openstack.createProject('neighbour');
    const auth = {
      auth_url: openstack.authUrl,
      username: 'admin',
      password: adminPassword,
      project_name: 'admin',
      user_domain_name: 'Default',
      project_domain_name: 'Default',
    };
    await world.writeSecret('administrator', { 'clouds.yaml': stringify({ clouds: { admin: { auth } } }) });
  });
  after(() => world[Symbol.asyncDispose]());

  const asAdmin = { secretRef: { name: 'administrator' }, name: 'admin' };

  /** Any image, as the administrator of the cloud sees it. */
  async function seen(id: string) {
    return (await world.stack.openstack.image('GET', `/v2/images/${id}`)).as(imageRecordSchema);
  }

  /** The resource is suspended at first, so that the neighbour can be faster. */
  async function squatted(name: string, visibility: string, spec: Record<string, unknown>) {
    await world.apply(name, { ...spec, suspend: true });
    const { metadata } = await world.reason(name, 'Suspended');
    const mark = ownerOf(world.namespace, name, metadata.uid);
    const properties = { [ownerProperty]: mark, [clusterProperty]: cluster };
    const id = imageIDOf(metadata.uid, 0);
    await neighbour.createImage(
      { id, name: 'theirs', visibility, ...properties },
      generated(body.length, 'theirs').slice(0, body.length),
    );
    const before = await seen(id);
    await world.apply(name, { ...spec, suspend: false });
    return { id, uid: metadata.uid, before };
  }

  for (const { who, visibility, spec } of [
    { who: 'an administrator', visibility: 'private', spec: { visibility: 'public' } },
    { who: 'a member of the project', visibility: 'community', spec: {} },
    { who: 'a member who cannot see the image', visibility: 'private', spec: {} },
  ]) {
    const name = who.replaceAll(' ', '-');
    test(`an image of a neighbour with our next ID and our marks is not used by ${who}`, async () => {
      const isAdmin = who === 'an administrator';
      const url = world.source.add(`/${name}.raw`, { body });
      const { id, uid, before } = await squatted(name, visibility, {
        ...(isAdmin ? { cloud: asAdmin } : {}),
        image: { diskFormat: 'raw', owner: world.project.id, ...spec },
        content: { http: { url, digest: digestOf(body) } },
      });
      const { status } = await world.ready(name);
      assert.equal(status.imageID, imageIDOf(uid, 1));
      assert.equal(`sha512:${status.image?.hash?.value}`, digestOf(body, 'sha512'));
      assert.equal(status.image?.owner, world.project.id);
      await world.delete(name);
      await world.gone(name);
      assert.deepEqual(await seen(id), before);
      assert.deepEqual(
        (await world.images()).filter((image) => image.name === name),
        [],
      );
    });
  }

  test('an image that was given to another project is foreign: it is reported and left as it is', async () => {
    await world.apply('given', { image: { visibility: 'community', properties: { color: 'red' } } });
    const { status } = await world.ready('given');
    const id = status.imageID ?? assert.fail();
    const change = (owner: string) => [{ op: 'replace', path: '/owner', value: owner }];
    (await world.stack.openstack.image('PATCH', `/v2/images/${id}`, change(neighbour.id))).ok();
    const before = await seen(id);
    await world.annotate('given', reconcileAtAnnotation, '1');
    const taken = await world.reason('given', 'TakenOver');
    assert.match(messageOf(taken), new RegExp(`image ${id} belongs to project ${neighbour.id}`));
    assert.match(messageOf(taken), new RegExp(`openstack image set --project ${world.project.id} ${id}`));
    assert.equal(taken.status.imageID, id);
    assert.equal(taken.status.image?.owner, world.project.id, 'the status shows what was last seen of our image');
    assert.deepEqual(await seen(id), before);
    assert.deepEqual(
      (await world.images()).filter(({ name }) => name === 'given'),
      [],
    );

    (await world.stack.openstack.image('PATCH', `/v2/images/${id}`, change(world.project.id))).ok();
    await world.annotate('given', reconcileAtAnnotation, '2');
    assert.equal((await world.ready('given')).status.imageID, id);
  });

  test('a resource whose image was given to another project can be deleted, and the image stays', async () => {
    await world.apply('left', { image: { visibility: 'community' } });
    const id = (await world.ready('left')).status.imageID ?? assert.fail();
    const change = [{ op: 'replace', path: '/owner', value: neighbour.id }];
    (await world.stack.openstack.image('PATCH', `/v2/images/${id}`, change)).ok();
    const before = await seen(id);
    await world.delete('left');
    await world.gone('left');
    assert.deepEqual(await seen(id), before);
    await world.untilEvents('TakenOver', 2);
    const notes = (await world.events()).map(({ note }) => note);
    assert.ok(notes.includes(`image ${id} stays in Glance, because it belongs to project ${neighbour.id} now`));
  });

  test('an image moves to another project when that one is declared, and comes back when it is not', async () => {
    const spec = (owner: object) => ({ cloud: asAdmin, image: { properties: { color: 'blue' }, ...owner } });
    await world.apply('moved', spec({ owner: world.project.id }));
    const id = (await world.ready('moved')).status.imageID ?? assert.fail();
    await world.apply('moved', spec({ owner: neighbour.id }));
    assert.equal((await world.ready('moved')).status.imageID, id);
    assert.equal((await seen(id)).owner, neighbour.id);
    await world.apply('moved', spec({}));
    assert.equal((await world.ready('moved')).status.imageID, id);
    assert.equal((await seen(id)).owner, world.stack.openstack.admin.projectId);
    await world.delete('moved');
    await world.gone('moved');
    assert.equal((await world.stack.openstack.image('GET', `/v2/images/${id}`)).status, 404);
  });
});

/** Resources whose images stay in Glance, deleted while their Secret is gone or their cloud cannot be reached. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { identityAnnotation } from '../../src/api/group.ts';
import { clusterProperty, ownerProperty } from '../../src/image/model/identity.ts';
import { claimPort } from './closed-port.ts';
import { World } from './world.ts';

describe('deletionPolicy Retain without credentials', () => {
  let world: World;
  before(async () => {
    world = await World.create({ flags: ['--cluster-name', 'here'] });
  });
  after(() => world[Symbol.asyncDispose]());

  const retained = { deletionPolicy: 'Retain', image: { visibility: 'community' } };

  async function create(name: string): Promise<{ id: string; identity: string | undefined }> {
    await world.apply(name, retained);
    const { status, metadata } = await world.ready(name);
    return { id: status.imageID ?? assert.fail(), identity: metadata.annotations[identityAnnotation] };
  }

  async function withoutSecret(): Promise<void> {
    const path = `/api/v1/namespaces/${world.namespace}/secrets/openstack`;
    (await world.stack.kubernetes.request('DELETE', path)).ok();
  }

  async function remove(name: string): Promise<void> {
    await world.delete(name);
    await world.gone(name);
  }

  const notesOf = async (id: string) =>
    (await world.events())
      .filter(({ reason, note }) => reason === 'Retained' && note.includes(id))
      .map(({ type, note }) => `${type}: ${note}`);

  test('the session that is still open removes the mark of the cluster after the Secret is gone', async () => {
    const { id } = await create('open');
    await withoutSecret();
    await remove('open');
    const image = await world.project.getImage(id);
    assert.deepEqual([typeof image[ownerProperty], image[clusterProperty]], ['string', undefined]);
    await world.untilEvent('Retained');
    assert.deepEqual(await notesOf(id), [`Normal: image ${id} is kept in Glance (deletionPolicy: Retain)`]);
  });

  test('without a session the deletion succeeds, says which image keeps which mark, and an object of the same name and identity takes it back', async () => {
    await world.writeSecret('openstack', { 'clouds.yaml': await world.project.cloudsYaml() });
    const { id, identity } = await create('none');
    const before = await world.project.getImage(id);
    await withoutSecret();
    await world.operator.stop();
    await world.start();
    await remove('none');
    assert.deepEqual(await world.project.getImage(id), before);
    await world.untilEvents('Retained', 2);
    const [note = '', ...more] = await notesOf(id);
    assert.match(
      note,
      new RegExp(`^Warning: image ${id} is kept in Glance .* the mark of this cluster \\(here\\).* removed: .*Secret`),
    );
    assert.deepEqual(more, []);

    await world.writeSecret('openstack', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.apply('none', retained, { annotations: { [identityAnnotation]: identity } });
    assert.equal((await world.ready('none')).status.imageID, id);
    assert.deepEqual(
      (await world.images()).filter(({ name }) => name === 'none').map((image) => image.id),
      [id],
    );
  });

  test('while the cloud cannot be reached the deletion succeeds, and says so', async () => {
    const { id } = await create('dead');
    const authUrl = `http://127.0.0.1:${await claimPort()}/v3`;
    await world.writeSecret('openstack', { 'clouds.yaml': await world.project.cloudsYaml({ authUrl }) });
    await remove('dead');
    assert.equal((await world.project.getImage(id))[clusterProperty], 'here');
    await world.untilEvents('Retained', 3);
    const [note = ''] = await notesOf(id);
    assert.match(note, new RegExp(`^Warning: image ${id} is kept in Glance .* the mark of this cluster.*127.0.0.1`));
  });
});

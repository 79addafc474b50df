/** Objects and images that resemble those of a resource: of another cluster, of an earlier object, of a neighbour. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apiVersion, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { raw } from '../env/images.ts';
import { imageRecordSchema } from '../env/project.ts';
import { changesSomething, type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

const [first, second] = [raw(64 * 1024), raw(128 * 1024)];

describe('images of others', () => {
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    const stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, idle: true, clouds: { imageUrl: glance.url } });
    await world.start(['--cluster-name', 'production']);
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
    await glance?.[Symbol.asyncDispose]();
  });

  const filled = (path: string, body: Buffer) => ({
    image: { diskFormat: 'raw', visibility: 'community' },
    content: { http: { url: world.source.add(path, { body }), digest: digestOf(body) } },
  });

  test('an image of an earlier object of the same name, whose finalizer was removed by force, is not taken for that of the next one', async () => {
    const released = Promise.withResolvers<void>();
    const url = world.source.add('/forced.raw', { body: first, gate: { at: 1024, released: released.promise } });
    const declared = { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(first) } } };
    await world.apply('forced', declared);
    await world.source.requested('/forced.raw');
    world.operator.signal('SIGSTOP');
    await world.delete('forced');
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/forced`;
    const remove = [{ op: 'remove', path: '/metadata/finalizers' }];
    const contentType = 'application/json-patch+json';
    (await world.stack.kubernetes.request('PATCH', path, remove, { contentType })).ok();
    await world.apply('forced', filled('/next.raw', second));
    world.operator.signal('SIGCONT');
    const { metadata, status } = await world.ready('forced');
    released.resolve();
    assert.equal(status.imageID, imageIDOf(metadata.uid, 0));
    assert.equal(status.content?.imageID, status.imageID);
    assert.deepEqual(
      status.revisions?.map(({ imageID }) => imageID),
      [status.imageID],
    );
    assert.equal((await world.project.getImage(status.imageID ?? '')).size, second.length);
  });

  test('images of a neighbour with the next IDs and our marks are passed, and left as they are', async () => {
    await world.apply('squatted', filled('/squatted.raw', first));
    const { metadata, status } = await world.ready('squatted');
    const ours = await world.project.getImage(status.imageID ?? '');
    const neighbour = await world.stack.openstack.createProject('neighbour');
    const marks = { [ownerProperty]: ours[ownerProperty], [clusterProperty]: ours[clusterProperty] };
    const theirs = await Promise.all(
      [1, 2, 3].map((number) => {
        const id = imageIDOf(metadata.uid, number);
        return neighbour.createImage({ id, name: 'theirs', visibility: 'community', ...marks }, second);
      }),
    );
    (await world.project.image('DELETE', `/v2/images/${ours.id}`)).ok();
    await world.annotate('squatted', reconcileAtAnnotation, '1');
    await world.until('squatted', 'created again', (one) => one.status.imageID === imageIDOf(metadata.uid, 4));
    await world.ready('squatted');
    assert.equal((await world.project.getImage(imageIDOf(metadata.uid, 4))).size, first.length);
    for (const image of theirs) assert.deepEqual(await neighbour.getImage(image.id), image);
    await world.delete('squatted');
    await world.gone('squatted');
    for (const image of theirs) assert.deepEqual(await neighbour.getImage(image.id), image);
  });

  test('a clone of the cluster with a name of its own changes and deletes nothing, and takes over what it inherits', async () => {
    await world.apply('cloned', filled('/cloned.raw', first));
    await world.apply('dropped', filled('/dropped.raw', first));
    const [kept, dropped] = [await world.ready('cloned'), await world.ready('dropped')];
    const seen = async (id = '') => (await world.project.image('GET', `/v2/images/${id}`)).as(imageRecordSchema);
    const before = [await seen(kept.status.imageID), await seen(dropped.status.imageID)];
    await world.operator.stop();
    const from = glance.requests.length;
    await world.start(['--cluster-name', 'clone']);
    await world.annotate('cloned', reconcileAtAnnotation, '1');
    const taken = await world.reason('cloned', 'TakenOver');
    assert.match(messageOf(taken), /bears the mark of another cluster/);
    await world.delete('dropped');
    await world.gone('dropped');
    assert.deepEqual(glance.requests.slice(from).filter(changesSomething), []);
    assert.deepEqual([await seen(kept.status.imageID), await seen(dropped.status.imageID)], before);
    await world.operator.stop();
    await world.start(['--cluster-name', 'clone', '--inherit-from', 'production']);
    await world.annotate('cloned', reconcileAtAnnotation, '2');
    const inherited = await world.ready('cloned');
    assert.equal(inherited.status.imageID, kept.status.imageID);
    assert.equal((await seen(kept.status.imageID))[clusterProperty], 'clone');
  });
});

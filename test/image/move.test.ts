/**
 * Objects that are moved between clusters, restored and re-created, one step of the other program at a time. Two worlds are two API
 * servers with one Glance: a step of a world is a reconcile of its operator.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer, identityAnnotation, reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { moveAnnotation } from '../../src/image/reconcile/guard.ts';
import { imageOf, uid } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { specOf, type WorldOptions } from './world-glance.ts';

const spec = specOf('a');
const newUID = '11111111-1111-4111-8111-111111111111';
const thirdUID = '22222222-2222-4222-8222-222222222222';

/** As clusterctl, Velero and kubectl create it: everything but the status, and with another UID. */
function copyOf(world: World, options: Partial<WorldOptions> = {}): WorldOptions {
  const { metadata } = world.resource ?? assert.fail('there is nothing to copy');
  const { annotations, finalizers } = metadata;
  return { spec, glance: world, ...options, metadata: { annotations, finalizers, uid: newUID, ...options.metadata } };
}

async function settled(options: WorldOptions): Promise<World> {
  const world = createWorld(options);
  assert.ok((await world.settle()).isSettled, world.ready());
  return world;
}

/** Compared with Glance, so that only another cause has it reconciled. */
async function notDue(world: World): Promise<void> {
  world.setMetadata({ annotations: { ...world.resource?.metadata.annotations, [reconcileAtAnnotation]: 'now' } });
  await world.step();
  const outcome = await world.step();
  assert.ok(outcome?.kind === 'requeueAfter' && outcome.afterMs > 120_000, JSON.stringify(outcome));
}

const source = () => settled({ spec, cluster: 'source' });
const marksOf = (world: World) =>
  [...world.images.values()].map(({ properties }) => [properties[ownerProperty], properties[clusterProperty]]);

/** What clusterctl does to the object in the source, and a reconcile after each step. */
async function strip(world: World): Promise<void> {
  world.setMetadata({ annotations: { [moveAnnotation]: '' } });
  await world.step();
  world.setMetadata({ finalizers: [] });
  await world.step();
}

describe('clusterctl move', () => {
  test('a target that inherits nothing rejects the object and writes nothing, and the source deletes nothing', async () => {
    const from = await source();
    const to = createWorld(copyOf(from, { cluster: 'target' }));
    const before = structuredClone([...from.images]);
    await to.step();
    await to.step();
    assert.equal(to.ready(), 'False TakenOver');
    assert.match(to.message() ?? '', /\(source\).*--inherit-from/);
    await strip(from);
    from.delete();
    await from.step();
    assert.equal(from.resource, undefined);
    assert.deepEqual([...from.images], before);
    assert.equal(to.calls.writes, 0);
    assert.ok(!to.log.includes('finalizer'), `${to.log}`);
  });

  test('a target that inherits from the source takes the image over, and the source reports that and deletes nothing', async () => {
    const from = await source();
    const to = await settled(copyOf(from, { cluster: 'target', inheritFrom: ['source'] }));
    assert.equal(to.status?.imageID, from.status?.imageID);
    assert.equal(to.images.size, 1);
    assert.deepEqual(marksOf(to), [[from.mark, 'target']]);
    from.setMetadata({
      annotations: { ...from.resource?.metadata.annotations, 'glance-image-operator.dev/reconcile-at': '1' },
    });
    const writes = from.calls.writes;
    await from.step();
    assert.equal(from.ready(), 'False TakenOver');
    await strip(from);
    from.delete();
    await from.step();
    assert.equal(from.resource, undefined);
    assert.equal(from.calls.writes, writes);
    assert.ok((await to.settle()).isSettled);
    assert.equal(to.images.size, 1);
  });

  test('the target takes over retired revisions too, and deletes them with the object', async () => {
    const from = await source();
    const first = from.status?.imageID ?? assert.fail();
    from.inUse.add(first);
    from.edit(specOf('b'));
    assert.ok((await from.settle()).isSettled, from.ready());
    assert.equal(from.images.size, 2);
    const to = await settled(copyOf(from, { spec: specOf('b'), cluster: 'target', inheritFrom: ['source'] }));
    assert.deepEqual(marksOf(to), [
      [from.mark, 'target'],
      [from.mark, 'target'],
    ]);
    from.inUse.clear();
    to.delete();
    await to.settle();
    assert.equal(to.images.size, 0, to.message());
    assert.equal(to.resource, undefined);
  });

  test('an image that is being filled in the source is taken over by the target before it has its data', async () => {
    const from = createWorld({ spec, cluster: 'source' });
    from.hold();
    await from.step();
    const to = createWorld(copyOf(from, { cluster: 'target', inheritFrom: ['source'] }));
    await to.step();
    await strip(from);
    from.delete();
    await from.step();
    await from.release();
    assert.ok((await to.settle(200)).isSettled, to.ready());
    assert.equal(to.images.size, 1);
    assert.deepEqual(marksOf(to), [[from.mark, 'target']]);
  });

  test('a moved object that finds its image as declared gets the finalizer, so that a deletion deletes the image', async () => {
    const from = await source();
    const to = await settled(copyOf(from, { cluster: 'source', metadata: { finalizers: [] } }));
    assert.equal(to.calls.writes, 0, 'nothing is changed in Glance');
    assert.deepEqual(to.resource?.metadata.finalizers, [finalizer]);
    to.delete();
    await to.step();
    assert.equal(to.images.size, 0);
  });

  test('a moved image that has lost its owner mark is left alone, and the message says how to put the mark back', async () => {
    const from = await source();
    const to = await settled(copyOf(from, { cluster: 'target', inheritFrom: ['source'] }));
    const { imageID = '' } = to.status ?? {};
    const { [ownerProperty]: mark, ...properties } = to.images.get(imageID)?.properties ?? {};
    to.meddle(imageID, { properties });
    to.edit(spec);
    await to.step();
    assert.equal(to.ready(), 'False TakenOver');
    assert.ok(
      to.message()?.includes(`openstack image set --property ${ownerProperty}=${mark} ${imageID}`),
      to.message(),
    );
    to.meddle(imageID, { properties: { ...properties, ...(mark === undefined ? {} : { [ownerProperty]: mark }) } });
    to.edit(spec);
    assert.ok((await to.settle()).isSettled, to.message());
  });

  test('an object that has moved can move on, and back', async () => {
    const first = await source();
    const second = await settled(copyOf(first, { cluster: 'target', inheritFrom: ['source'] }));
    const third = await settled(
      copyOf(second, { cluster: 'source', inheritFrom: ['target'], metadata: { uid: thirdUID } }),
    );
    assert.equal(third.status?.imageID, first.status?.imageID);
    assert.deepEqual(marksOf(third), [[first.mark, 'source']]);
  });

  test('a second run of clusterctl, which replaces the annotations in the target, costs the target no image', async () => {
    const from = await source();
    const to = await settled(copyOf(from, { cluster: 'target', inheritFrom: ['source'] }));
    to.setMetadata({ annotations: { [moveAnnotation]: '' } });
    await to.step();
    assert.equal(
      to.resource?.metadata.annotations[identityAnnotation],
      from.resource?.metadata.annotations[identityAnnotation],
    );
    assert.ok((await to.settle()).isSettled, to.ready());
    assert.equal(to.images.size, 1);
    assert.deepEqual(marksOf(to), [[from.mark, 'target']]);
  });
});

describe('an image that existed before its resource', () => {
  const imported = imageOf({
    id: '6b1fd7a2-27a5-590a-a79f-a615feb2aec1',
    name: 'golden',
    properties: { os_distro: 'debian' },
  });
  const adopting = { import: { id: imported.id }, deletionPolicy: 'Retain', image: {} };

  async function adopted(): Promise<World> {
    const world = createWorld({ spec: adopting, cluster: 'source' });
    world.put(imported);
    assert.ok((await world.settle()).isSettled, world.message());
    assert.deepEqual(marksOf(world), [[world.mark, 'source']]);
    return world;
  }

  test('an adopted image is left alone by a target that inherits nothing, and taken over by one that inherits', async () => {
    const from = await adopted();
    const refused = createWorld(copyOf(from, { spec: adopting, cluster: 'target' }));
    await refused.step();
    assert.equal(refused.ready(), 'False NotAdoptable');
    assert.match(refused.message() ?? '', /mark of cluster "source".*was moved here.*--inherit-from/);
    assert.equal(refused.calls.writes, 0);
    const to = await settled(copyOf(from, { spec: adopting, cluster: 'target', inheritFrom: ['source'] }));
    assert.equal(to.status?.imageID, imported.id);
    assert.deepEqual(marksOf(to), [[from.mark, 'target']]);
  });

  test('an adopted image that is retained keeps the owner mark only, and the same resource adopts it again', async () => {
    const from = await adopted();
    const copy = copyOf(from, { spec: adopting, cluster: 'elsewhere', metadata: { finalizers: [] } });
    from.delete();
    await from.step();
    assert.equal(from.resource, undefined);
    assert.deepEqual(from.images.get(imported.id)?.properties, { os_distro: 'debian', [ownerProperty]: from.mark });
    const again = await settled(copy);
    assert.equal(again.status?.imageID, imported.id);
    assert.deepEqual(marksOf(again), [[from.mark, 'elsewhere']]);
  });
});

describe('a finalizer that another client removes', () => {
  test('a removed finalizer is not put back while the object may be moving, and nothing is changed in Glance meanwhile', async () => {
    const world = await source();
    const { writes } = world.calls;
    world.meddle(world.status?.imageID ?? '', { tags: ['changed'] });
    world.setMetadata({ finalizers: [] });
    for (let seconds = 0; seconds < 55; seconds += 5) {
      await world.step();
      await world.clock.advance(5_000);
    }
    assert.deepEqual(world.resource?.metadata.finalizers, []);
    assert.equal(world.calls.writes, writes);
  });

  test('a removed finalizer is put back after a minute, so that a later deletion deletes the image', async () => {
    const world = await source();
    await notDue(world);
    world.setMetadata({ finalizers: [] });
    const first = await world.step();
    assert.deepEqual(first, { kind: 'requeueAfter', afterMs: 60_000 });
    await world.clock.advance(60_000);
    await world.step();
    assert.deepEqual(world.resource?.metadata.finalizers, [finalizer]);
    world.delete();
    await world.settle();
    assert.equal(world.images.size, 0, world.message());
  });

  test('a removed finalizer is put back on a suspended object too', async () => {
    const world = await source();
    world.edit({ ...spec, suspend: true });
    await world.step();
    world.setMetadata({ finalizers: [] });
    await world.step();
    await world.clock.advance(60_000);
    await world.step();
    assert.deepEqual(world.resource?.metadata.finalizers, [finalizer]);
  });

  test('a removed finalizer is not put back on an object that clusterctl has annotated, whose status says so, until the annotation goes', async () => {
    const world = await source();
    const { annotations } = world.resource?.metadata ?? assert.fail();
    await strip(world);
    await world.clock.advance(600_000);
    await world.step();
    assert.equal(world.ready(), 'False BeingMoved');
    assert.deepEqual(world.resource?.metadata.finalizers, []);
    world.setMetadata({ annotations });
    assert.ok((await world.settle()).isSettled, world.ready());
    assert.deepEqual(world.resource?.metadata.finalizers, [finalizer]);
  });

  test('a finalizer that clusterctl removes is not put back either if the status is lost, and no image is created', async () => {
    const world = await source();
    const { writes } = world.calls;
    await strip(world);
    world.loseStatus();
    for (let minutes = 0; minutes < 5; minutes++) {
      await world.step();
      await world.clock.advance(60_000);
    }
    assert.deepEqual([world.resource?.metadata.finalizers, world.calls.writes], [[], writes]);
    assert.equal(world.ready(), 'False BeingMoved');
    world.delete();
    assert.deepEqual([world.resource, world.images.size], [undefined, 1]);
  });

  test('an object that a second run of clusterctl makes from a stripped one, without its identity, makes no second image', async () => {
    const from = await source();
    await strip(from);
    const to = createWorld(copyOf(from, { cluster: 'target', inheritFrom: ['source'] }));
    await to.step();
    assert.deepEqual([to.ready(), to.calls.writes, to.images.size], ['False BeingMoved', 0, 1]);
  });

  test('a finalizer that another client removes is not put back for a minute although the status is lost', async () => {
    const world = await source();
    const { writes } = world.calls;
    world.setMetadata({ finalizers: [] });
    world.loseStatus();
    for (let seconds = 0; seconds < 55; seconds += 5) {
      await world.step();
      await world.clock.advance(5_000);
    }
    assert.deepEqual([world.resource?.metadata.finalizers, world.calls.writes], [[], writes]);
    await world.clock.advance(10_000);
    assert.ok((await world.settle()).isSettled, world.ready());
    assert.deepEqual([world.resource?.metadata.finalizers, world.images.size], [[finalizer], 1]);
  });

  test('an identity that a tool drops from an object is written again', async () => {
    const world = await source();
    const { annotations } = world.resource?.metadata ?? assert.fail();
    await notDue(world);
    world.setMetadata({ annotations: {} });
    await world.step();
    assert.equal(world.resource?.metadata.annotations[identityAnnotation], annotations[identityAnnotation]);
  });
});

describe('a restored, copied or re-created object', () => {
  test('an object that is restored with its status takes its image over at once, and works on', async () => {
    const from = await source();
    const { status } = from;
    const to = createWorld(copyOf(from, { cluster: 'source', metadata: { finalizers: [] }, status }));
    await to.step();
    assert.deepEqual(to.resource?.metadata.finalizers, [finalizer]);
    assert.ok((await to.settle()).isSettled, to.ready());
    assert.equal(to.status?.imageID, from.status?.imageID);
    assert.equal(to.status?.operation?.['uid'], newUID);
    assert.equal(to.images.size, 1);
  });

  test('an object that is restored without its status takes its image over', async () => {
    const from = await source();
    const to = await settled(copyOf(from, { cluster: 'source' }));
    assert.equal(to.status?.imageID, from.status?.imageID);
    assert.equal(to.images.size, 1);
  });

  for (const other of [{ name: 'debian' }, { namespace: 'team-b' }]) {
    test(`a copy of the manifest with its annotation and another ${Object.keys(other)} gets an image of its own`, async () => {
      const from = await source();
      const copy = await settled(copyOf(from, { cluster: 'source', metadata: { finalizers: [], ...other } }));
      assert.notEqual(copy.status?.imageID, from.status?.imageID);
      assert.equal(copy.images.size, 2);
      copy.delete();
      await copy.step();
      assert.deepEqual([...copy.images.keys()], [from.status?.imageID]);
    });
  }

  test('an object of the same name that is created again without the annotation gets an image of its own', async () => {
    const from = await source();
    const again = await settled({ spec, glance: from, cluster: 'source', metadata: { uid: newUID } });
    assert.equal(again.status?.imageID, imageIDOf(newUID, 0));
    assert.deepEqual([...again.images.keys()], [imageIDOf(uid, 0), imageIDOf(newUID, 0)]);
  });

  test('a cluster that has another name now changes nothing, even if the status is lost, until it inherits from its old name', async () => {
    const before = await source();
    const renamed = createWorld(copyOf(before, { cluster: 'renamed', metadata: { uid } }));
    const images = structuredClone([...before.images]);
    for (let times = 0; times < 3; times++) {
      await renamed.step();
      await renamed.clock.advance(600_000);
    }
    assert.equal(renamed.ready(), 'False TakenOver');
    assert.equal(renamed.calls.writes, 0);
    assert.deepEqual([...renamed.images], images);
    const inherits = await settled(copyOf(before, { cluster: 'renamed', inheritFrom: ['source'], metadata: { uid } }));
    assert.equal(inherits.status?.imageID, before.status?.imageID);
    assert.deepEqual(marksOf(inherits), [[before.mark, 'renamed']]);
  });
});

describe('deletionPolicy Retain', () => {
  const retained = specOf('a', {}, { deletionPolicy: 'Retain' });

  test('the image loses the mark of the cluster, and an object of the same name and identity takes it back in any cluster', async () => {
    const from = await settled({ spec: retained, cluster: 'source' });
    const copy = copyOf(from, { cluster: 'elsewhere', metadata: { finalizers: [] } });
    from.delete();
    await from.step();
    assert.equal(from.resource, undefined);
    assert.deepEqual(marksOf(from), [[from.mark, undefined]]);
    const again = await settled(copy);
    assert.equal(again.status?.imageID, imageIDOf(uid, 0));
    assert.deepEqual(marksOf(again), [[from.mark, 'elsewhere']]);
    assert.equal(again.images.size, 1);
  });

  test('a retained image is not taken by an object without the identity', async () => {
    const from = await settled({ spec: retained, cluster: 'source' });
    from.delete();
    await from.step();
    const other = await settled({ spec, glance: from, cluster: 'source', metadata: { uid: newUID } });
    assert.equal(other.images.size, 2);
    assert.equal(other.images.get(imageIDOf(uid, 0))?.properties[clusterProperty], undefined);
  });
});

/** An image that was taken over, and whose content is edited while its resource moves between clusters. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterProperty } from '../../src/image/model/identity.ts';
import { moveAnnotation } from '../../src/image/reconcile/guard.ts';
import { contentWith, existing, id, importing } from './adopting.ts';
import { createWorld, type World } from './world.ts';

const newUID = '11111111-1111-4111-8111-111111111111';
const clustersOf = (world: World) => [...world.images.values()].map(({ properties }) => properties[clusterProperty]);

/** Ready with the data `a`, and then declared with other data, which no reconcile has seen. */
async function edited(): Promise<World> {
  const world = createWorld({ spec: importing(contentWith('a')), cluster: 'source' });
  world.put(existing());
  world.data.set(id, 'a');
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  world.edit(importing(contentWith('b')));
  return world;
}

test('an image with other data than declared is taken over at once by the target, so that the source makes no other one', async () => {
  const from = await edited();
  const { annotations, finalizers } = from.resource?.metadata ?? assert.fail();
  const to = createWorld({
    spec: importing(contentWith('b')),
    glance: from,
    cluster: 'target',
    inheritFrom: ['source'],
    metadata: { annotations, finalizers, uid: newUID },
  });
  await to.step();
  assert.deepEqual(clustersOf(to)[0], 'target');
  await from.step();
  assert.equal(from.ready(), 'False TakenOver');
  from.setMetadata({ annotations: { [moveAnnotation]: '' }, finalizers: [] });
  from.delete();
  await from.step();
  await to.settle(20);
  assert.equal(to.ready(), 'True Ready');
  assert.equal(to.data.get(to.status?.imageID ?? ''), 'b');
  assert.ok(clustersOf(to).every((cluster) => cluster === 'target'));
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ownerProperty } from '../../src/image/model/identity.ts';
import { adopting, contentWith, existing, held, id, identity, importing, unmarked } from './adopting.ts';
import { projectID } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { sha256 } from './world-glance.ts';

describe('the mark of an image that is taken over', () => {
  const remove = (world: World) => {
    const { [ownerProperty]: _, ...properties } = held(world).properties;
    world.meddle(id, { properties });
  };

  test('a mark that was removed is restored at most three times an hour', async () => {
    const world = adopting();
    await world.settle();
    for (let time = 0; time < 3; time++) {
      remove(world);
      world.edit(importing());
      await world.settle();
      assert.equal(held(world).properties[ownerProperty], identity.owner);
    }
    remove(world);
    world.edit(importing());
    await world.step();
    assert.equal(world.ready(), 'False MarkContested');
  });

  test('a mark of another owner makes the image foreign, and it is not deleted', async () => {
    const world = adopting();
    await world.settle();
    world.meddle(id, { properties: { ...held(world).properties, [ownerProperty]: 'demo/other/0' } });
    world.edit(importing());
    await world.step();
    assert.equal(world.ready(), 'False TakenOver');
    world.delete();
    await world.step();
    assert.ok(world.images.has(id));
  });

  test('an image whose mark was removed is still deleted with its resource', async () => {
    const world = adopting();
    await world.settle();
    remove(world);
    world.delete();
    await world.step();
    assert.deepEqual([world.images.size, world.resource], [0, undefined]);
  });
});

describe('the end of a resource that has taken an image over', () => {
  test('deletionPolicy Delete deletes the image, although it is protected', async () => {
    const world = adopting();
    await world.settle();
    world.delete();
    await world.step();
    assert.deepEqual([world.images.size, world.resource], [0, undefined]);
  });

  test('deletionPolicy Retain keeps the image', async () => {
    const world = adopting(importing({ deletionPolicy: 'Retain' }));
    await world.settle();
    world.delete();
    await world.step();
    assert.ok(world.images.has(id));
    assert.equal(world.resource, undefined);
  });

  test('a lost status costs no second image and no change', async () => {
    const world = adopting(importing(contentWith('a')));
    await world.settle();
    const before = unmarked(held(world));
    world.loseStatus();
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    assert.deepEqual(unmarked(held(world)), before);
    assert.equal(world.images.size, 1);
  });

  test('an observed image is taken over when its policy becomes Manage', async () => {
    const world = adopting({ managementPolicy: 'Observe', import: { id } });
    await world.settle();
    assert.deepEqual([world.ready(), world.calls.writes], ['True NotCompared', 0]);
    world.edit(importing());
    await world.settle();
    assert.equal(held(world).properties[ownerProperty], identity.owner);
    assert.equal(world.status?.revisions?.[0]?.imageID, id);
  });

  test('an image that cannot be taken over is not shown as the one that was observed before', async () => {
    const next = '5d8f3a52-0000-4000-8000-000000000002';
    const world = adopting({ managementPolicy: 'Observe', import: { id } });
    await world.settle();
    world.put(existing({ id: next, name: 'next', properties: { [ownerProperty]: 'demo/other/0' } }));
    world.edit(importing({ import: { id: next } }));
    await world.settle(3);
    assert.equal(world.ready(), 'False NotAdoptable');
    assert.deepEqual([world.status?.imageID, world.status?.image], [undefined, undefined]);
  });

  test('data that cannot be compared with the declared digest is reported, and the image is left as it is', async () => {
    const world = adopting(
      importing({ ...contentWith('b'), content: { http: { url: 'https://example.com/b.xz', digest: sha256('b') } } }),
    );
    await world.settle(6);
    assert.equal(world.ready(), 'False NotVerifiable');
    assert.deepEqual([...world.images.values()], [existing()]);
  });

  test('a crash or a lost response at each write leads to the same image', async () => {
    const spec = importing({ ...contentWith('a'), image: { diskFormat: 'raw', tags: ['c'] } });
    const undisturbed = adopting(spec);
    await undisturbed.settle();
    for (const fate of ['crash-before', 'crash-after', 'lost', 'refused'] as const)
      for (let at = 0; at < 8; at++) {
        const world = adopting(spec);
        let count = 0;
        world.decide(() => (count++ === at ? fate : 'ok'));
        const { isSettled } = await world.settle();
        assert.ok(isSettled, `${fate} at ${at}`);
        assert.deepEqual(held(world), { ...held(undisturbed), updatedAt: held(world).updatedAt }, `${fate} at ${at}`);
        assert.equal(world.images.size, 1);
      }
  });
});

test('an image of the own project is not taken over by a resource that does not import it', async () => {
  const world = createWorld({ spec: {} });
  world.put(existing({ owner: projectID }));
  await world.settle();
  assert.deepEqual(world.images.get(id), existing());
});

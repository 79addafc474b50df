/** A request to create an image that Glance gets after its sender has ended: no image may be left when the resource is gone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adopting, contentWith, importing } from './adopting.ts';
import { createWorld, type World } from './world.ts';
import { type Fate, specOf } from './world-glance.ts';

const cases: readonly (readonly [mishap: string, which: string, Fate, nth: 1 | 2])[] = [
  ['the operator was killed', 'its first image', 'crash-late', 1],
  ['the operator was killed', 'its second image', 'crash-late', 2],
  ['the reconcile was too slow', 'its first image', 'timeout-late', 1],
  ['the reconcile was too slow', 'its second image', 'timeout-late', 2],
];

const policies = [
  ['Delete', 'leaves no image', []],
  ['Retain', 'leaves no image without data', ['active']],
] as const;

/** Before the operator believes that the image is absent, and long after that. */
const lates = [3_000, 50_000];

for (const [[deletionPolicy, leaves, left], [mishap, which, late, nth], lateMs] of policies.flatMap((policy) =>
  cases.flatMap((one) => lates.map((ms) => [policy, one, ms] as const)),
))
  test(`a resource with deletionPolicy ${deletionPolicy} that is deleted while ${which} is being created, which takes ${lateMs / 1000} s, ${leaves}, although ${mishap}`, async () => {
    const world = createWorld({ spec: specOf('a', {}, { deletionPolicy }), lateMs });
    // Longer than a request is on its way, so that only this one can be.
    await world.clock.advance(60_000);
    let creations = 0;
    world.decide(({ op }) => (op === 'create' && ++creations === nth ? late : 'ok'));
    if (nth === 2) {
      await world.settle();
      world.edit(specOf('b', {}, { deletionPolicy }));
    }
    for (let steps = 0; steps < 10 && creations < nth; steps++) {
      await world.step();
      await world.clock.advance(0);
    }
    assert.equal(creations, nth);
    world.delete();
    await world.settle();
    await world.clock.advance(60_000);
    assert.equal(world.resource, undefined, 'the resource is still there');
    const statuses = [...world.images.values()].map(({ status }) => status);
    assert.deepEqual(statuses, nth === 2 ? left : []);
  });

for (const [late, lateMs] of (['crash-late', 'timeout-late'] as const).flatMap((fate) =>
  lates.map((ms) => [fate, ms] as const),
))
  test(`a second image whose creation is not needed any more is not left behind when that takes ${lateMs / 1000} s (${late})`, async () => {
    const world = createWorld({ spec: specOf('a'), lateMs });
    await world.settle();
    await world.clock.advance(60_000);
    let isSent = false;
    world.decide(({ op }) => {
      if (op !== 'create' || isSent) return 'ok';
      isSent = true;
      return late;
    });
    world.edit(specOf('b'));
    while (!isSent) await world.step();
    world.edit(specOf('a'));
    await world.settle();
    await world.clock.advance(60_000);
    assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
  });

/** Its content differs from that of the image that it took over, and of that from another cluster. */
const others: readonly (readonly [what: string, setUp: () => Promise<World>])[] = [
  [
    'took over an image',
    async () => {
      const world = adopting(importing(contentWith('a')));
      await world.settle();
      world.edit(importing(contentWith('b')));
      return world;
    },
  ],
  [
    'was moved here with its image',
    async () => {
      const source = createWorld({ spec: specOf('a'), cluster: 'source' });
      await source.settle();
      const { annotations, finalizers } = source.resource?.metadata ?? assert.fail();
      const metadata = { annotations, finalizers, uid: '11111111-1111-4111-8111-111111111111' };
      const inheritFrom = ['source'];
      const world = createWorld({ spec: specOf('a'), glance: source, inheritFrom, metadata, lateMs: 50_000 });
      await world.settle();
      world.edit(specOf('b'));
      return world;
    },
  ],
];

for (const [what, setUp] of others)
  for (const late of ['crash-late', 'timeout-late'] as const)
    for (const end of ['is deleted', 'becomes Ready'] as const)
      test(`no other image is left of a resource that ${what} and ${end} while its next image is being created (${late})`, async () => {
        const world = await setUp();
        await world.clock.advance(60_000);
        const sent = new Set<string>();
        world.decide(({ op, id = '' }) => {
          if (op !== 'create') return 'ok';
          const isFirst = sent.size === 0;
          sent.add(id);
          return isFirst ? late : 'ok';
        });
        for (let steps = 0; steps < 10 && sent.size === 0; steps++) {
          await world.step();
          await world.clock.advance(0);
        }
        assert.equal(sent.size, 1);
        if (end === 'is deleted') world.delete();
        await world.settle();
        await world.clock.advance(60_000);
        const statuses = [...world.images.values()].map(({ status }) => status);
        if (end === 'is deleted') return assert.deepEqual(statuses, []);
        assert.equal(sent.size, 1, 'it has created another image than that which was requested');
        assert.deepEqual([world.ready(), statuses], ['True Ready', ['active', 'active']]);
      });

/** A request to create an image that Glance gets after its sender has ended: no image may be left when the resource is gone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorld } from './world.ts';
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

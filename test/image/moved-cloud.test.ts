/** Credentials that lead to another cloud while the first image is being filled: it must not be forgotten where it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { projectID } from './resource.ts';
import { createWorld } from './world.ts';
import { specOf } from './world-glance.ts';

const endpoint = 'https://glance.two.example.com';

/** A world whose first image is being filled for this time, and then all credentials lead to another cloud. */
async function moving(filledMs: number, to: { endpoint: string; projectID: string }) {
  const world = createWorld({ spec: specOf('a') });
  const other = createWorld({ spec: specOf('a') });
  await world.clock.advance(60_000);
  world.hold();
  await world.step();
  await world.clock.advance(filledMs);
  await world.step();
  const address = new URL(to.endpoint).origin;
  const images = other.cloud.images;
  Object.assign(world.cloud, { images, address, projectID: to.projectID, place: to });
  return { world, other };
}

const elsewhere = { endpoint, projectID };
const inRegion = { ...specOf('a'), cloud: { secretRef: { name: 'openstack' }, name: 'demo', region: 'two' } };

for (const [when, filledMs] of [
  ['before the first status', 500],
  ['after the first status', 5_000],
] as const)
  for (const [what, to] of [
    ['cloud', elsewhere],
    ['project', { endpoint: 'https://glance.example.com', projectID: 'f'.repeat(32) }],
  ] as const) {
    test(`an edit that leads to another ${what} ${when} creates no second image, and says where the first is`, async () => {
      const { world, other } = await moving(filledMs, to);
      world.edit(inRegion);
      for (let steps = 0; steps < 4; steps++) {
        await world.step();
        await world.clock.advance(6_000);
      }
      assert.deepEqual([world.ready(), world.images.size, other.images.size], ['False CloudChanged', 1, 0]);
    });

    test(`a Secret that leads to another ${what} ${when} is reported, and the image is not sought there`, async () => {
      const { world, other } = await moving(filledMs, to);
      await world.release();
      for (let steps = 0; steps < 4; steps++) {
        await world.step();
        await world.clock.advance(6_000);
      }
      assert.deepEqual([world.ready(), world.images.size, other.images.size], ['False CloudChanged', 1, 0]);
    });
  }

for (const [what, change] of [
  ['deleted', undefined],
  ['suspended', { suspend: true }],
] as const)
  test(`a resource that is ${what} right after another cloud was declared does not forget its first image`, async () => {
    const { world, other } = await moving(500, elsewhere);
    world.edit({ ...inRegion, ...change });
    if (change === undefined) world.delete();
    for (let steps = 0; steps < 4; steps++) {
      await world.step();
      await world.clock.advance(6_000);
    }
    if (change !== undefined) world.edit(inRegion);
    await world.step();
    assert.deepEqual([world.ready(), world.images.size, other.images.size], ['False CloudChanged', 1, 0]);
  });

/** Images that are taken over, whose content is left to a publisher: a file of the publisher is no declaration. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { ImageNotFound } from '../../src/glance/errors.ts';
import { contentProperty, markProperties, ownerProperty } from '../../src/image/model/identity.ts';
import { adopting, contentWith, existing, held, id, importing } from './adopting.ts';
import { publishersOf } from './following.ts';
import { createWorld, type World } from './world.ts';
import { sha256 } from './world-glance.ts';

const url = 'https://one.example.com/disk.raw';
const list = 'https://one.example.com/SHA256SUMS';
const otherList = 'https://two.example.com/SHA256SUMS';

const specOf = (update: boolean, from = list) => ({
  import: { id },
  deletionPolicy: 'Retain',
  image: { diskFormat: 'raw' },
  revisions: { keep: 0 },
  content: {
    http: { url, digestFrom: { checksums: { url: from } }, digestOf: 'Image' },
    ...(update ? { update: { interval: '24h' } } : {}),
  },
});

/** The image has the data `a`, and the list names that of `first`. */
function taken(first: string, update: boolean) {
  const publishers = publishersOf({ [list]: first, [otherList]: 'd' }, url);
  const world = createWorld({ spec: specOf(update), following: publishers.following });
  world.put(existing());
  world.data.set(id, 'a');
  return { world, publishers };
}

/** As an annotation that asks for a check, which reads the list again. */
async function checked(world: World, at: string): Promise<void> {
  const { annotations } = world.resource?.metadata ?? assert.fail();
  world.setMetadata({ annotations: { ...annotations, [reconcileAtAnnotation]: at } });
  await world.settle(12);
}

async function reached(world: World, ready: string): Promise<void> {
  for (let steps = 0; steps < 12 && world.ready() !== ready; steps++) await world.settle(1);
  assert.equal(world.ready(), ready);
}

/** As they are without the marks. */
function rest(world: World): unknown {
  const { updatedAt: _, properties, ...image } = held(world);
  return { image, properties: Object.entries(properties).filter(([key]) => !markProperties.includes(key)) };
}

for (const update of [false, true]) {
  const what = update ? 'a publisher that is followed' : 'a publisher';

  test(`an image with other data than that of ${what} is left as it is, whatever file the publisher has later`, async () => {
    const { world, publishers } = taken('b', update);
    await world.settle(8);
    const before = rest(world);
    for (const data of ['c', 'd']) {
      publishers.publish(list, data);
      await checked(world, data);
      assert.equal(world.ready(), 'False ContentDiffers');
      assert.deepEqual([world.images.size, rest(world)], [1, before]);
    }
    // What it has is published again.
    publishers.publish(list, 'a');
    await checked(world, 'a');
    assert.deepEqual([world.ready(), world.status?.imageID, world.images.size], ['True Ready', id, 1]);
  });

  test(`another list that is declared after ${what} with other data makes a new image`, async () => {
    const { world } = taken('b', update);
    await world.settle(8);
    assert.equal(world.ready(), 'False ContentDiffers');
    world.edit(specOf(update, otherList));
    await world.settle(20);
    assert.equal(world.ready(), 'True Ready');
    assert.equal(world.data.get(world.status?.imageID ?? ''), 'd');
  });
}

test('an image whose data cannot be read is left as it is, whatever file its publisher has later', async () => {
  const { world, publishers } = taken('b', true);
  world.forbidReading(true);
  await reached(world, 'False NotVerifiable');
  publishers.publish(list, 'a');
  await checked(world, 'a');
  await reached(world, 'False NotVerifiable');
  assert.equal(world.status?.source?.digest, sha256('a'));
  assert.deepEqual([...world.images.keys()], [id]);
  world.forbidReading(false);
  await checked(world, 'again');
  assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', id]);
});

test('an image that had the data of its publisher is replaced by the newer file, and again by the one after that', async () => {
  const { world, publishers } = taken('a', true);
  await world.settle(8);
  assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', id]);
  for (const data of ['b', 'c']) {
    publishers.publish(list, data);
    await checked(world, data);
    assert.equal(world.ready(), 'True Ready');
    assert.equal(world.data.get(world.status?.imageID ?? ''), data);
  }
});

describe('an image that was taken over and does not exist any more', () => {
  const replacements = (world: World) => world.events.filter((event) => event === 'Warning Replaced').length;

  test('an image that was taken over and is gone is reported as replaced once while the image of a newer file is filled', async () => {
    const { world, publishers } = taken('a', true);
    await world.settle(8);
    world.hold();
    publishers.publish(list, 'b');
    await checked(world, 'b');
    assert.deepEqual([world.isTransferring(), world.status?.imageID], [true, id]);
    world.foreignDelete(id);
    for (let checks = 0; checks < 3; checks++) {
      await world.clock.advance(600_000);
      await world.step();
    }
    assert.deepEqual([replacements(world), world.status?.imageID], [1, undefined]);
    await world.release();
    await world.settle(12);
    assert.deepEqual([replacements(world), world.ready(), world.images.size], [1, 'True Ready', 1]);
  });

  test('an image that was taken over and is gone is reported as replaced once when content that was declared since has its image', async () => {
    const world = adopting(importing(contentWith('a')));
    await world.settle(6);
    world.hold();
    world.edit(importing(contentWith('b')));
    await world.settle(8);
    assert.deepEqual([world.isTransferring(), world.status?.imageID], [true, id]);
    world.foreignDelete(id);
    await world.release();
    await world.settle(20);
    assert.deepEqual([replacements(world), world.ready(), world.images.size], [1, 'True Ready', 1]);
  });

  test('an image that was taken over and is gone is not reported as replaced if nothing takes its place, also where a change of it shows that', async () => {
    const world = adopting();
    await world.settle();
    world.edit(importing({ image: { tags: ['x'] } }));
    world.decide(({ op }) => {
      if (op !== 'patch') return 'ok';
      world.images.delete(id);
      return new ImageNotFound('it does not exist', { httpStatus: 404 });
    });
    for (let steps = 0; steps < 4 && world.ready() !== 'False ImportVanished'; steps++) await world.settle(1);
    assert.deepEqual([replacements(world), world.ready()], [0, 'False ImportVanished']);
    assert.ok(world.events.includes('Warning ImportVanished'));
  });
});

test('the mark of the content of an earlier resource does not make the first declared content a new one', async () => {
  const stale = { [contentProperty]: 'v1;sha256:00;Image;Auto;raw;bare' };
  const world = adopting(importing(), existing({ properties: stale }));
  await world.settle();
  assert.equal(world.ready(), 'True NotCompared');
  world.edit(importing(contentWith('b')));
  await world.settle(6);
  assert.equal(world.ready(), 'False ContentDiffers');
  assert.deepEqual([...world.images.keys()], [id]);
  assert.ok(held(world).properties[ownerProperty] !== undefined);
});

test('content that is declared again after the image had another one makes a new image', async () => {
  const world = adopting(importing(contentWith('b')));
  await world.settle(6);
  assert.equal(world.ready(), 'False ContentDiffers');
  for (const data of ['a', 'b']) {
    world.edit(importing(contentWith(data)));
    await world.settle(20);
    assert.equal(world.ready(), 'True Ready', data);
    assert.equal(world.data.get(world.status?.imageID ?? ''), data);
  }
});

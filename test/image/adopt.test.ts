import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import { clusterProperty, contentProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { adopting, contentWith, existing, held, id, importing, marks, unmarked } from './adopting.ts';
import { uid } from './resource.ts';
import { sha256, sha512 } from './world-glance.ts';

const first = imageIDOf(uid, 0).slice(0, 4);

describe('an image that is taken over', () => {
  test('import alone changes exactly the mark, in one write, and nothing after ten drift checks and a forced one', async () => {
    const world = adopting();
    const before = unmarked(held(world));
    await world.settle();
    assert.equal(world.ready(), 'True NotCompared');
    assert.equal(world.status?.imageID, id);
    assert.deepEqual(unmarked(held(world)), before);
    assert.deepEqual(Object.fromEntries(Object.entries(held(world).properties).filter(([key]) => key in marks)), marks);
    assert.deepEqual(
      world.log.filter((line) => line.startsWith('glance') || line.startsWith('patch')).length <= 1,
      true,
    );
    const { writes, statuses } = world.calls;
    for (let check = 0; check < 10; check++) {
      await world.clock.advance(11 * 60_000);
      await world.step();
    }
    assert.deepEqual([world.calls.writes, world.calls.statuses], [writes, statuses]);
    world.edit(importing());
    await world.settle();
    assert.deepEqual(unmarked(held(world)), before);
  });

  test('only what is declared is changed, and properties are merged', async () => {
    const world = adopting(importing({ image: { minRAMMiB: 512, properties: { os_version: '12' } } }));
    await world.settle();
    const image = held(world);
    assert.equal(image.minRAMMiB, 512);
    const { minRAMMiB: _, properties: __, updatedAt: ___, ...rest } = image;
    const { minRAMMiB: ____, properties, updatedAt: _____, ...before } = existing();
    assert.deepEqual(rest, before);
    assert.deepEqual(image.properties, { ...properties, os_version: '12', ...marks });
    world.edit(importing());
    await world.settle();
    assert.deepEqual(held(world).properties, { ...properties, ...marks }, 'a key that was declared is removed');
  });

  test('with propertyPolicy Purge, properties that are not declared are removed', async () => {
    const world = adopting(importing({ propertyPolicy: 'Purge' }));
    await world.settle();
    assert.deepEqual(held(world).properties, marks);
  });

  const foreign: [what: string, fields: Partial<Image>][] = [
    ['of another project', { owner: 'b'.repeat(32) }],
    ['without an owner', { owner: null }],
    ['with the mark of another resource', { properties: { [ownerProperty]: 'demo/other/0' } }],
    ['with the mark of another cluster', { properties: { ...marks, [clusterProperty]: 'other' } }],
  ];
  for (const [what, fields] of foreign)
    test(`an image ${what} is rejected before any write, and not deleted with the resource`, async () => {
      const world = adopting(importing(), existing(fields));
      for (let round = 0; round < 3; round++) await world.step();
      assert.equal(world.ready(), 'False NotAdoptable');
      assert.doesNotMatch(world.message() ?? '', /null|undefined/);
      world.delete();
      await world.step();
      assert.deepEqual(world.images.get(id), existing(fields));
      assert.deepEqual([world.calls.writes, world.resource], [0, undefined]);
    });

  test('more properties than fit are rejected before any write, and as many as fit are not', async () => {
    const properties = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, 'x']));
    const full = adopting(importing(), existing({ properties: properties(123) }));
    await full.step();
    assert.deepEqual([full.ready(), full.calls.writes], ['False TooManyProperties', 0]);
    const declared = importing({ image: { properties: { one_more: 'x' } } });
    const declaring = adopting(declared, existing({ properties: properties(122) }));
    await declaring.step();
    assert.deepEqual([declaring.ready(), declaring.calls.writes], ['False TooManyProperties', 0]);
    // Every object inherits something of that name.
    const named = importing({ image: { properties: { constructor: 'x' } } });
    const naming = adopting(named, existing({ properties: { ...properties(122), ...marks } }));
    await naming.step();
    assert.deepEqual([naming.ready(), naming.calls.writes], ['False TooManyProperties', 0]);
    const fitting = adopting(importing(), existing({ properties: properties(122) }));
    await fitting.settle();
    assert.equal(fitting.ready(), 'True NotCompared');
    const purging = adopting(importing({ propertyPolicy: 'Purge' }), existing({ properties: properties(126) }));
    await purging.settle();
    assert.equal(purging.ready(), 'True NotCompared');
  });

  test('an ID that Glance does not know is not found, and no image is created', async () => {
    const world = adopting(importing(contentWith('a')), 'none');
    for (let round = 0; round < 3; round++) await world.step();
    assert.equal(world.ready(), 'False ImportNotFound');
    assert.equal(world.images.size, 0);
    world.put(existing());
    world.data.set(id, 'a');
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
  });

  test('an image that vanished is not created again, and one whose absence was false is found', async () => {
    const world = adopting();
    await world.settle();
    const image = held(world);
    world.foreignDelete(id);
    for (let round = 0; round < 4; round++) {
      world.edit(importing());
      await world.step();
    }
    assert.equal(world.ready(), 'False ImportVanished');
    assert.equal(world.status?.imageID, undefined);
    assert.equal(world.images.size, 0);
    assert.ok(!world.events.includes('Warning Replaced'));
    world.put(image);
    await world.clock.advance(20 * 60_000);
    await world.settle();
    assert.equal(world.ready(), 'True NotCompared');
  });

  test('a wrong format is reported, because Glance changes none', async () => {
    const world = adopting(importing({ image: { diskFormat: 'qcow2' } }));
    await world.step();
    assert.deepEqual([world.ready(), world.calls.writes], ['False ContentDiffers', 0]);
  });

  test('an image without data is waited for, and taken over once it has data', async () => {
    const world = adopting(importing(), existing({ status: 'queued', size: null, checksum: null, hash: null }));
    await world.step();
    assert.deepEqual([world.ready(), world.status?.imageID], ['False WaitingForGlance', undefined]);
    assert.equal(world.calls.writes, 0);
    world.put(existing());
    await world.settle();
    assert.deepEqual([world.ready(), world.status?.imageID], ['True NotCompared', id]);
  });

  test('an image without data is filled with the declared content', async () => {
    const world = adopting(
      importing(contentWith('a')),
      existing({ status: 'queued', size: null, checksum: null, hash: null }),
    );
    await world.settle();
    assert.deepEqual([world.ready(), world.status?.imageID, world.images.size], ['True Ready', id, 1]);
    assert.equal(world.data.get(id), 'a');
  });

  test('a deactivated image is reported and left', async () => {
    const world = adopting(importing(), existing({ status: 'deactivated' }));
    await world.settle(4);
    assert.equal(world.ready(), 'False Deactivated');
    assert.equal(world.images.size, 1);
  });
});

describe('declared content of an image that is taken over', () => {
  test('content whose digest Glance reports is compared without a download', async () => {
    const digest = `sha512:${sha512('a')}`;
    const spec = importing({
      content: { http: { url: 'https://example.com/a', digest } },
      image: { diskFormat: 'raw' },
    });
    const world = adopting(spec);
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    assert.ok(typeof held(world).properties[contentProperty] === 'string');
  });

  test('content that Glance cannot compare is read back before anything is written', async () => {
    const world = adopting(importing(contentWith('a')));
    world.hold();
    await world.step();
    await world.clock.advance(0);
    assert.equal(world.ready(), 'False Verifying');
    assert.deepEqual(held(world), existing());
    await world.release();
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    assert.ok(typeof held(world).properties[contentProperty] === 'string');
  });

  test('an image with the fingerprint of another digest is read back before it is called different', async () => {
    const mark = `v1;${sha256('a, compressed')};Served;Auto;raw;bare`;
    const earlier = existing({ properties: { [contentProperty]: mark } });
    const same = adopting(importing(contentWith('a')), earlier);
    await same.settle();
    assert.deepEqual([same.ready(), same.images.size], ['True Ready', 1]);
    const other = adopting(importing(contentWith('b')), earlier);
    other.hold();
    await other.step();
    await other.clock.advance(0);
    assert.equal(other.ready(), 'False Verifying');
    await other.release();
    await other.step();
    assert.equal(other.ready(), 'False ContentDiffers');
    assert.deepEqual([...other.images.values()], [earlier]);
  });

  test('wrong content is reported, and the image is neither changed, replaced nor deleted', async () => {
    const world = adopting(importing(contentWith('b')));
    for (let round = 0; round < 6; round++) {
      await world.step();
      await world.clock.advance(61 * 60_000);
    }
    assert.equal(world.ready(), 'False ContentDiffers');
    assert.deepEqual([...world.images.values()], [existing()]);
    assert.equal(world.status?.imageID, undefined);
    world.delete();
    await world.step();
    assert.deepEqual([...world.images.values()], [existing()], 'it was never taken over');
    assert.equal(world.resource, undefined);
  });

  test('content that is declared later is compared first, and another content after that makes a new image', async () => {
    const world = adopting();
    await world.settle();
    world.edit(importing(contentWith('b')));
    await world.settle(6);
    assert.equal(world.ready(), 'False ContentDiffers');
    assert.equal(world.images.size, 1);
    world.edit(importing(contentWith('c')));
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    const current = world.images.get(world.status?.imageID ?? '');
    assert.ok(current);
    assert.equal(current.id.slice(0, 4), first);
    assert.equal(world.data.get(current.id), 'c');
    const { name, visibility, protected: isProtected, hidden, minDiskGiB, tags, properties } = current;
    const before = existing();
    assert.deepEqual(
      { name, visibility, isProtected, hidden, minDiskGiB, tags },
      {
        name: before.name,
        visibility: before.visibility,
        isProtected: before.protected,
        hidden: before.hidden,
        minDiskGiB: before.minDiskGiB,
        tags: ['a', 'b'],
      },
    );
    assert.equal(properties['os_distro'], 'debian');
    assert.deepEqual(properties['mappings'], before.properties['mappings']);
  });

  test('content that was right and is changed makes a new image, which takes the name that the one before had', async () => {
    const world = adopting(importing(contentWith('a')));
    await world.settle();
    world.edit(importing(contentWith('b')));
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    const current = world.images.get(world.status?.imageID ?? '');
    assert.deepEqual([current?.name, world.data.get(current?.id ?? '')], ['golden', 'b']);
  });
});

test('the content of an image that was taken over, declared again, makes that image the one to use, under its name and with its tags', async () => {
  const world = adopting(importing(contentWith('a')));
  await world.settle();
  world.edit(importing(contentWith('b')));
  await world.settle();
  const replacement = world.status?.imageID;
  assert.notEqual(replacement, id);
  world.edit(importing(contentWith('a')));
  await world.settle();
  assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', id]);
  const { name, tags, hidden, visibility } = held(world);
  assert.deepEqual(
    { name, tags, hidden, visibility },
    { name: 'golden', tags: ['a', 'b'], hidden: false, visibility: 'shared' },
  );
});

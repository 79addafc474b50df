/** An image that is taken over, in states that other clients, administrators and losses bring about. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import { imageOf, projectID } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { sha256, sha512 } from './world-glance.ts';

const id = '5d8f3a52-0000-4000-8000-000000000001';

function existing(fields: Partial<Image> = {}): Image {
  return imageOf({
    id,
    name: 'golden',
    tags: ['a'],
    size: 1,
    hash: { algorithm: 'sha512', value: sha512('a') },
    properties: { os_distro: 'debian' },
    ...fields,
  });
}

const importing = (fields: Record<string, unknown> = {}) => ({ import: { id }, deletionPolicy: 'Delete', ...fields });
const contentWith = (text: string, image: Record<string, unknown> = {}) => ({
  content: { http: { url: 'https://example.com/image.raw', digest: sha256(text), digestOf: 'Image' } },
  image: { diskFormat: 'raw', ...image },
});

function adopting(spec: Record<string, unknown>, image: Image = existing()): World {
  const world = createWorld({ spec });
  world.put(image);
  world.data.set(image.id, 'a');
  return world;
}

const held = (world: World) => {
  const image = world.images.get(id);
  assert.ok(image);
  return image;
};

test('an image that is deactivated before its content was compared is not reported as different, and is not replaced by an edit of content', async () => {
  const world = adopting(importing(contentWith('b')), existing({ status: 'deactivated' }));
  await world.step();
  assert.equal(world.ready(), 'False Deactivated');
  world.edit(importing(contentWith('a')));
  await world.settle(6);
  assert.deepEqual([world.ready(), world.images.size], ['False Deactivated', 1]);
  world.meddle(id, { status: 'active' });
  await world.clock.advance(61 * 60_000);
  await world.settle(6);
  assert.deepEqual([world.ready(), world.images.size, world.status?.imageID], ['True Ready', 1, id]);
});

test('an image to which another client uploads is waited for, and is not replaced by an edit of content', async () => {
  const world = adopting(
    importing(contentWith('b')),
    existing({ status: 'saving', size: null, checksum: null, hash: null }),
  );
  await world.step();
  assert.equal(world.ready(), 'False WaitingForGlance');
  world.edit(importing(contentWith('a')));
  await world.settle(6);
  assert.deepEqual([world.images.size, world.calls.writes], [1, 0]);
  world.put(existing());
  await world.clock.advance(61 * 60_000);
  await world.settle(6);
  assert.deepEqual([world.ready(), world.images.size, world.status?.imageID], ['True Ready', 1, id]);
});

test('an image whose owner is not declared any more stays with its project', async () => {
  const other = 'b'.repeat(32);
  const world = adopting(importing({ image: { owner: other } }), existing({ owner: other }));
  world.ours.add(other);
  await world.settle();
  assert.equal(world.ready(), 'True NotCompared');
  world.edit(importing());
  await world.settle();
  for (let check = 0; check < 3; check++) {
    assert.deepEqual([world.ready(), held(world).owner], ['True NotCompared', other]);
    world.edit(importing());
    await world.settle();
  }
});

test('an image that replaces a vanished revision looks like the image that was taken over, and not like one that was replaced', async () => {
  const world = adopting(importing(contentWith('a')));
  await world.settle();
  world.edit(importing(contentWith('b')));
  await world.settle();
  const second = world.status?.imageID ?? '';
  assert.notEqual(second, id);
  world.foreignDelete(second);
  world.edit(importing(contentWith('b')));
  await world.settle();
  const current = world.images.get(world.status?.imageID ?? '');
  assert.equal(world.ready(), 'True Ready');
  assert.deepEqual(
    [current?.name, current?.hidden, current?.tags, world.data.get(current?.id ?? '')],
    ['golden', false, ['a'], 'b'],
  );
});

test('a right to download that was missing is used once it is there', async () => {
  const world = adopting(importing(contentWith('a')));
  world.forbidReading(true);
  await world.settle(6);
  assert.deepEqual([world.ready(), world.images.size], ['False NotVerifiable', 1]);
  world.forbidReading(false);
  await world.clock.advance(61 * 60_000);
  await world.settle(6);
  assert.deepEqual([world.ready(), world.images.size], ['True Ready', 1]);
});

test('a status that is lost right after content was edited costs neither the edit nor the image', async () => {
  const world = adopting(importing(contentWith('a')));
  await world.settle();
  world.edit(importing(contentWith('b')));
  world.loseStatus();
  await world.settle();
  assert.deepEqual([world.ready(), world.images.size], ['True Ready', 2]);
  assert.equal(world.data.get(world.status?.imageID ?? ''), 'b');
});

const shown = (world: World) => {
  const current = world.images.get(world.status?.imageID ?? '');
  return [current?.name, current?.hidden, current?.tags, world.data.get(current?.id ?? ''), world.images.size];
};

test('a status that is lost after any write of a roll changes neither the record nor the number of images', async () => {
  for (let at = 0; at < 14; at++) {
    const world = adopting(importing(contentWith('a')));
    await world.settle();
    world.edit(importing(contentWith('b')));
    let writes = 0;
    world.watch(() => {
      writes++;
      if (writes === at) world.loseStatus();
    });
    await world.settle();
    world.loseStatus();
    await world.settle();
    assert.deepEqual([world.ready(), ...shown(world)], ['True Ready', 'golden', false, ['a'], 'b', 2], `write ${at}`);
  }
});

test('the way back to the image that was taken over gives it its name and tags again, also after a lost status', async () => {
  for (const isLost of [false, true]) {
    const world = adopting(importing(contentWith('a')));
    await world.settle();
    for (const text of ['b', 'a', 'b', 'a']) {
      world.edit(importing(contentWith(text)));
      if (isLost) world.loseStatus();
      await world.settle();
      assert.deepEqual([world.ready(), ...shown(world)], ['True Ready', 'golden', false, ['a'], text, 2]);
    }
    assert.equal(world.status?.imageID, id);
  }
});

test('of two resources that take over one image at once, one has it, and neither deletes it for the other', async () => {
  const world = adopting(importing());
  const other = { metadata: { name: 'other', uid: '00000000-0000-4000-8000-0000000000ff' } };
  const second = createWorld({ spec: importing(), ...other, glance: world });
  await Promise.all([world.step(), second.step()]);
  await world.step();
  await second.step();
  const owner = held(world).properties['glance_image_operator_owner'];
  assert.ok(owner === world.mark || owner === second.mark);
  const loser = owner === world.mark ? second : world;
  loser.edit(importing());
  await loser.step();
  assert.match(loser.ready(), /^False (TakenOver|NotAdoptable)$/);
  loser.delete();
  await loser.step();
  assert.equal(held(world).properties['glance_image_operator_owner'], owner);
});

describe('an image that was taken over and is lost while another one is to replace it', () => {
  const everything = {
    name: 'golden',
    diskFormat: 'raw',
    containerFormat: 'bare',
    visibility: 'private',
    protected: false,
    hidden: false,
    minDiskGiB: 0,
    minRAMMiB: 0,
    owner: projectID,
    tags: ['a'],
  };
  const asBefore = (world: World) => {
    const current = world.images.get(world.status?.imageID ?? '');
    return [world.ready(), current?.name, current?.hidden, world.data.get(current?.id ?? '')];
  };
  async function rolling(spec: Record<string, unknown> = {}, image?: Image): Promise<World> {
    const world = adopting(importing({ ...contentWith('a'), ...spec }), image);
    await world.settle();
    world.edit(importing({ ...contentWith('b'), ...spec }));
    return world;
  }

  test('the next image has its name, tags and visibility although it was deleted before that one was complete', async () => {
    for (const hidden of [false, true]) {
      const world = await rolling({}, existing({ hidden, visibility: 'community' }));
      world.hold();
      await world.step();
      world.foreignDelete(id);
      await world.release();
      await world.settle();
      assert.deepEqual(asBefore(world), ['True Ready', 'golden', hidden, 'b']);
      const current = world.images.get(world.status?.imageID ?? '');
      assert.deepEqual([current?.tags, current?.visibility], [['a'], 'community']);
    }
  });

  test('the next image, which Glance downloads itself, gets its visibility although it was deleted before', async () => {
    const downloaded = (text: string) => ({
      content: {
        http: { url: 'https://example.com/image.raw', digest: `sha512:${sha512(text)}`, decompress: 'None' },
        method: 'WebDownload',
      },
      image: { diskFormat: 'raw' },
    });
    const world = adopting(importing(downloaded('a')), existing({ visibility: 'community' }));
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    world.edit(importing(downloaded('b')));
    await world.settle(2);
    const pending = [...world.images.values()].find((image) => image.id !== id);
    assert.equal(pending?.visibility, 'private');
    world.foreignDelete(id);
    world.fill(pending.id, 'b');
    const { properties } = world.images.get(pending.id) ?? assert.fail();
    const { os_glance_import_task: _, ...left } = properties;
    world.meddle(pending.id, { properties: left });
    await world.settle();
    assert.deepEqual(asBefore(world), ['True Ready', 'golden', false, 'b']);
    assert.equal(world.images.get(pending.id)?.visibility, 'community');
  });

  test('the next image is visible under its name also if the status was lost with the image', async () => {
    const world = await rolling();
    world.hold();
    await world.step();
    world.foreignDelete(id);
    world.loseStatus();
    await world.release();
    await world.settle();
    assert.deepEqual(asBefore(world), ['True Ready', 'golden', false, 'b']);
  });

  test('the way back after the status and the image that replaced it were lost gives it the name that it had, by any template', async () => {
    for (const name of ['{name} ({date})', '{name}.{number}', 'old [{number}] {name} (v+1)', '{date}: \\d {name}'])
      for (const hidden of [true, false]) {
        const spec = { revisions: { keep: 1, retired: { name, hidden } } };
        const world = await rolling(spec);
        await world.settle();
        assert.notEqual(held(world).name, 'golden', 'it was replaced');
        world.foreignDelete(world.status?.imageID ?? '');
        world.loseStatus();
        world.edit(importing({ ...contentWith('c'), ...spec }));
        await world.settle();
        assert.deepEqual(asBefore(world), ['True Ready', 'golden', false, 'c'], `${name}, hidden ${hidden}`);
      }
  });

  test('the image that replaced it is created again if that is deleted after the first one expired', async () => {
    for (const image of [{ diskFormat: 'raw' }, everything]) {
      const spec = { image, revisions: { keep: 0 } };
      const world = await rolling(spec);
      await world.settle();
      assert.equal(world.images.size, 1);
      world.foreignDelete(world.status?.imageID ?? '');
      world.edit(importing({ ...contentWith('b'), ...spec }));
      await world.settle();
      assert.deepEqual(asBefore(world), ['True Ready', 'golden', false, 'b']);
    }
  });

  test('an image that is deleted before another content is declared, or whose attributes are not known, is not created again', async () => {
    const world = adopting(importing(contentWith('a')));
    await world.settle();
    world.foreignDelete(id);
    for (const text of ['a', 'b']) {
      world.edit(importing(contentWith(text)));
      await world.step();
      assert.deepEqual([world.ready(), world.images.size], ['False ImportVanished', 0]);
    }
  });

  test('a name that resembles that of a replaced image stays as long as the image was not replaced', async () => {
    for (const fields of [{ tags: ['a'] }, { tags: [], hidden: false }]) {
      const world = await rolling({}, existing({ name: 'golden (2026-01-01)', ...fields }));
      world.loseStatus();
      await world.settle();
      assert.deepEqual(asBefore(world), ['True Ready', 'golden (2026-01-01)', false, 'b']);
    }
  });
});

test('the owner mark of a replaced image is restored at most three times an hour', async () => {
  const world = adopting(importing(contentWith('a')));
  await world.settle();
  world.edit(importing(contentWith('b')));
  await world.settle();
  for (let time = 0; time < 4; time++) {
    const { glance_image_operator_owner: _, ...properties } = held(world).properties;
    world.meddle(id, { properties });
    world.edit(importing(contentWith('b')));
    await world.settle();
    assert.equal(held(world).properties['glance_image_operator_owner'], time < 3 ? world.mark : undefined);
    assert.equal(world.ready(), 'True Ready');
  }
});

test('the visibility of an image that was taken over stays if that is not declared, also once another one has replaced it', async () => {
  const world = adopting(importing(contentWith('a')), existing({ visibility: 'public' }));
  await world.settle();
  world.edit(importing(contentWith('b')));
  await world.settle();
  const { imageID = '' } = world.status ?? {};
  assert.notEqual(imageID, id);
  world.meddle(imageID, { visibility: 'private' });
  world.edit(importing(contentWith('b', { minRAMMiB: 64 })));
  await world.settle();
  assert.deepEqual(
    [world.ready(), world.images.get(imageID)?.visibility, held(world).visibility],
    ['True Ready', 'private', 'public'],
  );
});

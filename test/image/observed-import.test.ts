import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GlanceUnavailable } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { mirror } from '../../src/image/reconcile/observed-import.ts';
import { createObservers, foreignImage, otherProject } from './observing.ts';
import { projectID } from './resource.ts';
import { memoryOf } from './states.ts';

const minute = 60_000;
const interval = 10 * minute;

/** Ready of a resource with this import, and what its status names. */
async function observed(imported: object, images: readonly Image[]) {
  const world = createObservers({ one: { import: imported } }, images);
  await world.pass(1_000);
  const status = [...world.resources.values()][0]?.status;
  const message = status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
  return { ...world, ready: world.ready('one'), imageID: status?.imageID, message, status };
}
const byFilter = (filter: object, images: readonly Image[], select?: string) =>
  observed({ filter, ...(select === undefined ? {} : { select }) }, images);

describe('an image that is observed by its ID', () => {
  test('1 000 settled observed images cost 20 lists a drift check, no request for a single one and no write', async () => {
    const images = Array.from({ length: 1_000 }, (_, number) => foreignImage(number));
    const specs = Object.fromEntries(images.map(({ id }, number) => [`image-${number}`, { import: { id } }]));
    const world = createObservers(specs, images);
    await world.pass(interval);
    assert.equal(world.writes(), 1_000);
    for (let round = 0; round < 3; round++) {
      world.requests.length = 0;
      await world.pass(interval);
      assert.ok(world.requests.length <= 20, `${world.requests.length} requests`);
      assert.ok(world.requests.length > 0);
      for (const request of world.requests) {
        const query = new URLSearchParams(request.replace(/^list\?/, ''));
        assert.equal(query.get('limit'), '50');
        assert.equal(query.get('id')?.split(',').length, 50);
        assert.equal(query.get('visibility'), 'all');
        assert.equal(query.get('member_status'), 'all');
      }
    }
    assert.equal(world.writes(), 1_000, 'no status was written again');
  });

  test('1 000 settled observed images that are hidden cost 40 lists a drift check', async () => {
    const images = Array.from({ length: 1_000 }, (_, number) => foreignImage(number, { hidden: true }));
    const specs = Object.fromEntries(images.map(({ id }, number) => [`image-${number}`, { import: { id } }]));
    const world = createObservers(specs, images);
    await world.pass(interval);
    world.requests.length = 0;
    await world.pass(interval);
    assert.ok(world.requests.length > 0 && world.requests.length <= 40, `${world.requests.length} requests`);
    assert.deepEqual(
      world.requests.filter((request) => !request.startsWith('list?')),
      [],
    );
    assert.equal(world.writes(), 1_000);
  });

  test('after a restart, the first drift checks of observed images cost one round of lists', async () => {
    const images = Array.from({ length: 120 }, (_, number) => foreignImage(number));
    const specs = Object.fromEntries(images.map(({ id }, number) => [`image-${number}`, { import: { id } }]));
    const before = createObservers(specs, images);
    await before.pass(1_000);
    const world = createObservers(specs, images);
    for (const [key, resource] of before.resources) world.resources.set(key, resource);
    await world.pass(interval);
    assert.ok(world.requests.length <= 6, world.requests.join('\n'));
    assert.equal(world.writes(), 0);
  });

  const readable: [what: string, fields: Partial<Image>][] = [
    ['of the own project', {}],
    ['that is hidden', { hidden: true }],
    ['that is public', { owner: otherProject, visibility: 'public' }],
    ['of a community', { owner: otherProject, visibility: 'community' }],
    ['that is shared and not accepted yet', { owner: otherProject, visibility: 'shared' }],
  ];
  for (const [what, fields] of readable)
    test(`an image ${what} is shown, and its drift checks are lists`, async () => {
      const image = foreignImage(1, fields);
      const world = await observed({ id: image.id }, [image]);
      assert.deepEqual([world.ready, world.imageID], ['True NotCompared', image.id]);
      assert.equal(world.status?.image?.status, 'active');
      world.requests.length = 0;
      await world.pass(2 * interval);
      assert.ok(
        world.requests.every((request) => request.startsWith('list?')),
        world.requests.join('\n'),
      );
    });

  test('an image that does not exist is not found, and is shown once it exists', async () => {
    const image = foreignImage(1);
    const world = await observed({ id: image.id }, []);
    assert.equal(world.ready, 'False ImportNotFound');
    assert.equal(world.imageID, undefined);
    world.images.set(image.id, image);
    await world.pass(2 * minute);
    assert.equal([...world.resources.values()][0]?.status.imageID, image.id);
  });

  test('an image that a list lacks counts as vanished only after it was asked for by its ID', async () => {
    const image = foreignImage(1);
    const world = await observed({ id: image.id }, [image]);
    world.images.delete(image.id);
    world.requests.length = 0;
    await world.pass(2 * interval);
    const status = [...world.resources.values()][0]?.status;
    assert.equal(status?.lastError?.reason, 'ImportVanished');
    assert.equal(status?.imageID, undefined);
    assert.ok(world.requests.includes(`get ${image.id}`));
  });

  test('an image that a broken list lacks stays as it was', async () => {
    const image = foreignImage(1);
    const world = await observed({ id: image.id }, [image]);
    const writes = world.writes();
    world.fail('list', new GlanceUnavailable('503', { httpStatus: 503 }));
    await world.pass(3 * interval);
    assert.equal(world.writes(), writes);
    assert.ok(world.requests.includes(`get ${image.id}`));
  });

  test('an outage of Glance keeps the image in the status and makes Ready unknown', async () => {
    const image = foreignImage(1);
    const world = await observed({ id: image.id }, [image]);
    for (const what of ['list', 'get'] as const) world.fail(what, new GlanceUnavailable('503', { httpStatus: 503 }));
    await world.pass(2 * interval);
    const status = [...world.resources.values()][0]?.status;
    assert.deepEqual([status?.imageID, status?.image?.name], [image.id, 'ubuntu']);
    assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'Unknown');
  });

  test('a change of the image is shown within two intervals', async () => {
    const image = foreignImage(1);
    const world = await observed({ id: image.id }, [image]);
    world.images.set(image.id, { ...image, properties: { os_distro: 'debian' }, updatedAt: '2026-01-03T00:00:00Z' });
    await world.pass(2 * interval);
    assert.deepEqual([...world.resources.values()][0]?.status.image?.properties, { os_distro: 'debian' });
  });

  test('a deactivated image has a reason of its own, and is not named as the image to use', async () => {
    const image = foreignImage(1, { status: 'deactivated' });
    const world = await observed({ id: image.id }, [image]);
    assert.deepEqual([world.ready, world.imageID], ['False Deactivated', undefined]);
    assert.equal(world.status?.image?.status, 'deactivated');
  });

  test('an image without data is waited for', async () => {
    const image = foreignImage(1, { status: 'queued', size: null });
    const world = await observed({ id: image.id }, [image]);
    assert.deepEqual([world.ready, world.imageID], ['False WaitingForGlance', undefined]);
    world.images.set(image.id, foreignImage(1));
    await world.pass(minute);
    assert.equal([...world.resources.values()][0]?.status.imageID, image.id);
  });

  test('a suspended resource keeps naming the image that it observed', async () => {
    const image = foreignImage(1);
    const world = await observed({ id: image.id }, [image]);
    world.edit('one', { import: { id: image.id }, suspend: true });
    world.requests.length = 0;
    await world.pass(2 * interval);
    const status = [...world.resources.values()][0]?.status;
    assert.deepEqual([world.requests, status?.imageID], [[], image.id]);
    assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.reason, 'Suspended');
  });
});

test('Observe uses only the requests of a cloud that read', async () => {
  const used = new Set<string>();
  const image = foreignImage(1);
  const reads = {
    get: async () => image,
    async *list() {
      yield image;
    },
  };
  const images = new Proxy(reads, {
    get(target, name) {
      used.add(String(name));
      return Reflect.get(target, name);
    },
  });
  const cloud = { images, observed: { get: () => ({ kind: 'unknown', why: 'unlisted' }) as const }, projectID };
  const { signal } = new AbortController();
  for (const imported of [{ id: image.id }, { filter: { name: 'other' } }, { filter: { name: 'ubuntu' } }])
    await mirror(imported, memoryOf({ observed: image.id }), cloud, { kind: 'fromCache', sinceMs: 0 }, signal);
  assert.deepEqual([...used].sort(), ['get', 'list']);
});

describe('an image that is observed by a filter', () => {
  const own = foreignImage(1);
  const at = (number: number, day: string, fields: Partial<Image> = {}) =>
    foreignImage(number, { createdAt: `2026-01-${day}T00:00:00Z`, ...fields });

  test("another project's public look-alike does not match without owner or visibility public", async () => {
    const lookAlike = foreignImage(2, { owner: otherProject, visibility: 'public' });
    assert.equal((await byFilter({ name: 'ubuntu' }, [own, lookAlike])).imageID, own.id);
    assert.equal((await byFilter({ name: 'ubuntu' }, [lookAlike])).ready, 'False ImportNotFound');
    assert.equal((await byFilter({ name: 'ubuntu' }, [own, lookAlike], 'Newest')).imageID, own.id);
    assert.equal((await byFilter({ name: 'ubuntu', owner: otherProject }, [own, lookAlike])).imageID, lookAlike.id);
    assert.equal((await byFilter({ name: 'ubuntu', visibility: 'public' }, [own, lookAlike])).imageID, lookAlike.id);
  });

  for (const visibility of ['community', 'shared', 'private'] as const)
    test(`without owner, visibility ${visibility} finds no image of another project`, async () => {
      const foreign = foreignImage(2, { owner: otherProject, visibility });
      assert.equal((await byFilter({ visibility }, [foreign])).ready, 'False ImportNotFound');
    });

  test('an image that another project shares, and that is not accepted yet, matches with owner', async () => {
    const shared = foreignImage(2, { owner: otherProject, visibility: 'shared' });
    assert.equal((await byFilter({ owner: otherProject }, [shared])).imageID, shared.id);
  });

  test('name, tags and properties are compared exactly, whatever the database does', async () => {
    const image = foreignImage(1, { tags: ['a', 'b'], properties: { os_distro: 'ubuntu' } });
    const filter = { name: 'ubuntu', tags: ['a'], properties: { os_distro: 'ubuntu' } };
    assert.equal((await byFilter(filter, [image])).imageID, image.id);
    assert.equal((await byFilter({ name: 'Ubuntu' }, [image])).ready, 'False ImportNotFound');
    assert.equal((await byFilter({ ...filter, tags: ['a', 'c'] }, [image])).ready, 'False ImportNotFound');
    assert.equal((await byFilter({ properties: { os_distro: 'debian' } }, [image])).ready, 'False ImportNotFound');
  });

  test('several matches are an error that names at most 16 of them', async () => {
    const images = Array.from({ length: 20 }, (_, number) => foreignImage(number));
    const { ready, imageID, message } = await byFilter({ name: 'ubuntu' }, images);
    assert.deepEqual([ready, imageID], ['False ImportAmbiguous', undefined]);
    assert.equal(images.filter(({ id }) => message.includes(id)).length, 16);
    assert.match(message, /^20 images match import\.filter: .* and others/);
  });

  test('Newest takes the active image that was created last, and of the same second the one with the greatest ID', async () => {
    const images = [at(1, '01'), at(3, '02'), at(2, '02'), at(9, '03', { status: 'saving' })];
    assert.equal((await byFilter({ name: 'ubuntu' }, images, 'Newest')).imageID, images[1]?.id);
    assert.equal((await byFilter({ name: 'ubuntu' }, [...images].reverse(), 'Newest')).imageID, images[1]?.id);
  });

  test('an image that gets its data now does not make the one with data ambiguous', async () => {
    const images = [at(1, '01'), at(2, '02', { status: 'queued' })];
    assert.equal((await byFilter({ name: 'ubuntu' }, images)).imageID, images[0]?.id);
  });

  test('an active and a deactivated image are two', async () => {
    const images = [at(1, '01'), at(2, '02', { status: 'deactivated' })];
    assert.equal((await byFilter({ name: 'ubuntu' }, images)).ready, 'False ImportAmbiguous');
    assert.equal((await byFilter({ name: 'ubuntu' }, images, 'Newest')).imageID, images[0]?.id);
  });

  test('a hidden image matches only if no other does', async () => {
    const images = [at(1, '01'), at(2, '02', { hidden: true })];
    for (const select of ['Only', 'Newest'])
      assert.equal((await byFilter({ name: 'ubuntu' }, images, select)).imageID, images[0]?.id);
    assert.equal((await byFilter({ name: 'ubuntu' }, images.slice(1))).imageID, images[1]?.id);
  });

  test('a visible image that gets its data now does not replace a hidden one that has it', async () => {
    const images = [at(1, '01', { hidden: true }), at(2, '02', { status: 'queued' })];
    for (const select of ['Only', 'Newest'])
      assert.equal((await byFilter({ name: 'ubuntu' }, images, select)).imageID, images[0]?.id);
    const world = await byFilter({ name: 'ubuntu' }, images.slice(1));
    assert.equal(world.ready, 'False WaitingForGlance');
  });

  test('every list has a limit, and a settled resource costs one or two of them a drift check', async () => {
    const world = await byFilter({ name: 'ubuntu' }, [own]);
    world.requests.length = 0;
    await world.pass(interval);
    assert.ok(world.requests.length >= 1 && world.requests.length <= 2, world.requests.join('\n'));
    for (const request of world.requests) assert.match(request, /^list\?.*limit=\d+/);
  });

  test('the next image takes the place of the one before', async () => {
    const world = await byFilter({ name: 'ubuntu' }, [at(1, '01')], 'Newest');
    const next = at(2, '02');
    world.images.set(next.id, next);
    await world.pass(2 * interval);
    assert.equal([...world.resources.values()][0]?.status.imageID, next.id);
  });

  test('an image that matches no more is not called vanished', async () => {
    const world = await byFilter({ name: 'ubuntu' }, [own]);
    world.images.set(own.id, { ...own, name: 'renamed' });
    await world.pass(2 * interval);
    const status = [...world.resources.values()][0]?.status;
    assert.equal(status?.lastError?.reason, 'ImportNotFound');
    assert.match(status?.lastError?.message ?? '', /image 00000001\S* was shown before, and does not match/);
  });

  test('an edited filter that finds nothing is not called a change of the image that was shown before', async () => {
    const world = await byFilter({ name: 'ubuntu' }, [own]);
    world.edit('one', { import: { filter: { name: 'debian' } } });
    await world.pass(minute);
    const { message = '', reason } = [...world.resources.values()][0]?.status.lastError ?? {};
    assert.equal(reason, 'ImportNotFound');
    assert.doesNotMatch(message, /changed|any more/);
  });

  test('an image that a filter found counts as vanished only after it was asked for by its ID', async () => {
    const world = await byFilter({ name: 'ubuntu' }, [own]);
    world.images.delete(own.id);
    world.requests.length = 0;
    await world.pass(2 * interval);
    assert.ok(world.requests.includes(`get ${own.id}`));
  });
});

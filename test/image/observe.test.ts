/** What is read from Glance, and what is learned from it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GlanceUnavailable } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { clusterProperty, contentProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import type { Memory } from '../../src/image/model/memory.ts';
import { claimOf, find, observe, observeAll } from '../../src/image/observe/observe.ts';
import { place } from './contexts.ts';
import { imageOf, projectID, uid } from './resource.ts';
import { knows, memoryOf, owner, promotes } from './states.ts';
import { type Faults, fail, nothingRecent, performOn, stubGlance } from './stub-glance.ts';

const { signal } = new AbortController();
const image = imageOf();
const second = imageOf({ id: imageIDOf(uid, 1), hidden: true });
const theirs = imageOf({ owner: 'b'.repeat(32) });
const elsewhere = { ...place, endpoint: 'https://other.example.com/v2' };

interface Row {
  what: string;
  held: readonly Image[];
  memory: Memory;
  isWorkedOn?: boolean;
  calls: readonly string[];
  revisions: readonly object[];
  after?: object;
  gone?: readonly string[];
}

const rows: Row[] = [
  { what: 'a new resource costs no call', held: [image], memory: memoryOf(), calls: [], revisions: [] },
  {
    what: 'images that the memory names are read one by one',
    held: [image, second],
    memory: knows([image, second]),
    calls: ['get 0', 'get 1'],
    revisions: [{ number: 0 }, { number: 1 }],
  },
  {
    what: 'after a lost memory the images are found by their mark, also hidden ones, and those with data may be known',
    held: [image, second],
    memory: memoryOf(),
    isWorkedOn: true,
    calls: ['list', 'list hidden'],
    revisions: [{ number: 0 }, { number: 1 }],
    after: { images: [image.id, second.id], published: [image.id, second.id], next: 2 },
  },
  {
    what: 'an image with our owner mark and the mark of another cluster is shown as foreign, and is searched again the next time',
    held: [image, { ...second, properties: { ...second.properties, [clusterProperty]: 'elsewhere' } }],
    memory: memoryOf(),
    isWorkedOn: true,
    calls: ['list', 'list hidden'],
    revisions: [{ number: 0 }, { ownership: { kind: 'foreign', why: 'cluster' } }],
    after: { images: [image.id], next: 1, incomplete: true },
  },
  {
    what: 'an empty image that is found is not one that consumers know',
    held: [{ ...image, status: 'queued' }],
    memory: memoryOf(),
    isWorkedOn: true,
    calls: ['list', 'list hidden'],
    revisions: [{ number: 0 }],
    after: { images: [image.id], published: [], next: 1 },
  },
  {
    what: 'an image that is gone is forgotten once the list lacks it too, and its number stays used up',
    held: [],
    memory: promotes(image),
    calls: ['get 0', 'list', 'list hidden'],
    revisions: [],
    after: { images: [], published: [], next: 1 },
    gone: [image.id],
  },
  {
    what: 'an image of another owner is seen if the memory names it',
    held: [theirs],
    memory: knows([image]),
    calls: ['get 0'],
    revisions: [{ ownership: { kind: 'foreign', why: 'project' } }],
  },
  {
    what: 'an image of another owner that bears our mark is not found',
    held: [theirs],
    memory: memoryOf(),
    isWorkedOn: true,
    calls: ['list', 'list hidden'],
    revisions: [],
    after: { images: [] },
  },
  {
    what: 'an image that Glance is deleting counts as gone',
    held: [{ ...image, status: 'pending_delete' }],
    memory: knows([image]),
    calls: ['get 0', 'list', 'list hidden'],
    revisions: [],
    gone: [image.id],
  },
  {
    what: 'an image without a mark is seen if the memory names it, and not found otherwise',
    held: [imageOf({ properties: { [contentProperty]: 'v1' } })],
    memory: knows([image]),
    isWorkedOn: true,
    calls: ['get 0', 'list', 'list hidden'],
    revisions: [{ ownership: { kind: 'created', isMarked: false } }],
  },
];

describe('observe', () => {
  for (const { what, held, memory, isWorkedOn = false, calls, revisions, after, gone = [] } of rows) {
    test(what, async () => {
      const glance = stubGlance(held);
      const seen = await (isWorkedOn ? observeAll : observe)(performOn(glance), memory, place);
      assert.deepEqual(glance.calls, calls);
      assert.equal(seen.observed.revisions.length, revisions.length);
      assert.partialDeepStrictEqual(seen.observed.revisions, revisions);
      assert.equal(seen.observed.listed, calls.includes('list'));
      if (after !== undefined) assert.partialDeepStrictEqual(seen.memory, after);
      assert.deepEqual(seen.gone, gone);
    });
  }

  for (const [what, mayArrive, held, incomplete] of [
    ['that may still arrive', true, [image], true],
    ['that cannot arrive any more', false, [image], undefined],
    ['that has arrived', true, [image, second], undefined],
  ] as const)
    test(`a recorded request ${what} is ${incomplete ? 'kept in' : 'removed from'} the memory`, async () => {
      const look = performOn(stubGlance(held), { recent: { ...nothingRecent(), mayArrive: () => mayArrive } });
      const { memory } = await observeAll(look, { ...knows([image]), next: 1, incomplete: true }, place);
      assert.equal(memory.incomplete, incomplete);
    });

  test('an image that is not found by its ID and is in the list was not gone', async () => {
    let asked = 0;
    const glance = stubGlance([image]);
    const get = async (id: string) => {
      asked++;
      return stubGlance().images.get(id, signal);
    };
    const look = performOn(glance, { images: { ...glance.images, get } });
    const seen = await observe(look, promotes(image), place);
    assert.deepEqual([asked, seen.gone, seen.observed.revisions.length], [1, [], 1]);
    assert.deepEqual(seen.memory, promotes(image));
  });

  test('a search by the mark lists only images of our projects, because others can put it on any number of their own', async () => {
    const flood = Array.from({ length: 50 }, (_, number) =>
      imageOf({ id: imageIDOf('f'.repeat(32), number), owner: 'b'.repeat(32), visibility: 'community' }),
    );
    const given = imageOf({ id: imageIDOf(uid, 1), owner: 'c'.repeat(32) });
    const glance = stubGlance([...flood, image, given]);
    const listed: (string | null)[] = [];
    async function* list(...request: Parameters<typeof glance.images.list>) {
      for await (const one of glance.images.list(...request)) {
        listed.push(one.owner);
        yield one;
      }
    }
    const look = performOn(glance, { images: { ...glance.images, list } });
    const seen = await observeAll(look, memoryOf({ owner: 'c'.repeat(32) }), place);
    assert.deepEqual(listed, [projectID, 'c'.repeat(32)]);
    assert.deepEqual(seen.memory.images, [image.id, given.id]);
  });

  test('a Glance at another address that does not know the image is another cloud', async () => {
    const memory = promotes(image, { place });
    await assert.rejects(observe(performOn(stubGlance()), memory, elsewhere), { code: 'CloudChanged' });
    const seen = await observe(performOn(stubGlance([image])), memory, elsewhere);
    assert.equal(seen.observed.revisions.length, 1);
  });

  test('a failure of Glance is not taken for an image that is gone', async () => {
    const faults: Faults = { get: fail(new GlanceUnavailable('503', { httpStatus: 503 })) };
    await assert.rejects(observe(performOn(stubGlance([image], faults)), promotes(image), place), /503/);
  });

  test('the names of stores are read only where the declaration asks for all of them', async () => {
    const storeNames = async () => ['a', 'b'];
    const all = await observe(performOn(stubGlance(), { storeNames }), memoryOf(), place);
    assert.deepEqual(all.observed.storeNames, ['a', 'b']);
    const others = await observe(performOn(stubGlance()), memoryOf(), place);
    assert.equal(others.observed.storeNames, undefined);
  });
});

test('an image belongs to the declared project, that of the credentials, or the one that was applied last', () => {
  assert.deepEqual(claimOf(owner, memoryOf()).projects, [projectID]);
  assert.deepEqual(claimOf(owner, memoryOf({ owner: 'c' })).projects, [projectID, 'c']);
  const given = imageOf({ owner: 'c', properties: { [ownerProperty]: owner.owner } });
  const claim = claimOf(owner, knows([given], { owner: 'c' }));
  assert.ok(claim.projects.includes(given.owner ?? '') && claim.recorded.includes(given.id));
});

test('an image that does not exist is absent, and any other failure is thrown', async () => {
  assert.equal(await find(stubGlance().images, image.id, signal), undefined);
  assert.deepEqual(await find(stubGlance([image]).images, image.id, signal), image);
  const faults: Faults = { get: fail(new Error('x')) };
  await assert.rejects(find(stubGlance([image], faults).images, image.id, signal), /x/);
});

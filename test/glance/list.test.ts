import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { listIn } from '../../src/glance/client/call.ts';
import { Conflict, GlanceUnavailable, InvalidRequest } from '../../src/glance/errors.ts';
import { listPages, listQuery, type Page } from '../../src/glance/list.ts';
import { imageOf } from './model.ts';

const image = (id: string) => ({ ...imageOf(), id });

async function ids(pages: (query: URLSearchParams) => Page): Promise<string[]> {
  const seen: string[] = [];
  for await (const { id } of listPages({}, { pageSize: 2 }, async (query) => pages(new URLSearchParams(query))))
    seen.push(id);
  return seen;
}

/** Pages of two over `all`; `vanish` is called before each page and may take images away. */
function server(all: string[], vanish: (page: number) => string[] = () => []) {
  const there = [...all];
  let page = 0;
  return (query: URLSearchParams): Page => {
    for (const gone of vanish(page++)) if (there.includes(gone)) there.splice(there.indexOf(gone), 1);
    const marker = query.get('marker');
    if (marker !== null && !there.includes(marker)) throw new InvalidRequest('marker');
    const from = marker === null ? 0 : there.indexOf(marker) + 1;
    const images = there.slice(from, from + 2).map(image);
    return { images, more: images.length === 2 };
  };
}

test('all pages are walked, by a marker of our own', async () => {
  assert.deepEqual(await ids(server(['a', 'b', 'c', 'd', 'e'])), ['a', 'b', 'c', 'd', 'e']);
  assert.deepEqual(await ids(server([])), []);
  assert.deepEqual(await ids(server(['a', 'b'])), ['a', 'b']);
});

test('an image that vanishes under the marker is no harm: an older marker is taken, nothing is seen twice', async () => {
  assert.deepEqual(await ids(server(['a', 'b', 'c', 'd', 'e'], (page) => (page === 1 ? ['b'] : []))), [
    'a',
    'b',
    'c',
    'd',
    'e',
  ]);
});

test('if images vanish, the others are seen exactly once, or the walk reports that it has to start again', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...names), { maxLength: 4 }), async (gone) => {
      const seen = await ids(server(names, (page) => gone.slice(page, page + 1))).catch((error: unknown) => error);
      if (seen instanceof Conflict) return;
      assert.ok(Array.isArray(seen));
      assert.equal(new Set(seen).size, seen.length);
      for (const name of names) if (!gone.includes(name)) assert.ok(seen.includes(name), name);
    }),
  );
});

test('where all markers vanish, the walk has to start again', async () => {
  await assert.rejects(ids(server(['a', 'b', 'c'], (page) => (page === 1 ? ['a', 'b'] : []))), Conflict);
});

test('a server that repeats itself is found out', async () => {
  await assert.rejects(
    ids(() => ({ images: [image('a')], more: true })),
    GlanceUnavailable,
  );
});

test('an empty page that leads to another one is called what it is', async () => {
  await assert.rejects(
    ids(() => ({ images: [], more: true })),
    (error) =>
      error instanceof GlanceUnavailable && /a page of the list of images has no new image/.test(error.message),
  );
});

test('several names, disk and memory sizes, and both directions of a time are filters', () => {
  const filter = (filters: Parameters<typeof listQuery>[0]) => {
    const {
      limit: _limit,
      sort: _sort,
      ...rest
    } = Object.fromEntries(new URLSearchParams(listQuery(filters, { pageSize: 1 })));
    return rest;
  };
  assert.deepEqual(filter({ names: ['a', 'b, c'] }), { name: 'in:"a","b, c"' });
  assert.deepEqual(filter({ names: ['gt:"a"'] }), { name: 'eq:gt:"a"' });
  assert.deepEqual(filter({ minDiskGiB: 1, minRAMMiB: 512 }), { min_disk: '1', min_ram: '512' });
  assert.deepEqual(filter({ createdBefore: new Date('2026-01-02T03:04:05Z') }), {
    created_at: 'lt:2026-01-02T03:04:05Z',
  });
  assert.deepEqual(filter({ updatedBefore: new Date('2026-01-02T03:04:05Z') }), {
    updated_at: 'lt:2026-01-02T03:04:05Z',
  });
  const at = new Date(0);
  for (const filters of [
    { name: 'a', names: ['b'] },
    { names: ['a', 'a "quoted" name'] },
    { names: ['a', 'b\\'] },
    { createdSince: at, createdBefore: at },
    { updatedSince: at, updatedBefore: at },
  ]) {
    assert.throws(() => filter(filters), InvalidRequest);
  }
});

test('a walk begins after the marker that is given and ends at the limit, asking for no more than that', async () => {
  const all = server(['a', 'b', 'c', 'd', 'e']);
  const asked: string[] = [];
  const walk = async (options: { marker?: string; limit?: number }) => {
    const seen: string[] = [];
    const pages = listPages({}, { pageSize: 2, ...options }, async (query) => {
      asked.push(query);
      return all(new URLSearchParams(query));
    });
    for await (const { id } of pages) seen.push(id);
    return seen;
  };
  assert.deepEqual(await walk({ marker: 'b' }), ['c', 'd', 'e']);
  assert.deepEqual(await walk({ limit: 3 }), ['a', 'b', 'c']);
  assert.deepEqual(await walk({ marker: 'a', limit: 2 }), ['b', 'c']);
  asked.length = 0;
  assert.deepEqual(await walk({ limit: 1 }), ['a']);
  assert.match(asked.join(' '), /^limit=1&/);
  asked.length = 0;
  assert.deepEqual(await walk({ limit: 0 }), []);
  assert.deepEqual(asked, []);
  // The caller's own marker is not one that may vanish.
  await assert.rejects(walk({ marker: 'x' }), InvalidRequest);
});

test('one of nothing is nothing, without a question', async () => {
  for (const filters of [{ ids: [] }, { statuses: [] }, { diskFormats: [] }, { containerFormats: [] }, { names: [] }]) {
    for await (const _ of listPages(filters, { pageSize: 2 }, () => assert.fail('a page was requested'))) assert.fail();
  }
});

test('a query says all that was given, and an order always has an end', () => {
  const query = new URLSearchParams(
    listQuery(
      {
        ids: ['1', '2'],
        name: 'in:a,b',
        statuses: ['active'],
        memberStatus: 'all',
        protected: false,
        diskFormats: ['raw', 'iso'],
        containerFormats: ['bare'],
        minSize: 0,
        maxSize: 5,
        checksum: 'c',
        hash: 'h',
        createdSince: new Date('2026-01-02T03:04:05Z'),
      },
      { pageSize: 7, sort: [{ key: 'name', direction: 'desc' }] },
    ),
  );
  assert.deepEqual(Object.fromEntries(query), {
    limit: '7',
    sort: 'name:desc,id:asc',
    id: 'in:1,2',
    name: 'eq:in:a,b',
    status: 'in:active',
    member_status: 'all',
    protected: 'false',
    disk_format: 'in:raw,iso',
    container_format: 'in:bare',
    size_min: '0',
    size_max: '5',
    checksum: 'c',
    os_hash_value: 'h',
    created_at: 'gte:2026-01-02T03:04:05Z',
  });
  for (const key of ['marker', 'tag', 'sort', 'name', 'visibility', 'size_min']) {
    assert.throws(() => listQuery({ properties: { [key]: 'x' } }, { pageSize: 1 }), InvalidRequest);
  }
});

test('filters become a query, repeated ones repeated', () => {
  const query = new URLSearchParams(
    listQuery(
      {
        name: 'a&b',
        owner: 'p',
        visibility: 'all',
        hidden: true,
        tags: ['x', 'y'],
        properties: { glance_image_operator_cluster: 'c' },
        updatedSince: new Date('2026-01-02T03:04:05.678Z'),
      },
      { pageSize: 500 },
      'm',
    ),
  );
  assert.deepEqual([...query].sort(), [
    ['glance_image_operator_cluster', 'c'],
    ['limit', '500'],
    ['marker', 'm'],
    ['name', 'a&b'],
    ['os_hidden', 'true'],
    ['owner', 'p'],
    ['sort', 'created_at:asc,id:asc'],
    ['tag', 'x'],
    ['tag', 'y'],
    ['updated_at', 'gte:2026-01-02T03:04:05Z'],
    ['visibility', 'all'],
  ]);
});

test('a list in a response is cut at 1000 entries before any is read', () => {
  const text = JSON.stringify({ images: Array.from({ length: 1200 }, (_, index) => index) });
  const seen = listIn({ status: 200, headers: {}, requestId: undefined, text }, 'images', (entry) => entry);
  assert.equal(seen.length, 1000);
});

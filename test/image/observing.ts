/** Resources that observe images, with their reconciler, the caches of one cloud, and a Glance in memory that counts its requests. */

import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { createImageCache } from '../../src/glance/image-cache.ts';
import { listPages } from '../../src/glance/list.ts';
import type { Cloud } from '../../src/image/access/clouds.ts';
import { imageIDsOf, imagesIn } from '../../src/image/access/resources.ts';
import { createDrift } from '../../src/image/reconcile/drift.ts';
import { reconcile } from '../../src/image/reconcile/reconcile.ts';
import { type Key, keyOf } from '../../src/lib/key.ts';
import { createVirtualClock } from '../clock.ts';
import { cloudOf, contextOf } from './contexts.ts';
import { imageOf, projectID, resourceOf } from './resource.ts';
import { stubGlance } from './stub-glance.ts';

export const otherProject = 'b'.repeat(32);

/** An active image without marks. */
export function foreignImage(number: number, fields: Partial<Image> = {}): Image {
  const id = `0000${String(number).padStart(4, '0')}-1111-4111-8111-111111111111`;
  return { ...imageOf(), id, name: 'ubuntu', owner: projectID, properties: {}, ...fields };
}

/** Of the images that the project can read: as the real Glance lists them, as far as these tests go. */
function isListed(image: Image, query: URLSearchParams): boolean {
  const ids = query.get('id')?.replace(/^in:/, '').split(',');
  const statuses = query.get('status')?.replace(/^in:/, '').split(',');
  const visibility = query.get('visibility');
  const known = [
    'limit',
    'marker',
    'sort',
    'member_status',
    'visibility',
    'id',
    'status',
    'os_hidden',
    'owner',
    'name',
    'tag',
  ];
  const properties = [...query].filter(([key]) => !known.includes(key));
  const isShown =
    visibility === null ? image.visibility !== 'community' : ['all', image.visibility].includes(visibility);
  // A project sees an image that is shared with it and not accepted only if it asks for that.
  const isAccepted = image.visibility !== 'shared' || image.owner === projectID || query.get('member_status') === 'all';
  return (
    isShown &&
    isAccepted &&
    image.hidden === (query.get('os_hidden') === 'true') &&
    (ids?.includes(image.id) ?? true) &&
    (statuses?.includes(image.status) ?? true) &&
    [null, image.owner].includes(query.get('owner')) &&
    // As a database that compares without regard to case.
    [undefined, image.name?.toLowerCase()].includes(query.get('name')?.toLowerCase()) &&
    query.getAll('tag').every((tag) => image.tags.includes(tag)) &&
    properties.every(([key, value]) => image.properties[key] === value)
  );
}

function inOrder(query: URLSearchParams) {
  const sign = query.get('sort')?.startsWith('created_at:desc') ? -1 : 1;
  const keyOfImage = ({ createdAt, id }: Image) => `${createdAt} ${id}`;
  return (a: Image, b: Image) => sign * (keyOfImage(a) < keyOfImage(b) ? -1 : 1);
}

export interface Observers {
  clock: ReturnType<typeof createVirtualClock>;
  /** `list?…` or `get <id>`. */
  requests: string[];
  images: Map<string, Image>;
  resources: Map<Key, GlanceImage>;
  /** Number of statuses that were written. */
  writes: () => number;
  /** Has lists or requests for single images fail. */
  fail: (what: 'list' | 'get', error: Error | undefined) => void;
  /** Reconciles what is due, until this time has passed. */
  pass: (ms: number) => Promise<void>;
  edit: (name: string, spec: Record<string, unknown>) => void;
  ready: (name: string) => string;
}

/** `specs`: by name, without the cloud. */
export function createObservers(specs: Record<string, Record<string, unknown>>, held: readonly Image[]): Observers {
  const clock = createVirtualClock('2026-01-02T00:00:00.000Z');
  const images = new Map(held.map((image) => [image.id, image]));
  const requests: string[] = [];
  const failures: { list?: Error | undefined; get?: Error | undefined } = {};
  const resources = new Map<Key, GlanceImage>();
  const due = new Map<Key, number>();
  const keyFor = (name: string) => keyOf('demo', name);
  let writes = 0;
  let seed = 0.5;
  const random = () => (seed = (seed * 16807 + 0.1234567) % 1);

  const list: Cloud['images']['list'] = (filters, signal, walk) =>
    listPages(filters, { pageSize: 500, ...walk }, async (text) => {
      requests.push(`list?${text}`);
      await clock.sleep(100, signal);
      if (failures.list !== undefined) throw failures.list;
      const query = new URLSearchParams(text);
      const limit = Number(query.get('limit'));
      const matching = [...images.values()].filter((image) => isListed(image, query)).sort(inOrder(query));
      const start = matching.findIndex(({ id }) => id === query.get('marker')) + 1;
      const page = matching.slice(start, start + limit);
      return { images: page, more: page.length === limit };
    });
  const get: Cloud['images']['get'] = async (id) => {
    requests.push(`get ${id}`);
    if (failures.get !== undefined) throw failures.get;
    const image = images.get(id);
    if (image === undefined) throw new ImageNotFound(`No image found with ID ${id}`, { httpStatus: 404 });
    return image;
  };

  const store = {
    list: () => [...resources.values()].map((object) => ({ kind: 'readable' as const, object })),
    findBy: (_: string, id: string) =>
      [...resources.values()]
        .filter((object) => imageIDsOf(object).includes(id))
        .map((object) => ({ kind: 'readable' as const, object })),
  };
  const { isUsed, observedIDs } = imagesIn(store);
  const drift = createDrift({
    resources: {
      get: (key) => resources.get(key),
      ofImage: (id) => store.findBy('', id).map(({ object }) => keyFor(object.metadata.name)),
      secretVersions: () => '7',
    },
    wake: (key) => due.set(key, clock.monotonic()),
    clock,
    random,
  });
  const cache = createImageCache({
    list,
    scope: { kind: 'named', ids: () => observedIDs(() => true) },
    keeps: isUsed,
    onChange: drift.onChange,
    clock,
    random,
  });
  const stub = stubGlance();
  const cloud = cloudOf({ images: { ...stub.images, list, get } }, { observed: cache });
  const { context } = contextOf({ known: cloud });
  const own = {
    ...context,
    clock,
    random,
    drift,
    clouds: {
      ...context.clouds,
      known: () => cloud,
      read: async () => ({ version: '7', open: async () => cloud }),
    },
    resources: {
      ...context.resources,
      get: (key: Key) => resources.get(key),
      secretVersions: () => '7',
      async writeStatus(resource: GlanceImage, status: GlanceImage['status']) {
        writes++;
        resources.set(keyFor(resource.metadata.name), { ...resource, status });
        return 'written' as const;
      },
      addFinalizer: () => Promise.reject(new Error('Observe adds no finalizer')),
      confirm: () => Promise.reject(new Error('Observe changes no image')),
    },
  };

  function put(name: string, spec: Record<string, unknown>, generation: number): void {
    const before = resources.get(keyFor(name));
    const status = before === undefined ? {} : { status: { ...before.status } };
    const metadata = { name, uid: `${name}-uid`, generation };
    resources.set(keyFor(name), resourceOf({ spec: { managementPolicy: 'Observe', ...spec }, metadata, ...status }));
    due.set(keyFor(name), clock.monotonic());
  }
  for (const [name, spec] of Object.entries(specs)) put(name, spec, 1);

  function nextDue(): [Key, number] | undefined {
    let first: [Key, number] | undefined;
    for (const entry of due) if (first === undefined || entry[1] < first[1]) first = entry;
    return first;
  }

  return {
    clock,
    requests,
    images,
    resources,
    writes: () => writes,
    fail(what, error) {
      failures[what] = error;
    },
    async pass(ms) {
      const end = clock.monotonic() + ms;
      for (let next = nextDue(); next !== undefined && next[1] <= end; next = nextDue()) {
        const [key, at] = next;
        await clock.advance(Math.max(0, at - clock.monotonic()));
        due.delete(key);
        const done = reconcile(key, own);
        let isDone = false;
        void done.finally(() => (isDone = true)).catch(() => {});
        while (!isDone) await clock.advance(50);
        const outcome = await done;
        if (outcome.kind === 'requeueAfter' && !due.has(key)) due.set(key, clock.monotonic() + outcome.afterMs);
      }
      await clock.advance(Math.max(0, end - clock.monotonic()));
    },
    edit(name, spec) {
      put(name, spec, (resources.get(keyFor(name))?.metadata.generation ?? 0) + 1);
    },
    ready(name) {
      const condition = findCondition(resources.get(keyFor(name))?.status.conditions, 'Ready');
      return `${condition?.status} ${condition?.reason}`;
    },
  };
}

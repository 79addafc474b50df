/**
 * Lists images page by page.
 *
 * The marker is our own: the `next` link of Glance loses repeated parameters, so it only indicates that there are more
 * images.
 *
 * Invariant: every image that exists during the whole walk is seen exactly once, in spite of concurrent creations and
 * deletions, and the walk ends.
 */
import { Conflict, GlanceUnavailable, InvalidRequest } from './errors.ts';
import type { Image } from './image.ts';
import { baseKeys, listParameters } from './property-names.ts';

/** All given filters must match; of a list, one entry. Without `visibility`, community images of others are left out. */
export interface ListFilters {
  ids?: readonly string[];
  name?: string;
  /** Instead of `name`. */
  names?: readonly string[];
  statuses?: readonly string[];
  owner?: string;
  visibility?: 'public' | 'private' | 'shared' | 'community' | 'all';
  /** Of the images that other projects share with ours: those whose membership has this state. Default: accepted. */
  memberStatus?: 'pending' | 'accepted' | 'rejected' | 'all';
  /** true: only the hidden ones; otherwise only those that are not. */
  hidden?: boolean;
  protected?: boolean;
  diskFormats?: readonly string[];
  containerFormats?: readonly string[];
  /** Exactly this value, as all filters below without `min` and `max` of a size. */
  minDiskGiB?: number;
  minRAMMiB?: number;
  /** Bytes. */
  minSize?: number;
  /** Bytes. */
  maxSize?: number;
  /** MD5 in hex. */
  checksum?: string;
  /** In hex, by the algorithm that the cloud uses. */
  hash?: string;
  /** All of them. */
  tags?: readonly string[];
  /** Custom properties, compared as text. */
  properties?: Readonly<Record<string, string>>;
  /** Only images created at or after this time; Glance counts in whole seconds. */
  createdSince?: Date;
  /** Only images created before this time. Glance accepts no other limit of the same time with it. */
  createdBefore?: Date;
  /** Only images changed at or after this time; Glance counts in whole seconds. */
  updatedSince?: Date;
  /** Only images changed before this time. Glance accepts no other limit of the same time with it. */
  updatedBefore?: Date;
}

export interface ImageSort {
  key: 'name' | 'status' | 'container_format' | 'disk_format' | 'size' | 'id' | 'created_at' | 'updated_at';
  direction: 'asc' | 'desc';
}

export interface Walk {
  /** Images per request; Glance may return fewer. */
  pageSize: number;
  /** The id of an image that matches the filters: the walk begins after it. */
  marker?: string;
  /** No more images than this. */
  limit?: number;
  /**
   * Default: oldest first, so that images created during the walk come at its end. The invariant holds for keys that do
   * not change during the walk.
   */
  sort?: readonly ImageSort[];
}

export interface Page {
  images: Image[];
  more: boolean;
}

/** Glance's own default allows up to 1000; the cost of an image in a list does not depend on it. */
export const defaultPageSize = 500;
/** A longer list counts as endless. */
const maxPages = 2000;
/** How many images in a row may be deleted during the walk before it fails. */
const maxMarkers = 20;

/**
 * `fetchPage` gets the query, without question mark; its InvalidRequest for a marker of ours means that the image of
 * the marker was deleted. For the caller's own marker it is the result.
 */
export async function* listPages(
  filters: ListFilters,
  walk: Walk,
  fetchPage: (query: string) => Promise<Page>,
): AsyncGenerator<Image> {
  let left = walk.limit ?? Number.POSITIVE_INFINITY;
  if (left <= 0 || isNothing(filters)) return;
  const pageSize = Math.min(walk.pageSize, left);
  const fetchAfter = (marker = walk.marker) => fetchPage(listQuery(filters, { ...walk, pageSize }, marker));
  // Ids of the last images, the latest first: if one was deleted, the one before it marks the same position.
  let markers: string[] = [];
  for (let pages = 0; pages < maxPages; pages++) {
    const page = await nextPage(markers, fetchAfter);
    const seen = new Set(markers);
    const fresh = page.images.filter((image) => !seen.has(image.id));
    yield* fresh.slice(0, left);
    left -= fresh.length;
    if (!page.more || left <= 0) return;
    if (fresh.length === 0)
      throw unavailable('a page of the list of images has no new image and leads to another page');
    markers = [...fresh.map((image) => image.id).reverse(), ...markers].slice(0, Math.max(pageSize, maxMarkers));
  }
  throw unavailable(`the list of images has more than ${maxPages} pages`);
}

async function nextPage(markers: string[], fetchAfter: (marker?: string) => Promise<Page>): Promise<Page> {
  if (markers.length === 0) return fetchAfter();
  for (const marker of markers.slice(0, maxMarkers)) {
    try {
      return await fetchAfter(marker);
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
    }
  }
  throw new Conflict('the images were deleted while their list was being read');
}

function unavailable(problem: string): GlanceUnavailable {
  return new GlanceUnavailable(`Glance's response is malformed: ${problem}`, {});
}

/** A filter for an empty set: no image matches. Glance would reject the request. */
function isNothing({ ids, names, statuses, diskFormats, containerFormats }: ListFilters): boolean {
  return [ids, names, statuses, diskFormats, containerFormats].some((some) => some?.length === 0);
}

/** Throws InvalidRequest for a property that the list cannot be filtered by. */
export function listQuery(filters: ListFilters, walk: Walk, marker?: string): string {
  for (const key of Object.keys(filters.properties ?? {})) {
    if (baseKeys.has(key) || listParameters.includes(key)) {
      throw new InvalidRequest(`a list of images cannot be filtered by a property named ${key}`);
    }
  }
  const { sort = [{ key: 'created_at', direction: 'asc' } as const] } = walk;
  const order = sort.some(({ key }) => key === 'id') ? sort : [...sort, { key: 'id', direction: 'asc' } as const];
  const plain = {
    limit: walk.pageSize,
    sort: order.map(({ key, direction }) => `${key}:${direction}`).join(','),
    marker,
    id: oneOf(filters.ids),
    name: nameFilter(filters),
    status: oneOf(filters.statuses),
    owner: filters.owner,
    visibility: filters.visibility,
    member_status: filters.memberStatus,
    os_hidden: filters.hidden,
    protected: filters.protected,
    disk_format: oneOf(filters.diskFormats),
    container_format: oneOf(filters.containerFormats),
    min_disk: filters.minDiskGiB,
    min_ram: filters.minRAMMiB,
    size_min: filters.minSize,
    size_max: filters.maxSize,
    checksum: filters.checksum,
    os_hash_value: filters.hash,
    created_at: timeFilter('created', filters.createdSince, filters.createdBefore),
    updated_at: timeFilter('updated', filters.updatedSince, filters.updatedBefore),
  };
  const query = new URLSearchParams(filters.properties);
  for (const [key, value] of Object.entries(plain)) if (value !== undefined) query.set(key, String(value));
  for (const tag of filters.tags ?? []) query.append('tag', tag);
  return query.toString();
}

function nameFilter({ name, names }: ListFilters): string | undefined {
  if (name !== undefined && names !== undefined) throw new InvalidRequest('filters: either name or names');
  if (names !== undefined && names.length > 1) return `in:${names.map(quotedName).join(',')}`;
  const only = name ?? names?.[0];
  return only === undefined ? undefined : literal(only);
}

/** In quotes a comma is a part of the name. Glance knows an escape for quotes, but keeps it in the name that it looks for. */
function quotedName(name: string): string {
  if (!name.includes('"') && !name.endsWith('\\')) return `"${name}"`;
  throw new InvalidRequest(`filters.names: Glance cannot find ${JSON.stringify(name)} as one of several names`);
}

/** Keeps a name that looks like a comparison (`gt:x`) a name. */
function literal(name: string): string {
  return /^(?:gt|gte|lt|lte|eq|neq|in):/.test(name) ? `eq:${name}` : name;
}

/** None of these values contains a quote or a comma: they are ids and keywords of Glance. */
function oneOf(values: readonly string[] | undefined): string | undefined {
  return values === undefined ? undefined : `in:${values.join(',')}`;
}

function timeFilter(name: string, since: Date | undefined, before: Date | undefined): string | undefined {
  if (since !== undefined && before !== undefined) {
    throw new InvalidRequest(`filters: either ${name}Since or ${name}Before: Glance compares with one time`);
  }
  if (since !== undefined) return `gte:${seconds(since)}`;
  return before === undefined ? undefined : `lt:${seconds(before)}`;
}

function seconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}

/**
 * The image that `import.filter` means.
 *
 * Invariants: without `owner`, an image of another project never matches, unless its visibility `public` is written out. What Glance
 * lists is compared here again, because a database may compare text without regard to case. Every list has a limit.
 */
import type { ImportFilter, ImportSpec } from '../../api/import.ts';
import type { ImageClient } from '../../glance/client/index.ts';
import { dateOf, type Image } from '../../glance/image.ts';
import type { ImageSort, ListFilters } from '../../glance/list.ts';

export type Picked =
  | { kind: 'one'; image: Image }
  | { kind: 'none' }
  /** `isCut`: there may be more than these. */
  | { kind: 'several'; ids: readonly string[]; isCut: boolean };

export type Lister = Pick<ImageClient, 'list'>;

/** Of one list. */
const mostListed = 200;
const pageSize = 100;

const newestFirst: readonly ImageSort[] = [
  { key: 'created_at', direction: 'desc' },
  { key: 'id', direction: 'desc' },
];

/** `projectID`: of the credentials. */
export async function pick(
  filter: ImportFilter,
  select: ImportSpec['select'],
  projectID: string,
  images: Lister,
  signal: AbortSignal,
): Promise<Picked> {
  const owner = searchedOwner(filter, projectID);
  if (select === 'Newest') {
    // An image that gets its data now does not replace the one that has it.
    const active = await matches({ ...filter, owner }, ['active'], images, signal);
    const [newest] = active.images.sort(laterFirst);
    if (newest !== undefined) return { kind: 'one', image: newest };
  }
  const all = await matches({ ...filter, owner }, undefined, images, signal);
  const stored = all.images.filter(hasData);
  const candidates = (stored.length > 0 ? stored : all.images).sort(laterFirst);
  const [first] = candidates;
  if (first === undefined) return { kind: 'none' };
  if (candidates.length === 1 || select === 'Newest') return { kind: 'one', image: first };
  return { kind: 'several', ids: candidates.map(({ id }) => id), isCut: all.isCut };
}

/** The project whose images count; undefined: of any. */
export function searchedOwner({ owner, visibility }: ImportFilter, projectID: string): string | undefined {
  return owner ?? (visibility === 'public' ? undefined : projectID);
}

interface Matches {
  images: Image[];
  isCut: boolean;
}

/**
 * The images that match; hidden ones, which are left out of usual lists, only if no other does. An image without data replaces none that
 * has data, also if that is hidden.
 */
async function matches(
  filter: ImportFilter,
  statuses: readonly string[] | undefined,
  images: Lister,
  signal: AbortSignal,
): Promise<Matches> {
  const { name, tags, properties, visibility = 'all', owner } = filter;
  const filters: ListFilters = {
    visibility,
    memberStatus: 'all',
    ...(name === undefined ? {} : { name }),
    ...(tags === undefined ? {} : { tags }),
    ...(properties === undefined ? {} : { properties }),
    ...(owner === undefined ? {} : { owner }),
    ...(statuses === undefined ? {} : { statuses }),
  };
  let empty: Matches = { images: [], isCut: false };
  for (const hidden of [false, true]) {
    const found: Image[] = [];
    let listed = 0;
    const walk = { pageSize, limit: mostListed, sort: newestFirst };
    for await (const image of images.list({ ...filters, hidden }, signal, walk)) {
      listed++;
      if (isMatch(image, filter)) found.push(image);
    }
    const matching = { images: found, isCut: listed >= mostListed };
    if (found.some(hasData)) return matching;
    if (empty.images.length === 0) empty = matching;
  }
  return empty;
}

function hasData({ status }: Image): boolean {
  return status === 'active' || status === 'deactivated';
}

export function isMatch(image: Image, { name, tags = [], properties = {}, visibility, owner }: ImportFilter): boolean {
  return (
    (name === undefined || image.name === name) &&
    (visibility === undefined || image.visibility === visibility) &&
    (owner === undefined || image.owner === owner) &&
    tags.every((tag) => image.tags.includes(tag)) &&
    Object.entries(properties).every(([key, value]) => hasProperty(image, key, value)) &&
    !gone.includes(image.status)
  );
}

const gone: readonly string[] = ['killed', 'deleted', 'pending_delete'];

/** JSON that was decoded is compared by Glance alone. */
function hasProperty({ properties }: Image, key: string, value: string): boolean {
  const found = Object.hasOwn(properties, key) ? properties[key] : undefined;
  return typeof found === 'string' ? found === value : found !== undefined;
}

function laterFirst(a: Image, b: Image): number {
  const [earlier, later] = [dateOf(a.createdAt).getTime(), dateOf(b.createdAt).getTime()];
  if (earlier !== later) return later - earlier;
  return a.id < b.id ? 1 : -1;
}

/**
 * Listing images page by page. Law: every image that exists during the whole walk is seen exactly once, whatever is created
 * or deleted meanwhile, and the walk ends.
 *
 * The marker is our own: the `next` link of Glance loses repeated parameters, and is only taken as the word that there is
 * more.
 */
import { Conflict, GlanceUnavailable, InvalidRequest } from './errors.ts';
import type { Image } from './image.ts';

/** All that are given must hold. Without `visibility`, community images of others are left out. */
export interface ListFilters {
  name?: string;
  owner?: string;
  visibility?: 'public' | 'private' | 'shared' | 'community' | 'all';
  /** true: only the hidden ones; otherwise only those that are not. */
  hidden?: boolean;
  tags?: readonly string[];
  /** Custom properties, by equality of their texts. */
  properties?: Readonly<Record<string, string>>;
  /** Only images changed at or after this time; Glance counts in whole seconds. */
  updatedSince?: Date;
}

export interface Page {
  images: Image[];
  more: boolean;
}

/** Glance's own default allows up to 1000; the cost of an image in a list does not depend on it. */
export const defaultPageSize = 500;
/** A list that does not end here does not end. */
const mostPages = 2000;
/** How many images in a row may vanish under the walk before it gives up. */
const mostMarkers = 20;

/** `fetchPage` gets the query, without question mark; its InvalidRequest for a marker means that the marker is gone. */
export async function* listPages(
  filters: ListFilters,
  pageSize: number,
  fetchPage: (query: string) => Promise<Page>,
): AsyncGenerator<Image> {
  const fetchAfter = (marker?: string) => fetchPage(listQuery(filters, pageSize, marker));
  // Ids of the last images, the latest first: where one has vanished, the one before it marks the same place.
  let markers: string[] = [];
  for (let pages = 0; pages < mostPages; pages++) {
    const page = await nextPage(markers, fetchAfter);
    const seen = new Set(markers);
    const fresh = page.images.filter((image) => !seen.has(image.id));
    yield* fresh;
    if (!page.more) return;
    if (fresh.length === 0) throw endless();
    markers = [...fresh.map((image) => image.id).reverse(), ...markers].slice(0, Math.max(pageSize, mostMarkers));
  }
  throw endless();
}

async function nextPage(markers: string[], fetchAfter: (marker?: string) => Promise<Page>): Promise<Page> {
  if (markers.length === 0) return fetchAfter();
  for (const marker of markers.slice(0, mostMarkers)) {
    try {
      return await fetchAfter(marker);
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
    }
  }
  throw new Conflict('the images were deleted while their list was being read');
}

function endless(): GlanceUnavailable {
  return new GlanceUnavailable("Glance's list of images does not end", { kind: 'backoff' }, {});
}

/** Oldest first, so that what is created during the walk comes at its end. */
export function listQuery(filters: ListFilters, pageSize: number, marker?: string): string {
  const query = new URLSearchParams({ ...filters.properties, limit: String(pageSize), sort: 'created_at:asc,id:asc' });
  if (filters.name !== undefined) query.set('name', filters.name);
  if (filters.owner !== undefined) query.set('owner', filters.owner);
  if (filters.visibility !== undefined) query.set('visibility', filters.visibility);
  if (filters.hidden !== undefined) query.set('os_hidden', String(filters.hidden));
  for (const tag of filters.tags ?? []) query.append('tag', tag);
  if (filters.updatedSince !== undefined) {
    query.set('updated_at', `gte:${filters.updatedSince.toISOString().replace(/\.\d+Z$/, 'Z')}`);
  }
  if (marker !== undefined) query.set('marker', marker);
  return query.toString();
}

/**
 * Finds images.
 *
 * Invariant: an image that the requester may not use is not found, in a list or by its id.
 */

import type { ImageClient } from '../glance/client/index.ts';
import { ImageNotFound, NotAuthorized, NotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import type { ImageSort, ListFilters } from '../glance/list.ts';
import { isImageAvailable, type Requester } from './availability.ts';
import { queryIn } from './check.ts';

export interface ImageQuery {
  filters?: ListFilters;
  /** The id of an image that matches the filters: the list begins after it. */
  marker?: string;
  /** The maximum number of images. Default: all. */
  limit?: number;
  /** Default: newest first, as in Glance. */
  sort?: readonly ImageSort[];
}

export interface Reads {
  detail(query: unknown, signal: AbortSignal): AsyncGenerator<Image>;
  /** Throws ImageNotFound if it is not available. */
  find(id: string, signal: AbortSignal): Promise<Image>;
  /** Like `find`, without a call if it cannot fail. */
  expect(id: string, signal: AbortSignal): Promise<void>;
}

const newestFirst: readonly ImageSort[] = [
  { key: 'created_at', direction: 'desc' },
  { key: 'id', direction: 'desc' },
];

export function createReads(client: ImageClient, requester: Requester): Reads {
  /** With a token or as an administrator every image that Glance returns is available. */
  const seesAll = requester.token || requester.admin === true;

  async function isAvailable(image: Image, signal: AbortSignal): Promise<boolean> {
    const available = isImageAvailable(image, requester);
    if (available !== 'unknown') return available;
    return isImageAvailable(image, requester, await membersOf(image.id, signal)) === true;
  }

  /** A requester who may not see the members is not one of them. */
  async function membersOf(id: string, signal: AbortSignal) {
    try {
      return await client.members.list(id, signal);
    } catch (error) {
      if (error instanceof NotAuthorized || error instanceof NotFound) return [];
      throw error;
    }
  }

  async function find(id: string, signal: AbortSignal): Promise<Image> {
    const image = await client.get(id, signal);
    if (await isAvailable(image, signal)) return image;
    throw new ImageNotFound(`image ${id} is not available to project ${requester.projectId ?? '(none)'}`, {});
  }

  return {
    async *detail(query, signal) {
      const { filters = {}, marker, limit, sort = newestFirst } = queryIn(query);
      const walk = {
        sort,
        ...(marker === undefined ? {} : { marker }),
        ...(limit === undefined || !seesAll ? {} : { limit }),
      };
      let left = limit ?? Number.POSITIVE_INFINITY;
      if (left <= 0) return;
      for await (const image of client.list(filters, signal, walk)) {
        if (!(await isAvailable(image, signal))) continue;
        yield image;
        if (--left === 0) return;
      }
    },
    find,
    async expect(id, signal) {
      if (!seesAll) await find(id, signal);
    },
  };
}

/**
 * The tags of an image, one at a time. (All at once: `patch`.) A tag that is empty, has a slash or a letter beyond
 * ASCII is an InvalidRequest.
 *
 * Invariant: adding twice is adding once.
 */
import { InvalidRequest } from '../errors.ts';
import { imagePath, isDots } from '../ref.ts';
import type { Calls } from './call.ts';

export interface ImageTags {
  addTag(id: string, tag: string, signal: AbortSignal): Promise<void>;
  /** ImageNotFound: the image does not exist or has no such tag, perhaps by an earlier attempt of this call. */
  removeTag(id: string, tag: string, signal: AbortSignal): Promise<void>;
}

export function imageTags({ send }: Calls): ImageTags {
  return {
    async addTag(id, tag, signal) {
      await send({ operation: 'tag', imageId: id, method: 'PUT', path: pathOf(id, tag) }, signal);
    },
    async removeTag(id, tag, signal) {
      await send({ operation: 'tag', imageId: id, method: 'DELETE', path: pathOf(id, tag) }, signal);
    },
  };
}

/** Glance finds no route for a slash, even if it is escaped, and splits letters beyond ASCII into bytes. Dots would lead elsewhere. */
export function fitsInPath(tag: string): boolean {
  return /^[\x20-\x7e]+$/.test(tag) && !tag.includes('/') && !isDots(tag);
}

function pathOf(id: string, tag: string): string {
  if (fitsInPath(tag)) return `${imagePath(id)}/tags/${encodeURIComponent(tag)}`;
  throw new InvalidRequest(`tag ${JSON.stringify(tag)}: Glance can only set it together with all others`);
}

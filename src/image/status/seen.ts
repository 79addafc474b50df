/**
 * An image as a status shows it.
 *
 * Invariant: pure; while Glance reports the same, the same is shown, with the time at which it was seen first, so nothing is written.
 */
import { isDeepStrictEqual } from 'node:util';
import { rfc3339 } from '../../api/conditions.ts';
import type { SeenImage } from '../../api/status.ts';
import type { Image } from '../../glance/image.ts';
import { markProperties } from '../model/identity.ts';
import { sanitise } from '../model/sanitise.ts';

/** Whether a status that shows `before` would show the same of this image. */
export function isAsSeen(image: Image, before: SeenImage | undefined): boolean {
  return before !== undefined && seen(image, before, new Date(0)) === before;
}

/** The image as status shows it. While Glance reports the same, the time at which it was seen stays too. */
export function seen(image: Image, before: SeenImage | undefined, now: Date): SeenImage | undefined {
  const hidden = markProperties;
  const properties = Object.fromEntries(Object.entries(image.properties).filter(([key]) => !hidden.includes(key)));
  const shown = {
    name: image.name ?? undefined,
    status: image.status,
    visibility: image.visibility,
    owner: image.owner ?? undefined,
    diskFormat: image.diskFormat ?? undefined,
    containerFormat: image.containerFormat ?? undefined,
    size: image.size ?? undefined,
    virtualSize: image.virtualSize ?? undefined,
    checksum: image.checksum ?? undefined,
    hash: image.hash ?? undefined,
    minDiskGiB: image.minDiskGiB,
    minRAMMiB: image.minRAMMiB,
    protected: image.protected,
    hidden: image.hidden,
    tags: image.tags,
    properties,
    stores: image.stores,
    createdAt: image.createdAt,
    updatedAt: image.updatedAt,
    observedAt: rfc3339(now),
  };
  const fresh = sanitise({ image: shown }).image;
  if (before !== undefined && isDeepStrictEqual({ ...fresh, observedAt: before.observedAt }, before)) return before;
  return fresh;
}

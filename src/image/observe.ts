/** What Glance holds for a resource. Law: it only reads, and it tells "not there" from "could not be asked". */
import type { ImageClient } from '../glance/client.ts';
import { ImageNotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { type Identity, incarnationOf, isOurs } from './identity.ts';
import type { Observation } from './plan.ts';

/**
 * `recordedID` is the id that the status names. Without one nothing was ever seen, and the answer to the first POST tells
 * whether an image is there already, so no question is spent here.
 */
export async function observe(
  images: ImageClient,
  identity: Identity,
  recordedID: string | undefined,
  signal: AbortSignal,
): Promise<Observation> {
  const incarnation = recordedID === undefined ? undefined : incarnationOf(identity.uid, recordedID);
  if (recordedID === undefined || incarnation === undefined) return { kind: 'absent', incarnation: 0 };
  return judge(await find(images, recordedID, signal), identity, incarnation, recordedID);
}

/** An id is never reused by Glance: when its image is gone, or was never ours, the next incarnation is the one to make. */
export function judge(
  image: Image | undefined,
  identity: Identity,
  incarnation: number,
  recordedID: string | undefined,
): Observation {
  if (image === undefined || isDeleted(image) || !isOurs(image, identity, recordedID)) {
    return { kind: 'absent', incarnation: incarnation + 1 };
  }
  return { kind: 'present', incarnation, image };
}

function isDeleted(image: Image): boolean {
  return image.status === 'deleted' || image.status === 'pending_delete';
}

/** The image, or undefined when Glance does not know it. */
export async function find(images: ImageClient, id: string, signal: AbortSignal): Promise<Image | undefined> {
  try {
    return await images.get(id, signal);
  } catch (error) {
    if (error instanceof ImageNotFound) return undefined;
    throw error;
  }
}

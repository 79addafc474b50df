/** What Glance holds for a resource. Law: it only reads, and it tells "not there" from "could not be asked". */
import type { ImageClient } from '../glance/client/index.ts';
import { ImageNotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { type Claim, incarnationOf, isOurs, isTakenOver } from './identity.ts';
import type { Observation } from './plan.ts';

/**
 * By the ID in the status. Without one no image was ever seen, and the answer to the first POST shows whether there is an
 * image already, so no call is made here.
 */
export async function observe(images: ImageClient, claim: Claim, signal: AbortSignal): Promise<Observation> {
  const id = claim.recorded?.id;
  const incarnation = id === undefined ? undefined : incarnationOf(claim.uid, id, claim.incarnation);
  if (id === undefined || incarnation === undefined) return { kind: 'absent', incarnation: claim.incarnation };
  return judge(await find(images, id, signal), claim, incarnation, id);
}

/**
 * Glance never reuses an ID: when its image is gone, or was never ours, the next incarnation is the one to make. `knownID` is
 * the ID of an image that we know.
 */
export function judge(
  image: Image | undefined,
  claim: Claim,
  incarnation: number,
  knownID: string | undefined,
): Observation {
  if (image !== undefined && !isDeleted(image)) {
    if (isOurs(image, claim, knownID)) return { kind: 'present', incarnation, image };
    if (isTakenOver(image, claim, knownID)) return { kind: 'takenOver', image };
  }
  return { kind: 'absent', incarnation: incarnation + 1 };
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

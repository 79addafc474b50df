/**
 * Deletion: the image first, the finalizer last. Laws: every incarnation of the image goes, also one whose creation was
 * never recorded; nothing that is not ours is touched; what the operator protected it unprotects, what somebody else
 * protected stays.
 */
import type { ImageClient } from '../glance/client/index.ts';
import type { Image } from '../glance/image.ts';
import { OperatorError } from '../lib/errors.ts';
import { removeIfThere } from './act.ts';
import type { Change, Facts } from './facts.ts';
import { type Claim, isOurs, isTakenOver, ownerProperty } from './identity.ts';
import { find } from './observe.ts';

export interface DeleteOptions {
  images: ImageClient;
  claim: Claim;
  /** Whether the declaration protects the image. */
  protects: boolean;
  signal: AbortSignal;
}

/** An upload that is just being cut off may let an image appear late; each round looks again. */
const maxRounds = 4;

/** Resolves when Glance holds no image of ours any more. Adds the deletions to `facts` as they happen. */
export async function deleteImages(facts: Facts, options: DeleteOptions): Promise<void> {
  const { images, signal } = options;
  for (let round = 0; round < maxRounds; round++) {
    const { ours, takenOver } = await findOurs(options);
    if (ours.length === 0) {
      if (takenOver !== undefined) facts.changes.push({ kind: 'left', id: takenOver.id, owner: takenOver.owner });
      facts.image = 'gone';
      return;
    }
    for (const image of ours) {
      facts.image = image;
      if (image.protected && options.protects) await unprotect(images, image, signal);
      await removeIfThere(images, image.id, signal);
      const change: Change = { kind: 'deleted', id: image.id };
      facts.changes.push(change);
    }
  }
  throw new OperatorError('Glance still lists the image after it was deleted', {
    code: 'Conflict',
  });
}

/** By the mark, hidden ones too, and the one in the status, should a policy hide the mark. */
async function findOurs({ images, claim, signal }: DeleteOptions): Promise<{ ours: Image[]; takenOver?: Image }> {
  const found = new Map<string, Image>();
  const recordedID = claim.recorded?.id;
  for (const hidden of [false, true]) {
    for await (const image of images.list(
      { properties: { [ownerProperty]: claim.owner }, hidden, visibility: 'all' },
      signal,
    )) {
      if (isOurs(image, claim, recordedID)) found.set(image.id, image);
    }
  }
  if (recordedID !== undefined && !found.has(recordedID)) {
    const image = await find(images, recordedID, signal);
    if (image !== undefined && isOurs(image, claim, recordedID)) found.set(image.id, image);
    if (image !== undefined && isTakenOver(image, claim, recordedID))
      return { ours: [...found.values()], takenOver: image };
  }
  return { ours: [...found.values()] };
}

async function unprotect(images: ImageClient, image: Image, signal: AbortSignal): Promise<void> {
  await images.patch(image.id, [{ op: 'replace', path: '/protected', value: false }], signal);
}

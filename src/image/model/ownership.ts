/**
 * Whether an image belongs to a resource. It is worked out from the image and from what the operator remembers of it, never
 * from a name.
 *
 * Invariant: an image of another project, another resource or another cluster is foreign, whatever else fits: neighbours can
 * read the marks and choose IDs. A missing owner mark is restored only on an image that the memory of this uid names and whose
 * ID follows from the uid, or that was taken over.
 */
import type { Image } from '../../glance/image.ts';
import { printable } from '../../lib/text.ts';
import { clusterProperty, type Identity, nearNumberOf, numberOf, ownerProperty } from './identity.ts';

export type Ownership =
  /** Made by the operator for this resource. `isMarked`: its owner mark is there; otherwise it is to be restored. */
  | { kind: 'created'; number: number; isMarked: boolean }
  /** It existed before, and `import.id` names it. `isTaken`: it bears the owner mark of this resource, or is remembered to have borne it. */
  | { kind: 'adopted'; isMarked: boolean; isTaken: boolean }
  /** Only shown in the status. */
  | { kind: 'observed' }
  | { kind: 'foreign'; why: 'project' | 'owner' | 'cluster' | 'id' };

/** What an image is compared with. */
export interface Claim extends Identity {
  /** Names of other clusters whose images are taken over. */
  inheritFrom: readonly string[];
  /** Projects that may own the images: the declared one, the one applied last, and that of the credentials. */
  projects: readonly string[];
  /** IDs of the images that the memory of this uid names. */
  recorded: readonly string[];
  /** The lowest number that is not used up. */
  next: number;
  /** ID of the image that is to be taken over. */
  adopts?: string | undefined;
  /** ID of the image that was. */
  adopted?: string | undefined;
}

/** Whether the image belongs to the resource. One that is to be taken over, and was not yet, does not. */
export function isOurs(ownership: Ownership): boolean {
  switch (ownership.kind) {
    case 'created':
      return true;
    case 'adopted':
      return ownership.isTaken;
    case 'observed':
    case 'foreign':
      return false;
  }
}

export function ownershipOf(image: Image, claim: Claim): Ownership {
  if (image.owner === null || !claim.projects.includes(image.owner)) return { kind: 'foreign', why: 'project' };
  const owner = image.properties[ownerProperty];
  const cluster = image.properties[clusterProperty];
  if (owner !== undefined && owner !== claim.owner) return { kind: 'foreign', why: 'owner' };
  const isHere = cluster === undefined || cluster === claim.cluster || isInherited(cluster, claim);
  if (!isHere) return { kind: 'foreign', why: 'cluster' };
  const isMarked = owner !== undefined;
  if (image.id === claim.adopts) return { kind: 'adopted', isMarked, isTaken: isMarked || claim.adopted === image.id };
  const isRecorded = claim.recorded.includes(image.id);
  if (owner === undefined && !isRecorded) return { kind: 'foreign', why: 'owner' };
  // The images of a moved object have IDs of another uid as a rule, and a long search would find none of them.
  const number = (claim.isOriginal ? numberOf : nearNumberOf)(claim.uid, image.id, claim.next);
  if (number !== undefined) return { kind: 'created', number, isMarked: owner !== undefined };
  // An image of a moved object has an ID of the uid before the move.
  const isMoved = owner !== undefined && (!claim.isOriginal || isRecorded);
  return isMoved ? { kind: 'created', number: 0, isMarked: true } : { kind: 'foreign', why: 'id' };
}

/** Whether a request of this resource has just made it under an ID that Glance chose. The response may name any other image. */
export function isMadeElsewhere(image: Image, claim: Claim): boolean {
  const ownership = ownershipOf(image, claim);
  const isMarked = image.properties[ownerProperty] === claim.owner;
  const isOther = ownership.kind === 'foreign' && ownership.why !== 'id';
  return isMarked && !isOther && image.status === 'queued' && !claim.recorded.includes(image.id);
}

/** In a message. */
const longestCluster = 64;

/** To be read after "image …". */
export function whyForeign({ owner, properties }: Image, why: Extract<Ownership, { kind: 'foreign' }>['why']): string {
  switch (why) {
    case 'project':
      return owner === null ? 'has no owner now' : `belongs to project ${owner} now`;
    case 'cluster':
      return `bears the mark of another cluster (${printable(String(properties[clusterProperty]), longestCluster)}) now`;
    case 'owner':
    case 'id':
      return properties[ownerProperty] === undefined
        ? 'has lost its owner mark, and its ID does not follow from the UID of this GlanceImage'
        : 'bears the mark of another owner now';
  }
}

function isInherited(cluster: unknown, { inheritFrom }: Claim): boolean {
  return typeof cluster === 'string' && inheritFrom.includes(cluster);
}

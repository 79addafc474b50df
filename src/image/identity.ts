/**
 * Which image belongs to a resource. The ID is a function of the resource's uid and a count of incarnations, so a crash
 * anywhere derives the same ID again. An image is ours by that ID, its owner mark and the project that owns it, never by its
 * name.
 *
 * Invariant: an image of another project is foreign. Its ID and its marks prove nothing, because the neighbours in a cloud can
 * read the marks and choose IDs.
 */
import { createHash } from 'node:crypto';
import type { GlanceImage } from '../api/glanceimage.ts';
import type { Image } from '../glance/image.ts';

export const ownerProperty = 'glance_image_operator_owner';
export const clusterProperty = 'glance_image_operator_cluster';

/** The incarnation of an ID is searched so far beyond the last one that is known: more than a reconcile can pass. */
const searchBeyond = 1000;

/** What proves that an image belongs to a resource. */
export interface Identity {
  uid: string;
  /** `namespace/name/hash` of the resource: see `ownerOf`. */
  owner: string;
  /** Name of this cluster, by which people and lists tell the images of several clusters apart. It proves nothing. */
  cluster: string;
}

export function identityOf(resource: GlanceImage, cluster: string): Identity {
  const { namespace, name, uid } = resource.metadata;
  return { uid, owner: ownerOf(namespace, name, uid), cluster };
}

/**
 * The owner mark: `namespace/name/` and the first 32 hex digits of the SHA-256 of the uid. Everybody who sees the image can read
 * it. The uid itself would give them the IDs of the images to come.
 */
export function ownerOf(namespace: string, name: string, uid: string): string {
  const hash = createHash('sha256').update(uid).digest('hex').slice(0, 32);
  return `${namespace}/${name}/${hash}`;
}

/** What a resource may take for its own. */
export interface Claim extends Identity {
  /** The projects that may own its images: the declared one, and that of the credentials. */
  owners: readonly string[];
  /** The image in the status, and the project that owned it when it was seen last. */
  recorded: { id: string; owner: string | undefined } | undefined;
  /** The last incarnation in the status: of the image, or of the one to create next. */
  incarnation: number;
}

/** `projectID`: the project of the credentials. */
export function claimOf({ spec, status }: GlanceImage, identity: Identity, projectID: string): Claim {
  const { owner } = spec.image;
  const { imageID, image, operation } = status;
  return {
    ...identity,
    owners: owner === undefined ? [projectID] : [owner, projectID],
    recorded: imageID === undefined ? undefined : { id: imageID, owner: image?.owner },
    incarnation: operation?.incarnation ?? 0,
  };
}

/** The id of the `incarnation`-th image of a resource: a UUID of version 5 in the namespace of the resource's uid. */
export function imageIDOf(uid: string, incarnation: number): string {
  const hash = createHash('sha1')
    .update(Buffer.from(uid.replaceAll('-', ''), 'hex'))
    .update(String(incarnation))
    .digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The incarnation of an ID; undefined when it is no ID of this resource. `last`: the last incarnation that is known. */
export function incarnationOf(uid: string, imageID: string, last: number): number | undefined {
  if (imageIDOf(uid, last) === imageID) return last;
  for (let incarnation = 0; incarnation < last + searchBeyond; incarnation++) {
    if (imageIDOf(uid, incarnation) === imageID) return incarnation;
  }
  return undefined;
}

export function markOf(identity: Identity): Record<string, string> {
  return { [ownerProperty]: identity.owner, [clusterProperty]: identity.cluster };
}

/**
 * Whether the image is ours. `knownID` is the ID of an image that we know: with its mark removed it is still ours, and the mark
 * is restored as any drift is; with another mark it is not.
 */
export function isOurs(image: Image, claim: Claim, knownID: string | undefined): boolean {
  return bearsOurMark(image, claim, knownID) && isInOurProject(image, claim);
}

/** Whether it is the image that we know, with our mark, in a project that it was neither made in nor declared for. */
export function isTakenOver(image: Image, claim: Claim, knownID: string | undefined): boolean {
  return image.id === knownID && bearsOurMark(image, claim, knownID) && !isInOurProject(image, claim);
}

function bearsOurMark(image: Image, { uid, owner, incarnation }: Claim, knownID: string | undefined): boolean {
  if (incarnationOf(uid, image.id, incarnation) === undefined) return false;
  const mark = image.properties[ownerProperty];
  return mark === undefined ? image.id === knownID : mark === owner;
}

function isInOurProject({ id, owner }: Image, { owners, recorded }: Claim): boolean {
  return owner !== null && (owners.includes(owner) || (id === recorded?.id && owner === recorded.owner));
}

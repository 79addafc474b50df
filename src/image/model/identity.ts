/**
 * The names under which a resource owns images: its identity, its owner mark, and the IDs of its images. An ID is a function of
 * the uid of the resource and a number, so a crash at any point derives the same ID again.
 *
 * Invariant: nothing that other projects can read reveals the uid, because the IDs of the next images follow from it.
 */

import { createHash } from 'node:crypto';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { identityAnnotation } from '../../api/group.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import { textHash } from '../../lib/hash.ts';

export const ownerProperty = 'glance_image_operator_owner';
export const clusterProperty = 'glance_image_operator_cluster';
export const contentProperty = 'glance_image_operator_content';

/** The properties that the operator keeps on each of its images. */
export const markProperties: readonly string[] = [ownerProperty, clusterProperty, contentProperty];

export interface Identity {
  uid: string;
  /** 32 hex digits. */
  value: string;
  /** Value of the owner mark: `namespace/name/identity`. */
  owner: string;
  /** Value of the cluster mark: the name of this cluster. */
  cluster: string;
  /** The identity is that of the uid. Otherwise the object was moved here, and its images have IDs of another uid. */
  isOriginal: boolean;
}

const identityPattern = /^[0-9a-f]{32}$/;

/**
 * The identity of a resource, which the annotation carries to a new object after a move or a restore. `remembered` is that of this
 * object, if it was moved here: `kubectl replace` and other tools drop annotations.
 */
export function identityOf({ metadata }: GlanceImage, cluster: string, remembered?: string): Identity {
  const { namespace, name, uid, annotations } = metadata;
  const original = originalIdentity(uid);
  const known = [annotations[identityAnnotation], remembered].find(
    (one) => one !== undefined && identityPattern.test(one),
  );
  const value = known ?? original;
  return { uid, value, owner: `${namespace}/${name}/${value}`, cluster, isOriginal: value === original };
}

/** 32 hex digits that follow from the uid and do not reveal it. */
export function originalIdentity(uid: string): string {
  return textHash(uid, 32);
}

/** The owner mark of a resource that was never moved. */
export function ownerOf(namespace: string, name: string, uid: string): string {
  return `${namespace}/${name}/${originalIdentity(uid)}`;
}

export function markOf({ owner, cluster }: Identity): Record<string, string> {
  return { [ownerProperty]: owner, [clusterProperty]: cluster };
}

/** The ID of the image with this number: a UUID of version 5 in the namespace of the uid. */
export function imageIDOf(uid: string, number: number): string {
  const hash = createHash('sha1')
    .update(Buffer.from(uid.replaceAll('-', ''), 'hex'))
    .update(String(number))
    .digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** How many IDs are computed together, and how many numbers are searched on both sides of the next one at first. */
const blockLength = 10_000;
const near = 64;
/** No resource has used up more. It keeps a number from a hostile status within what can be counted. */
export const mostNumbers = 2 ** 31;

/** The last that were computed. Anyone may put the mark of a resource on thousands of images whose IDs follow from nothing. */
const blocks = new BoundedMap<string, ReadonlyMap<string, number>>(8);

/**
 * Undefined: the ID does not follow from this uid, or its number is far from zero and from the next one. Only a lost status makes
 * more than a few numbers necessary.
 */
export function numberOf(uid: string, imageID: string, next: number): number | undefined {
  const found = nearNumberOf(uid, imageID, next);
  if (found !== undefined) return found;
  const here = Math.floor(next / blockLength);
  for (const index of new Set([0, Math.max(0, here - 1), here])) {
    const number = blockOf(uid, index).get(imageID);
    if (number !== undefined) return number;
  }
  return undefined;
}

/** The same, where the number is close to the next one. It costs little for an ID that does not follow from this uid. */
export function nearNumberOf(uid: string, imageID: string, next: number): number | undefined {
  for (let away = 0; away <= near; away++) {
    for (const number of [next - away, next + away])
      if (number >= 0 && imageIDOf(uid, number) === imageID) return number;
  }
  return undefined;
}

function blockOf(uid: string, index: number): ReadonlyMap<string, number> {
  const key = `${uid} ${index}`;
  const first = index * blockLength;
  const idOf = (_: unknown, at: number): [string, number] => [imageIDOf(uid, first + at), first + at];
  const block = blocks.get(key) ?? new Map(Array.from({ length: blockLength }, idOf));
  blocks.set(key, block);
  return block;
}

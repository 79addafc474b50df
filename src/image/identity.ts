/**
 * Which image belongs to a resource. Laws: the id is a function of the resource's uid and a count of incarnations, not a
 * record, so a crash anywhere derives the same id again; and an image is ours by that id and its owner mark, never by its
 * name.
 */
import { createHash } from 'node:crypto';
import type { GlanceImage } from '../api/glanceimage.ts';
import type { Image } from '../glance/image.ts';

export const ownerProperty = 'glance_image_operator_owner';
export const clusterProperty = 'glance_image_operator_cluster';

/** Far more ids than a resource ever burns; a bound on the search for the incarnation of an id. */
const maxIncarnations = 1000;

/** What proves that an image belongs to a resource. */
export interface Identity {
  uid: string;
  /** `namespace/name/uid` of the resource. */
  owner: string;
  /** Name of this cluster, by which people and lists tell the images of several clusters apart. It proves nothing. */
  cluster: string;
}

export function identityOf(resource: GlanceImage, cluster: string): Identity {
  const { namespace, name, uid } = resource.metadata;
  return { uid, owner: `${namespace}/${name}/${uid}`, cluster };
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

/** Which incarnation an id is of, or undefined when it is not an id of this resource at all. */
export function incarnationOf(uid: string, imageID: string): number | undefined {
  for (let incarnation = 0; incarnation < maxIncarnations; incarnation++) {
    if (imageIDOf(uid, incarnation) === imageID) return incarnation;
  }
  return undefined;
}

export function markOf(identity: Identity): Record<string, string> {
  return { [ownerProperty]: identity.owner, [clusterProperty]: identity.cluster };
}

/**
 * Whether the image is ours. `recordedID` is the id that our status names: an image that we know and whose mark somebody
 * has removed is still ours, and the mark is restored as any drift is; one that bears another mark is not.
 */
export function isOurs(image: Image, identity: Identity, recordedID: string | undefined): boolean {
  if (incarnationOf(identity.uid, image.id) === undefined) return false;
  const owner = image.properties[ownerProperty];
  return owner === undefined ? image.id === recordedID : owner === identity.owner;
}

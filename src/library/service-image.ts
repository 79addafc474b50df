/**
 * An image as the service shows it: the fields that Glance reports, with times as Date.
 *
 * Invariant: no reported field is lost.
 */

import { dateOf, type Image } from '../glance/image.ts';
import type { JsonValue } from '../openstack/json.ts';

export interface ServiceImage extends Omit<Image, 'createdAt' | 'updatedAt'> {
  createdAt: Date;
  updatedAt: Date;
  /** The id, in the key manager, of the key for the image of an encrypted volume. Also among the properties. */
  cinderEncryptionKeyId?: JsonValue;
}

export const encryptionKeyProperty = 'cinder_encryption_key_id';

export function serviceImageOf(image: Image): ServiceImage {
  const { createdAt, updatedAt, ...rest } = image;
  const key = image.properties[encryptionKeyProperty];
  return {
    ...rest,
    createdAt: dateOf(createdAt),
    updatedAt: dateOf(updatedAt),
    ...(key === undefined ? {} : { cinderEncryptionKeyId: key }),
  };
}

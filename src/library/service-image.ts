/**
 * An image as the service shows it: the fields that Glance reports, with times as Date.
 *
 * Invariant: no reported field is lost.
 */

import { dateOf, type Image } from '../glance/image.ts';
import { type ImportState, importState } from '../glance/import-state.ts';
import type { JsonValue } from '../openstack/json.ts';
import { checkShown, checkTexts } from './check.ts';

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

/**
 * Of an image for which an import, a copy or a new location was accepted. `requested`: the stores of that request. Without them,
 * a store where only an earlier import failed counts as failed, because Glance never removes it from its list. Throws InvalidRequest
 * for arguments of another type.
 */
export function checkedImportState(
  image: Pick<ServiceImage, 'status' | 'properties'>,
  requested?: readonly string[],
): ImportState {
  checkShown(image);
  if (requested !== undefined) checkTexts('requested', requested);
  return importState(image, requested);
}

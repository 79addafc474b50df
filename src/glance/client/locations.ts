/**
 * The locations of an image's data: the API of Glance 2.17 for them. Nothing is decided here. (Before 2.17 locations
 * were read with the image and added by `patch`, where a cloud allows that.)
 */

import { MalformedResponse } from '../../openstack/errors.ts';
import type { JsonObject } from '../../openstack/json.ts';
import { jsonOf } from '../../openstack/response.ts';
import { type ImageLocation, readLocations } from '../image.ts';
import { imagePath } from '../ref.ts';
import type { Calls } from './call.ts';

/** The expected data at a location; without it, Glance computes it. */
export interface LocationDigest {
  algorithm: 'md5' | 'sha1' | 'sha256' | 'sha512';
  /** In hex. */
  value: string;
}

export interface ImageLocations {
  /** For services and administrators. */
  list(id: string, signal: AbortSignal): Promise<ImageLocation[]>;
  /**
   * Returns when Glance has accepted to check the location; `importState` of the image shows its progress. Only for a
   * queued image with its formats set. Except for services and administrators, only `http` and `https`, and where the
   * cloud allows it.
   */
  add(id: string, url: string, digest: LocationDigest | undefined, signal: AbortSignal): Promise<void>;
}

/** The API version that introduced these calls. */
export const locationsVersion = 'v2.17';

export function imageLocations({ call, send }: Calls): ImageLocations {
  const path = (id: string) => `${imagePath(id)}/locations`;
  return {
    async list(id, signal) {
      const request = { operation: 'locations', imageId: id, method: 'GET', path: path(id) } as const;
      return call(request, signal, (response) => {
        const list = jsonOf(response);
        if (Array.isArray(list)) return readLocations(list);
        throw new MalformedResponse('it holds no list of locations', response.requestId);
      });
    },
    async add(id, url, digest, signal) {
      const about = { operation: 'addLocation', imageId: id, method: 'POST', path: path(id) } as const;
      await send({ ...about, body: { url, ...validationOf(digest) } }, signal);
    },
  };
}

/** The digest as both APIs for locations accept it. */
export function validationOf(digest: LocationDigest | undefined): JsonObject {
  if (digest === undefined) return {};
  return { validation_data: { os_hash_algo: digest.algorithm, os_hash_value: digest.value } };
}

/**
 * The locations of an image's data, on new and old clouds.
 *
 * Invariant: the API of 2.17 is called first if the cloud has it, and the earlier one if the new one does not serve; a
 * request fails only if both reject it.
 */

import type { ImageClient } from '../glance/client/index.ts';
import { type LocationDigest, locationsVersion, validationOf } from '../glance/client/locations.ts';
import { GlanceUnavailable, ImageNotAuthorized, NotAuthorized, NotFound } from '../glance/errors.ts';
import type { Image, ImageLocation } from '../glance/image.ts';
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import type { JsonObject } from '../openstack/json.ts';

/** Null and empty if the cloud shows nothing. */
export interface FoundLocations {
  /** Only by the earlier API. */
  directUrl: string | null;
  locations: ImageLocation[];
}

export interface NewLocation {
  url: string;
  /**
   * Stored with the location by the earlier API only. The new one determines the `store` itself and accepts no other keys, so
   * with other keys the location is added by the earlier API.
   */
  metadata?: JsonObject;
  /** The expected digest of the data. */
  digest?: LocationDigest;
}

export interface Locations {
  getLocation(id: string, signal: AbortSignal): Promise<FoundLocations>;
  /** `accepted`: Glance checks the location by itself; `importState` of the image shows the progress. */
  addLocation(id: string, location: NewLocation, signal: AbortSignal): Promise<'done' | 'accepted'>;
}

export interface LocationOptions {
  client: ImageClient;
  /** A client with the role of a service, which may use the new API. */
  privileged: ImageClient;
  /** Throws ImageNotFound if the image is not available. */
  find: (id: string, signal: AbortSignal) => Promise<Image>;
  /** The same, without a call if it cannot fail. */
  expect: (id: string, signal: AbortSignal) => Promise<void>;
}

/** The result of the new API. `rejection`: its error, if it was called. */
type Attempt<T> = { served: true; value: T } | { served: false; rejection?: OperatorError };

export function createLocations({ client, privileged, find, expect }: LocationOptions): Locations {
  async function byNewApi<T>(signal: AbortSignal, call: () => Promise<T>): Promise<Attempt<T>> {
    if (!(await offersLocations(privileged, signal))) return { served: false };
    try {
      return { served: true, value: await call() };
    } catch (error) {
      if (error instanceof OperatorError && (error.httpStatus === 403 || error.httpStatus === 501)) {
        return { served: false, rejection: error };
      }
      throw error;
    }
  }

  return {
    async getLocation(id, signal) {
      const attempt = await byNewApi(signal, () => privileged.locations.list(id, signal));
      if (attempt.served) {
        await expect(id, signal);
        return { directUrl: null, locations: attempt.value };
      }
      try {
        const { directUrl = null, locations = [] } = await find(id, signal);
        return { directUrl, locations };
      } catch (error) {
        if (error instanceof ImageNotAuthorized && error.httpStatus === 403) return { directUrl: null, locations: [] };
        throw error;
      }
    },

    async addLocation(id, { url, metadata = {}, digest }, signal) {
      const fitsNewApi = Object.keys(metadata).every((key) => key === 'store');
      const attempt: Attempt<void> = fitsNewApi
        ? await byNewApi(signal, () => privileged.locations.add(id, url, digest, signal))
        : { served: false };
      if (attempt.served) return 'accepted';
      const value = { url, metadata, ...validationOf(digest) };
      try {
        await client.patch(id, [{ op: 'add', path: '/locations/-', value }], signal);
        return 'done';
      } catch (error) {
        throw error instanceof ImageNotAuthorized && attempt.rejection !== undefined
          ? rejectedTwice(error, attempt.rejection)
          : error;
      }
    },
  };
}

/** A cloud that does not list its versions is taken for an old one. */
async function offersLocations(client: ImageClient, signal: AbortSignal): Promise<boolean> {
  try {
    return (await client.versions(signal)).includes(locationsVersion);
  } catch (error) {
    if (error instanceof NotFound || error instanceof NotAuthorized || error instanceof GlanceUnavailable) return false;
    throw error;
  }
}

function rejectedTwice(error: ImageNotAuthorized, first: OperatorError): ImageNotAuthorized {
  return new ImageNotAuthorized(`${first.message}; and by the earlier API: ${error.message}`, {
    cause: error,
    ...responseFieldsOf(error),
  });
}

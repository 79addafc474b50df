/** What a cloud reports about its image service. Invariant: unreported values are absent, never made up. */
import * as z from 'zod';
import { mapOf } from '../../lib/map-of.ts';
import { MalformedResponse } from '../../openstack/errors.ts';
import { jsonOf } from '../../openstack/response.ts';
import type { ImageSchema } from '../cloud-schema.ts';
import { translate } from '../errors.ts';
import type { Calls } from './call.ts';

/** MiB for `image_size_total` and `image_stage_total`, numbers of images for `image_count_total` and `image_count_uploading`. */
export interface QuotaUsage {
  limit: number;
  usage: number;
}

export interface ImageInfo {
  /** Of the project, by quota: `image_size_total`, …. Empty on a cloud that has no quotas. */
  usage(signal: AbortSignal): Promise<Record<string, QuotaUsage>>;
  /**
   * The cloud's schema, with which this client reads and writes images, in addition to the names that hold on every
   * cloud.
   */
  schema(signal: AbortSignal): Promise<ImageSchema>;
  /** The API versions of the cloud: `v2.17`, `v2.16`, … */
  versions(signal: AbortSignal): Promise<readonly string[]>;
}

const usageSchema = z.object({ usage: mapOf(z.object({ limit: z.number(), usage: z.number() })) });

export function imageInfo({ session, schema, call }: Calls): ImageInfo {
  return {
    schema,

    usage: (signal) =>
      call({ operation: 'usage', method: 'GET', path: '/info/usage' }, signal, (response) => {
        const quotas = usageSchema.safeParse(jsonOf(response));
        if (quotas.success) return Object.fromEntries(quotas.data.usage);
        throw new MalformedResponse('it contains no usage of quotas', response.requestId);
      }),

    async versions(signal) {
      try {
        return await session.versions('image', signal);
      } catch (error) {
        throw translate(error, 'versions');
      }
    },
  };
}

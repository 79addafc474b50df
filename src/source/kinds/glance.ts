/**
 * The source `content.glance`: another image of Glance, in the same cloud or in another one.
 *
 * Clients may choose the ID of an image, so an ID says which image it is within one cloud only.
 */

import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import type { ContentSpec } from '../../api/content.ts';
import { parseImageRef } from '../../glance/ref.ts';
import { compact } from '../../lib/compact.ts';
import { valueHash } from '../../lib/hash.ts';
import { openImageSource } from '../glance.ts';
import { type DeclaredContext, type DeclaredData, type PlannedSource, planned } from '../kind.ts';

export const GlancePlan = z.strictObject({
  kind: z.literal('glance'),
  /** ID of the image, or its URL. */
  image: planned.text,
  cloud: z.strictObject(planned.cloud),
});
export type GlancePlan = z.infer<typeof GlancePlan>;

export function declaredGlance(
  { image, cloud }: NonNullable<ContentSpec['glance']>,
  context: DeclaredContext,
): DeclaredData<GlancePlan> {
  const source = { kind: 'glance' as const, image, cloud: compact({ ...(cloud ?? context.cloud) }) };
  return { source, digest: undefined, digestOf: 'Image', decompress: 'None' };
}

/** An image as the source of its own data, to read it back. */
export function imageItself(imageID: string, cloud: GlancePlan['cloud']): GlancePlan {
  const { secretRef, name, region, serviceAccountName } = cloud;
  return { kind: 'glance', image: imageID, cloud: compact({ secretRef, name, region, serviceAccountName }) };
}

export function glanceSource(plan: GlancePlan): PlannedSource<GlancePlan> {
  const { image, cloud } = plan;
  const { secretRef, name, region, serviceAccountName } = cloud;
  const { id, ...where } = parseImageRef(image);
  return {
    secrets: [
      { use: 'cloud', ref: secretRef, field: 'spec.content.glance.cloud.secretRef', cloud: name, serviceAccountName },
    ],
    address: image,
    webDownloadURL: undefined,
    alternatives: [],
    bytesID: `glance=${id}`,
    placeBeside: (other) => {
      const place = [secretRef.name, name, region ?? '', where.kind === 'href' ? where.endpoint : ''];
      if (isDeepStrictEqual(place, [other.secretRef.name, other.name, other.region ?? '', ''])) return undefined;
      return valueHash(place, 16);
    },
    host: (namespace) => URL.parse(image)?.host ?? [namespace, secretRef.name, name, region ?? ''].join('/'),
    withSecrets(replace) {
      const other = replace('cloud', name);
      return other === undefined ? plan : { ...plan, cloud: compact({ secretRef: other, name, region }) };
    },
    async open({ secrets, sessions, resources, ...common }) {
      if (secrets.cloud === undefined) throw new TypeError('the credentials of the source cloud were not read');
      // A URL must be an endpoint of the cloud whose credentials the plan names: the session rejects any other.
      const endpoint = where.kind === 'href' ? { endpoint: where.endpoint } : {};
      const session = resources.use(sessions.use(secrets.cloud, { name, region, ...endpoint }));
      return openImageSource({ ...common, images: session.attached.images, id });
    },
  };
}

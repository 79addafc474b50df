/**
 * The data that a declaration asks for, in one shape for all kinds of source. Law: pure; everything about the data that is
 * declared appears here, and nothing about the record does.
 */

import { type CompleteSpec, withDefaults } from '../api/defaults.ts';
import type { CloudSpec, SecretRef } from '../api/fields.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { staysCompressed } from '../transfer/plan.ts';

/** Where the bytes come from. */
export type Origin =
  | {
      kind: 'http';
      url: string;
      mirrors: string[];
      headersSecretRef: SecretRef | undefined;
      caSecretRef: SecretRef | undefined;
    }
  | { kind: 'glance'; image: string; cloud: CloudSpec };

export type Stores = { kind: 'default' } | { kind: 'some'; names: string[] } | { kind: 'all' };

export interface Content {
  origin: Origin;
  /** `<algorithm>:<hex>`; undefined where the source knows its own digest. */
  digest: string | undefined;
  digestOf: 'Served' | 'Image';
  decompress: 'Auto' | 'None';
  method: NonNullable<CompleteSpec['content']>['method'];
  diskFormat: string;
  containerFormat: string;
  minDiskGiB: number;
}

/** Undefined where the data is not ours to bring. */
export function contentOf({ spec }: GlanceImage): Content | undefined {
  const { content, cloud, image } = withDefaults(spec);
  const { diskFormat, containerFormat, minDiskGiB } = image;
  if (content === undefined || diskFormat === undefined) return undefined;
  const { method } = content;
  const common = { method, diskFormat, containerFormat, minDiskGiB };
  if (content.http !== undefined) {
    const { url, mirrors, headersSecretRef, caSecretRef, digest, digestOf } = content.http;
    const stays = method === 'WebDownload' || staysCompressed(diskFormat, containerFormat);
    return {
      ...common,
      origin: { kind: 'http', url, mirrors, headersSecretRef, caSecretRef },
      digest,
      digestOf,
      decompress: stays ? 'None' : content.http.decompress,
    };
  }
  if (content.glance === undefined) return undefined;
  const origin = { kind: 'glance' as const, image: content.glance.image, cloud: content.glance.cloud ?? cloud };
  return { ...common, origin, digest: undefined, digestOf: 'Image', decompress: 'None' };
}

export function storesOf({ spec }: GlanceImage): Stores {
  const { stores, allStores } = withDefaults(spec).image;
  if (allStores) return { kind: 'all' };
  return stores.length === 0 ? { kind: 'default' } : { kind: 'some', names: [...stores] };
}

/** Where it is served, for people. */
export function addressOf({ origin }: Content): string {
  return origin.kind === 'http' ? origin.url : origin.image;
}

/** The digest that the bytes in Glance must have, where the declaration alone tells it. */
export function digestInGlance({ digest, digestOf, decompress }: Content): string | undefined {
  return digestOf === 'Image' || decompress === 'None' ? digest : undefined;
}

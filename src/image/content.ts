/**
 * The data that a declaration asks for, in one shape for all kinds of source. Law: pure; everything about the data that is
 * declared appears here, and nothing about the record does.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { staysCompressed } from '../transfer/plan.ts';

type SecretRef = GlanceImage['spec']['cloud']['secretRef'];

/** Where the bytes come from. */
export type Origin =
  | {
      kind: 'http';
      url: string;
      mirrors: string[];
      headersSecretRef: SecretRef | undefined;
      caSecretRef: SecretRef | undefined;
    }
  | { kind: 'glance'; image: string; cloud: GlanceImage['spec']['cloud'] };

export type Stores = { kind: 'default' } | { kind: 'some'; names: string[] } | { kind: 'all' };

export interface Content {
  origin: Origin;
  /** `<algorithm>:<hex>`; undefined where the source knows its own digest. */
  digest: string | undefined;
  digestOf: 'Served' | 'Image';
  decompress: 'Auto' | 'None';
  method: NonNullable<GlanceImage['spec']['content']>['method'];
  diskFormat: string;
  containerFormat: string;
  minDiskGiB: number;
}

/** Undefined where the data is not ours to bring. */
export function contentOf({ spec }: GlanceImage): Content | undefined {
  const { content, cloud } = spec;
  const { diskFormat, containerFormat, minDiskGiB } = spec.image;
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
  const { stores, allStores } = spec.image;
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

/**
 * The data that a declaration asks for, in one shape for all kinds of source.
 *
 * Invariant: pure; everything that is declared about the data appears here, and nothing about the record.
 */

import { type CompleteSpec, withDefaults } from '../../api/defaults.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { DeclaredData } from '../../source/kind.ts';
import { decompresses } from '../../source/packing.ts';
import { declaredData, type SourcePlan, sourceOf } from '../../source/registry.ts';

export type Stores = { kind: 'default' } | { kind: 'some'; names: string[] } | { kind: 'all' };

export interface Content extends DeclaredData<SourcePlan> {
  method: NonNullable<CompleteSpec['content']>['method'];
  diskFormat: string;
  containerFormat: string;
  minDiskGiB: number;
  /** Set where it is not that of the declaration, but of a pinned revision. */
  fingerprint?: string;
}

/** Undefined where the data is not ours to bring. */
export function contentOf({ spec }: GlanceImage): Content | undefined {
  const { content, cloud, image } = withDefaults(spec);
  const { diskFormat, containerFormat, minDiskGiB } = image;
  if (content === undefined || diskFormat === undefined) return undefined;
  const data = declaredData(content, { cloud });
  if (data === undefined) return undefined;
  const { method } = content;
  const isDecompressed = method !== 'WebDownload' && decompresses({ ...data, diskFormat, containerFormat });
  const decompress = isDecompressed ? 'Auto' : 'None';
  return { ...data, decompress, method, diskFormat, containerFormat, minDiskGiB };
}

export function storesOf({ spec }: GlanceImage): Stores {
  const { stores, allStores } = withDefaults(spec).image;
  if (allStores) return { kind: 'all' };
  return stores.length === 0 ? { kind: 'default' } : { kind: 'some', names: [...stores] };
}

/** Whether a pin names other data than the content does. */
export function pinHolds(pin: string, { digest }: Pick<Content, 'digest'>): boolean {
  return pin !== digest;
}

/** Where it is served, for people. */
export function addressOf({ source }: Content): string {
  return sourceOf(source).address;
}

/** The digest that the bytes in Glance must have, where the declaration alone determines it. */
export function digestInGlance({ digest, digestOf, decompress, convert }: Content): string | undefined {
  return digestOf === 'Image' || (decompress === 'None' && convert === undefined) ? digest : undefined;
}

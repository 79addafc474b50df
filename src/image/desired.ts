/**
 * What Glance should hold, worked out from a declaration. Law: pure, and complete: every field of the spec that is about
 * the image appears here, or the declaration is refused with a sentence.
 */
import { z } from 'zod';
import type { GlanceImage } from '../api/glanceimage.ts';
import { reservedPropertyReason } from '../glance/schema.ts';
import type { WantedImage } from '../glance/translation.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { type Content, contentOf, type Stores, storesOf } from './content.ts';
import { clusterProperty, type Identity, markOf, ownerProperty } from './identity.ts';

export interface Desired {
  image: WantedImage;
  /** Declared keys of properties, without the mark. */
  propertyKeys: string[];
  purge: boolean;
  /** Where the data comes from; undefined when it is not ours to bring. */
  content: Content | undefined;
  /** Where the data has to be, whoever brings it. */
  stores: Stores;
}

/**
 * `projectID` is the project of the credentials, which owns what names no other owner.
 * Throws an OperatorError `InvalidSpec` for what the API server cannot check: the keys of properties.
 */
export function desire(resource: GlanceImage, identity: Identity, projectID: string): Desired {
  const { image, propertyPolicy } = resource.spec;
  const { name, diskFormat, containerFormat, visibility, hidden, minDiskGiB, minRAMMiB, owner, tags } = image;
  const properties = jsonObject.parse(image.properties);
  const mark = markOf(identity);
  for (const key of Object.keys(properties)) {
    const refusal = key in mark ? 'it is the mark by which the operator knows its images' : problemOf(key);
    if (refusal !== undefined) throw invalid(`spec.image.properties cannot hold "${key}": ${refusal}`);
  }
  return {
    image: {
      name: name ?? resource.metadata.name,
      ...(diskFormat === undefined ? {} : { diskFormat }),
      containerFormat,
      visibility,
      protected: image.protected,
      hidden,
      minDiskGiB,
      minRAMMiB,
      owner: owner ?? projectID,
      tags,
      properties: { ...properties, ...mark },
    },
    propertyKeys: Object.keys(properties).sort(),
    purge: propertyPolicy === 'Purge',
    content: contentOf(resource),
    stores: storesOf(resource),
  };
}

/** What Glance could set once and never change is refused beside what it would refuse itself. */
function problemOf(key: string): string | undefined {
  if (key.trim() !== key) return 'Glance ignores blanks at the ends of a name when it is to change a property';
  return reservedPropertyReason(key);
}

const jsonObject = z.record(z.string(), z.json());

/**
 * The record as it has to be while it is in this state: what Glance fetches by itself is kept out of sight until it is
 * verified, because by then it is active already.
 */
export function imageBefore({ image, content }: Desired, holdsVerifiedData: boolean): WantedImage {
  if (content?.method !== 'WebDownload' || holdsVerifiedData) return image;
  return { ...image, visibility: 'private', hidden: true };
}

/** Whether a property that Glance has but nobody declares is left alone. */
export function keepsProperty(desired: Desired, declaredBefore: readonly string[], key: string): boolean {
  if (key === ownerProperty || key === clusterProperty) return true;
  return !desired.purge && !declaredBefore.includes(key);
}

function invalid(message: string): OperatorError {
  return new OperatorError(message, { code: 'InvalidSpec', retry: retry.change });
}

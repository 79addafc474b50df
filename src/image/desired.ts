/**
 * What Glance should hold, worked out from a declaration. Law: pure, and complete: every field of the spec that is about
 * the image appears here, or the declaration is refused with a sentence.
 */
import { z } from 'zod';
import type { GlanceImage } from '../api/glanceimage.ts';
import { reservedPropertyReason } from '../glance/schema.ts';
import type { WantedImage } from '../glance/translation.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { clusterProperty, type Identity, markOf, ownerProperty } from './identity.ts';

export interface Desired {
  image: WantedImage;
  /** Declared keys of properties, without the mark. */
  propertyKeys: string[];
  purge: boolean;
  /** Where the data comes from; undefined when it is not ours to bring. */
  content: Content | undefined;
}

export interface Content {
  url: string;
  digest: string;
  diskFormat: string;
}

/**
 * `projectID` is the project of the credentials, which owns what names no other owner.
 * Throws an OperatorError `InvalidSpec` for what the API server cannot check: the keys of properties.
 */
export function desire(resource: GlanceImage, identity: Identity, projectID: string): Desired {
  const { image, content, propertyPolicy } = resource.spec;
  const { name, diskFormat, containerFormat, visibility, hidden, minDiskGiB, minRAMMiB, owner, tags } = image;
  const properties = jsonObject.parse(image.properties);
  const mark = markOf(identity);
  for (const key of Object.keys(properties)) {
    const refusal = key in mark ? 'it is the mark by which the operator knows its images' : reservedPropertyReason(key);
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
    content: content === undefined || diskFormat === undefined ? undefined : { ...content.http, diskFormat },
  };
}

const jsonObject = z.record(z.string(), z.json());

/** Whether a property that Glance has but nobody declares is left alone. */
export function keepsProperty(desired: Desired, declaredBefore: readonly string[], key: string): boolean {
  if (key === ownerProperty || key === clusterProperty) return true;
  return !desired.purge && !declaredBefore.includes(key);
}

function invalid(message: string): OperatorError {
  return new OperatorError(message, { code: 'InvalidSpec', retry: retry.change });
}

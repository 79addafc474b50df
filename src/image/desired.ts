/**
 * What Glance should hold, worked out from a declaration. Law: pure, and complete: every field of the spec that is about
 * the image appears here, or the declaration is refused with a sentence.
 */
import { z } from 'zod';
import { withDefaults } from '../api/defaults.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { isPatchable, reservedPropertyReason } from '../glance/property-names.ts';
import type { WantedImage } from '../glance/translation.ts';
import { OperatorError } from '../lib/errors.ts';
import type { JsonValue } from '../openstack/json.ts';
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
  const { image, propertyPolicy } = withDefaults(resource.spec);
  const { name, diskFormat, containerFormat, visibility, hidden, minDiskGiB, minRAMMiB, owner, tags } = image;
  const properties = jsonObject(image.properties);
  const mark = markOf(identity);
  for (const key of Object.keys(properties)) {
    const refusal = Object.hasOwn(mark, key) ? 'it is the owner marker of the operator' : problemOf(key);
    if (refusal !== undefined) throw invalid(`spec.image.properties cannot contain ${JSON.stringify(key)}: ${refusal}`);
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

/** A property that Glance could set once and never change is refused, as is one that Glance would reject. */
function problemOf(key: string): string | undefined {
  if (key === '') return 'a property needs a name';
  if (key === 'id') return 'the operator chooses the ID of the image';
  if (!isPatchable(key)) return 'Glance strips white space from both ends of a name and cannot change such a property';
  return reservedPropertyReason(key);
}

/** `z.record` would drop the key `__proto__`. */
function jsonObject(map: Readonly<Record<string, unknown>>): Record<string, JsonValue> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, propertyValue(key, value)]));
}

/** Levels of lists and objects in a property. Nova and Cinder use three. */
const deepest = 32;

/** Glance keeps text, so an integer of any length is exact as text. */
function propertyValue(key: string, value: unknown): JsonValue {
  if (typeof value === 'bigint') return String(value);
  const problem = problemIn(value);
  if (problem !== undefined) throw invalid(`spec.image.properties: the value of ${JSON.stringify(key)} ${problem}`);
  return z.json().parse(value);
}

/** What cannot be written to Glance in a value; level by level, because JSON of any depth is admitted. */
function problemIn(value: unknown): string | undefined {
  for (let level = [value], depth = 0; level.length > 0; depth++) {
    if (level.some((one) => typeof one === 'bigint'))
      return 'has an integer beyond 2^53 in a list or object, which readers of JSON round: put it in quotes';
    const containers = level.filter((one) => typeof one === 'object' && one !== null);
    if (depth === deepest && containers.length > 0) return `is nested more than ${deepest} levels deep`;
    level = containers.flatMap((one) => Object.values(one));
  }
  return undefined;
}

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
  return new OperatorError(message, { code: 'InvalidSpec' });
}

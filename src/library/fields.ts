/**
 * Checks the fields that a caller gives for an image.
 *
 * A shown image may be given back: its status and its times are left out, as are other read-only fields with unchanged
 * values; changed values are rejected. A key that is not a field is a custom property, as is everything in
 * `properties`, which takes precedence.
 *
 * Invariant: each given value is written, left out for a stated reason, or rejected by name before anything is changed.
 */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { InvalidRequest } from '../glance/errors.ts';
import { isServerKey, reservedPropertyReason } from '../glance/property-names.ts';
import type { WantedImage } from '../glance/translation.ts';
import { deepest } from '../http/json-bounds.ts';
import { compact } from '../lib/compact.ts';
import { isPlainObject, type JsonValue, jsonCopy } from '../openstack/json.ts';
import { issueSentence, whenReadable } from './check.ts';
import { encryptionKeyProperty, type ServiceImage } from './service-image.ts';

/** The wanted state of an image. A field that is absent or undefined is left as it is. */
export interface ImageFields extends Omit<WantedImage, 'properties'> {
  /** A UUID, for `create`. An update ignores it. */
  id?: string;
  /** Written as the property `cinder_encryption_key_id`. */
  cinderEncryptionKeyId?: JsonValue;
  /**
   * Custom properties. Absent: none is touched. `{}`: with purging all are removed, without it none is touched. `null`:
   * all are removed, with purging or without. A single property that is null is removed.
   */
  properties?: Readonly<Record<string, JsonValue>> | null;
}

export interface CheckedFields {
  id: string | undefined;
  wanted: WantedImage;
  /** The given `properties`: absent, their values, or null to remove all. */
  properties: 'untouched' | 'declared' | 'cleared';
}

const text = z.string().nullable().exactOptional();
const flag = z.boolean().exactOptional();
const count = z.number().int().min(0).exactOptional();
const attributes = z.object({
  name: text,
  visibility: z.string().exactOptional(),
  protected: flag,
  hidden: flag,
  diskFormat: text,
  containerFormat: text,
  minDiskGiB: count,
  minRAMMiB: count,
  owner: text,
  tags: z.array(z.string()).exactOptional(),
});

const leftOut = ['status', 'createdAt', 'updatedAt', 'deletedAt', 'created_at', 'updated_at', 'deleted_at'];
/** By the names that the service shows; Glance's own names are rejected like names of properties. */
const readOnly = ['size', 'virtualSize', 'checksum', 'hash', 'directUrl', 'locations', 'stores', 'otherAttributes'];

/**
 * A copy of the fields, which the caller cannot change. Throws InvalidRequest for a value that has keys of another meaning, such as
 * a list or a text.
 */
export function fieldsIn(given: unknown): ImageFields {
  return whenReadable(whatFields, () => {
    if (!isPlainObject(given)) throw new InvalidRequest(`${whatFields}: expected a plain object`);
    const fields: ImageFields = { ...given };
    const { properties } = fields;
    if (properties === undefined || properties === null) return fields;
    if (isPlainObject(properties)) return { ...fields, properties: { ...properties } };
    throw new InvalidRequest('properties: expected a plain object or null');
  });
}

const whatFields = 'the fields of an image';

/** Whether a given value is one that only Glance sets. */
export function givesReadOnly(given: ImageFields): boolean {
  return Object.keys(given).some(isReadOnly) || Object.keys(given.properties ?? {}).some(isServerKey);
}

/** The given fields, without the read-only ones that equal those of the image. */
export function withoutUnchanged(given: ImageFields, image: ServiceImage): ImageFields {
  return whenReadable(whatFields, () => changedIn(given, image));
}

function changedIn(given: ImageFields, image: ServiceImage): ImageFields {
  const has = new Map<string, unknown>(Object.entries(image));
  const properties = new Map(Object.entries(image.properties));
  const fields: ImageFields = Object.fromEntries(
    Object.entries(given).filter(([key, value]) => !(isReadOnly(key) && isDeepStrictEqual(value, has.get(key)))),
  );
  if (!given.properties) return fields;
  const kept = Object.entries(given.properties).filter(
    ([key, value]) => !(isServerKey(key) && isDeepStrictEqual(value, properties.get(key))),
  );
  return { ...fields, properties: Object.fromEntries(kept) };
}

function isReadOnly(key: string): boolean {
  return readOnly.includes(key);
}

/** Throws InvalidRequest, which names every rejected field. */
export function checkFields(given: ImageFields): CheckedFields {
  return whenReadable(whatFields, () => checked(given));
}

function checked(given: ImageFields): CheckedFields {
  const { id, properties, cinderEncryptionKeyId, ...rest } = compact(given);
  const parsed = attributes.safeParse(rest);
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => issueSentence(issue));
  if (id !== undefined && typeof id !== 'string') problems.push('id: expected string');
  const custom = new Map<string, JsonValue>();
  const take = (key: string, value: unknown) => {
    const reason = reservedPropertyReason(key);
    const copy = reason === undefined ? jsonCopy(value) : undefined;
    if (reason !== undefined) problems.push(reason);
    else if (copy !== undefined) custom.set(key, copy);
    else problems.push(`property ${key}: it is not a JSON value of at most ${deepest} levels`);
  };
  for (const [key, value] of Object.entries(rest)) {
    if (isReadOnly(key)) problems.push(`${key}: it is set by Glance and cannot be written`);
    else if (!leftOut.includes(key) && !Object.hasOwn(attributes.shape, key)) take(key, value);
  }
  if (cinderEncryptionKeyId !== undefined) take(encryptionKeyProperty, cinderEncryptionKeyId);
  for (const [key, value] of Object.entries(compact(properties ?? {}))) take(key, value);
  if (problems.length > 0 || !parsed.success) throw new InvalidRequest(problems.join('; '));
  const declared = properties !== undefined || custom.size > 0;
  return {
    id,
    wanted: declared ? { ...parsed.data, properties: Object.fromEntries(custom) } : parsed.data,
    properties: properties === undefined ? 'untouched' : properties === null ? 'cleared' : 'declared',
  };
}

/**
 * The difference between an image and its wanted state, as a JSON Patch that Glance accepts (its v2.1 form).
 *
 * Custom properties are set with `add`, which is correct whether or not they exist: `replace` would be rejected if
 * another client has just removed the property. Attributes cannot be removed, so they are replaced.
 *
 * Invariant: applying the patch gives the wanted state, a second difference is empty, and only seen keys that are ours
 * occur in it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JsonValue } from '../openstack/json.ts';
import { builtInSchema, type ImageSchema } from './cloud-schema.ts';
import { InvalidRequest } from './errors.ts';
import { decodeProperty, type Image, tagSet } from './image.ts';
import { isPatchable, isServerKey } from './property-names.ts';
import { attributesOf, checkFormats, propertyValues, type WantedImage } from './translation.ts';

/** Glance accepts no others: not `test`, `copy` or `move`. */
export type JsonPatchOperation =
  | { op: 'add' | 'replace'; path: string; value: JsonValue }
  | { op: 'remove'; path: string };

export interface DiffOptions {
  /** Remove the properties that are not wanted. Nothing is purged if `wanted` has no properties field. */
  purge: boolean;
  /** Keys that a purge leaves out. */
  keep: (key: string) => boolean;
  /** The schema by which `current` was read. */
  schema?: ImageSchema;
}

/** Empty if there is nothing to do. Throws InvalidRequest for a wanted property that cannot be one. */
export function diffImage(current: Image, wanted: WantedImage, options: DiffOptions): JsonPatchOperation[] {
  const { purge, keep, schema = builtInSchema } = options;
  const operations: JsonPatchOperation[] = [];
  const attributes = attributesOf(current);
  const changed = [...attributesOf(wanted)].filter(([key, value]) => attributes.get(key) !== value);
  checkFormats(new Map(changed), schema);
  for (const [key, value] of changed) operations.push({ op: 'replace', path: pointer(key), value });
  if (wanted.tags !== undefined) {
    const value = tagSet(wanted.tags);
    if (!isDeepStrictEqual(tagSet(current.tags), value)) operations.push({ op: 'replace', path: '/tags', value });
  }
  if (wanted.properties === undefined) return operations;
  const properties = new Map(Object.entries(current.properties));
  const values = propertyValues(wanted.properties, schema);
  for (const [key, value] of values) {
    if (value === undefined) continue;
    // Decoded first: JSON that differs only in white space or the order of keys is equal.
    if (isDeepStrictEqual(properties.get(key), decodeProperty(key, value, schema))) continue;
    if (!isPatchable(key)) throw unpatchable(key);
    operations.push({ op: 'add', path: pointer(key), value });
  }
  for (const key of properties.keys()) {
    const unwanted = values.has(key) ? values.get(key) === undefined : purge && !keep(key);
    if (unwanted && !isServerKey(key) && isPatchable(key)) operations.push({ op: 'remove', path: pointer(key) });
  }
  return operations;
}

function unpatchable(key: string): InvalidRequest {
  const name = JSON.stringify(key);
  return new InvalidRequest(
    `property ${name}: Glance strips white space from both ends of a name and cannot change this property`,
  );
}

/** The attribute or property that an operation changes. */
export function keyIn({ path }: JsonPatchOperation): string {
  return path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The JSON Pointer to a key, whatever characters it has. */
function pointer(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/**
 * The difference between an image and what it should be, as a JSON Patch that Glance takes (its v2.1 form). Law: applying
 * it gives what is wanted, a second difference is empty, and nothing is named that was not seen or is not ours.
 *
 * Custom properties are set with `add`, which is right whether or not they are there: `replace` of one that somebody has
 * just removed would be refused. Attributes cannot be removed, so they are replaced.
 */
import { isDeepStrictEqual } from 'node:util';
import { decodeProperty, type Image } from './image.ts';
import { isServerKey } from './schema.ts';
import { attributesOf, propertyTexts, tagSet, type WantedImage } from './translation.ts';

export type JsonPatchOperation =
  | { op: 'add' | 'replace'; path: string; value: string | number | boolean | null | string[] }
  | { op: 'remove'; path: string };

export interface DiffOptions {
  /** Remove the properties that are not wanted. Nothing is purged where `wanted` says nothing about properties. */
  purge: boolean;
  /** Keys that purging leaves alone. */
  keep: (key: string) => boolean;
}

/** Empty when there is nothing to do. Throws InvalidRequest for a wanted property that cannot be one. */
export function diffImage(current: Image, wanted: WantedImage, { purge, keep }: DiffOptions): JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  const attributes = attributesOf(current);
  for (const [key, value] of attributesOf(wanted)) {
    if (attributes.get(key) !== value) operations.push({ op: 'replace', path: pointer(key), value });
  }
  if (wanted.tags !== undefined) {
    const value = tagSet(wanted.tags);
    if (!isDeepStrictEqual(tagSet(current.tags), value)) operations.push({ op: 'replace', path: '/tags', value });
  }
  if (wanted.properties === undefined) return operations;
  const properties = new Map(Object.entries(current.properties));
  const texts = propertyTexts(wanted.properties);
  for (const [key, value] of texts) {
    if (value === undefined) continue;
    // Compared as they are meant: JSON that differs only in its spelling is the same.
    if (!isDeepStrictEqual(properties.get(key), decodeProperty(key, value))) {
      operations.push({ op: 'add', path: pointer(key), value });
    }
  }
  for (const key of properties.keys()) {
    const unwanted = texts.has(key) ? texts.get(key) === undefined : purge && !keep(key);
    if (unwanted && !isServerKey(key)) operations.push({ op: 'remove', path: pointer(key) });
  }
  return operations;
}

/** The JSON Pointer to a key, whatever characters it has. */
function pointer(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/**
 * Finds where two outcomes of a case differ.
 *
 * Invariant: every difference is found, at the deepest place that can be named. Differences that follow from the
 * failure of one side are named once.
 */
import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/openstack/json.ts';
import type { Pair } from './case.ts';

/** What a case came to on one side, with everything that changes from run to run replaced by names. */
export interface Played {
  results: readonly ({ value: JsonValue } | { error: string })[];
  /** What Glance holds, by the names of the images. */
  glance: JsonObject;
}

export function differencesOf(cinder: Played, ours: Played): Map<string, Pair> {
  const found = new Map<string, Pair>();
  for (const [index, left] of cinder.results.entries()) {
    const right = ours.results[index];
    if (right === undefined) throw new Error(`one side has no result ${index}`);
    const place = `/results/${index}`;
    if (became(left) !== became(right)) found.set(place, [became(left), became(right)]);
    if ('value' in left && 'value' in right) compare(left.value, right.value, `${place}/value`, found);
  }
  compare(cinder.glance, ours.glance, '/glance', found);
  return found;
}

/** `returned`, or the error: its class and, where it has one, its number. */
export function became(result: Played['results'][number]): string {
  return 'value' in result ? 'returned' : result.error;
}

function compare(left: JsonValue | undefined, right: JsonValue | undefined, place: string, found: Map<string, Pair>) {
  if (isDeepStrictEqual(left, right)) return;
  if (isJsonObject(left) && isJsonObject(right)) {
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      compare(ownValue(left, key), ownValue(right, key), `${place}/${escaped(key)}`, found);
    }
  } else if (Array.isArray(left) && Array.isArray(right) && left.length === right.length) {
    for (const [index, each] of left.entries()) compare(each, right[index], `${place}/${index}`, found);
  } else {
    found.set(place, [left, right]);
  }
}

/** A key may be called `constructor`. */
function ownValue(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

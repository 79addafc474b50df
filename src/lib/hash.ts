/** Short names for long values: keys of caches, ids of runs, parts of names and of metrics. Digests of data are not made here. */
import { createHash } from 'node:crypto';

/** Hex digits of the SHA-256 of a text: at most 64. */
export function textHash(text: string, digits = 64): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}

/** Hex digits that are equal for values with equal members in the same order. */
export function valueHash(value: unknown, digits = 64): string {
  return textHash(JSON.stringify(value), digits);
}

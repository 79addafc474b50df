/**
 * Objects whose keys come from outside. zod's record, and everything made of it such as `z.json()`, leaves out the key `__proto__`
 * without an error, and a lookup by a key in a plain object finds what it inherits.
 *
 * Invariant: every key of the object is in the map.
 */
import { z } from 'zod';

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function mapOf<T extends z.ZodType>(value: T) {
  return z
    .custom<object>(isObject, 'expected an object')
    .transform((object) => new Map<string, unknown>(Object.entries(object)))
    .pipe(z.map(z.string(), value));
}

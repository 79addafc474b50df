/**
 * Objects whose keys come from outside. zod's record, and everything made of it such as `z.json()`, leaves out the key `__proto__`
 * without an error, and a lookup by a key in a plain object finds what it inherits.
 *
 * Invariant: every key of the object is in the map.
 */
import * as z from 'zod';

const lost = '__proto__';

/**
 * What zod made of `raw`, with the keys that it left out. In what the API server returns, only maps have such a key: it removes fields that
 * the CRD does not have. Values that zod passed on unchanged are complete.
 */
export function withEachKey<T>(parsed: T, raw: unknown): T {
  addLost(parsed, raw);
  return parsed;
}

/** `parsed` is new and has no other reader yet. */
function addLost(parsed: unknown, raw: unknown): void {
  if (parsed === raw || !isObject(parsed) || !isObject(raw)) return;
  const values = new Map<string, unknown>(Object.entries(raw));
  for (const [key, value] of Object.entries(parsed)) addLost(value, values.get(key));
  if (!values.has(lost)) return;
  const property = { value: values.get(lost), enumerable: true, configurable: true, writable: true };
  Object.defineProperty(parsed, lost, property);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function mapOf<T extends z.ZodType>(value: T) {
  return z
    .custom<object>(isObject, 'expected an object')
    .transform((object) => new Map<string, unknown>(Object.entries(object)))
    .pipe(z.map(z.string(), value));
}

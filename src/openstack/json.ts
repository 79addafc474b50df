/** JSON as a type. Text that is not JSON parses as undefined, without an exception. */
import { deepest, excessOf, jsonBounds } from '../http/json-bounds.ts';

export type JsonObject = { [key: string]: JsonValue };
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

export function parseJson(text: string): JsonValue | undefined {
  try {
    const value: JsonValue = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

/** Whether to compare the JSON in this text could exceed the stack. */
export function isTooDeep(text: string): boolean {
  return excessOf(text, jsonBounds(Number.POSITIVE_INFINITY))?.bound === 'depth';
}

/**
 * The value of a JSON text, undefined where text and value differ: where a number is beyond what a JavaScript number holds exactly,
 * such as 12345678901234567890 or 1e999.
 */
export function parseExactJson(text: string): JsonValue | undefined {
  let isExact = true;
  try {
    const value: JsonValue = JSON.parse(text, (_key, part: JsonValue, ...[context]: { source?: string }[]) => {
      if (typeof part === 'number' && !isExactNumber(context?.source ?? '', part)) isExact = false;
      // JSON is written without -0, so that it would differ from what is read again.
      return part === 0 ? 0 : part;
    });
    return isExact ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The value of a JSON text, with each number as a string of its digits: as a JavaScript number, 1.10 would be 1.1. */
export function parseJsonWithTexts(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text, (_key, part: JsonValue, ...[context]: { source?: string }[]) =>
      typeof part === 'number' ? (context?.source ?? String(part)) : part,
    );
  } catch {
    return undefined;
  }
}

/** Whether the decimal digits in `text` mean exactly the number that JavaScript writes as `value`. */
export function isExactNumber(text: string, value: number): boolean {
  const digits = significantDigits(text);
  return digits !== undefined && digits === significantDigits(String(value));
}

/** The longest number that JavaScript holds is 1 with 308 zeros; a longer text could take long to compare. */
const maxNumberLength = 400;

/** `-12.50e3` and `-12500` → `-125e2`: one form for all spellings of a number. */
function significantDigits(text: string): string | undefined {
  if (text.length > maxNumberLength) return undefined;
  const [, sign = '', whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value from outside can be written as JSON of at most `levels` levels, so that it can be read back. */
export function isJson(value: unknown, levels = deepest): value is JsonValue {
  return jsonCopy(value, levels) !== undefined;
}

/**
 * A copy of a value from outside, which may change later; undefined if it cannot be written as JSON of at most `levels`
 * levels, as one that contains itself. Unlike `z.json()` it keeps each key.
 */
export function jsonCopy(value: unknown, levels = deepest): JsonValue | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (levels === 0) return undefined;
  if (!Array.isArray(value)) return jsonObjectCopy(value, levels);
  const copy: JsonValue[] = [];
  // Unlike other ways to go through a list, this one does not skip elements that it lacks.
  for (const part of value) {
    const copied = jsonCopy(part, levels - 1);
    if (copied === undefined) return undefined;
    copy.push(copied);
  }
  return copy;
}

/** The same for an object. */
export function jsonObjectCopy(value: unknown, levels = deepest): JsonObject | undefined {
  if (levels === 0 || !isPlainObject(value)) return undefined;
  const entries: [string, JsonValue][] = [];
  for (const [key, part] of Object.entries(value)) {
    const copied = jsonCopy(part, levels - 1);
    if (copied === undefined) return undefined;
    entries.push([key, copied]);
  }
  return Object.fromEntries(entries);
}

/**
 * Whether it is an object with keys of its own: no list, no date, no instance of another class. Each context of `node:vm` has an
 * `Object.prototype` of its own.
 */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof prototype !== 'object' || prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

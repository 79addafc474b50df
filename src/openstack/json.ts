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
      return part;
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

/**
 * Whether a value from outside can be written as JSON of at most `levels` levels, so that it can be read back. One that contains
 * itself cannot. Unlike `z.json()` it copies nothing.
 */
export function isJson(value: unknown, levels = deepest): value is JsonValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (levels === 0) return false;
  if (Array.isArray(value)) return value.every((part: unknown) => isJson(part, levels - 1));
  return isPlainObject(value) && Object.values(value).every((part: unknown) => isJson(part, levels - 1));
}

/** Whether it is an object with keys of its own: no list, no date, no instance of another class. */
export function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value));
}

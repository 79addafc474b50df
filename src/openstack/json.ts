/** JSON as a type. Text that is not JSON parses as undefined, without an exception. */
import { excessOf, jsonBounds } from '../http/json-bounds.ts';

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

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Makes any status one that the API server admits. The schema of the status has the bounds: texts are cut by code points, numbers
 * and times are moved into their range, lists and maps are cut to their bounds, and values that cannot be shown are left out. A field
 * `xNotShown` next to a map `x` counts the entries that are left out.
 *
 * Guarantees: pure and total, whatever the values are; the API server admits the result and returns an equal one, so a status
 * that was written is not written again; a status that is admissible stays as it is.
 */
import * as z from 'zod';
import { rfc3339 } from '../../api/conditions.ts';
import { type GlanceImageStatus, statusSchema } from '../../api/status.ts';
import { compact } from '../../lib/compact.ts';

type Schema = z.core.JSONSchema.BaseSchema;

/** As the CRD has it, which is what the API server checks. */
const schema: Schema = z.toJSONSchema(statusSchema, { target: 'openapi-3.0', io: 'input', reused: 'inline' });

/**
 * Bytes of one list or map in etcd, which takes 1.5 MiB for the whole resource. As many keys of properties as a spec can
 * declare fit in.
 */
const mostBytes = 131_072;
/** Lists and objects inside each other, in the value of a property. */
const mostDepth = 64;

/** A new resource has the default status, and a field of it stays until a status has another value for it. */
export function sanitise(status: unknown): GlanceImageStatus {
  const fitted = statusSchema.safeParse(fit(schema, status));
  return { ...statusSchema.parse(undefined), ...fitted.data };
}

/**
 * What is written in place of a status that the API server rejected because of `problem`: first without what is only shown, then
 * without the memory of the operator too.
 */
export function shortened(status: GlanceImageStatus, problem: string): GlanceImageStatus[] {
  const { image, size, progress, transfer, lastError, ...rest } = status;
  const conditions = (status.conditions ?? []).map((condition) =>
    condition.type === 'Ready'
      ? { ...condition, reason: 'StatusShortened', message: `the status cannot be shown in full: ${problem}` }
      : condition,
  );
  const { observedGeneration, nextAttemptTime } = status;
  const ready = conditions.filter(({ type }) => type === 'Ready');
  return [
    { ...rest, conditions },
    { observedGeneration, nextAttemptTime, conditions: ready },
  ].map(sanitise);
}

/** The part of `value` that `schema` admits; undefined if there is none. */
function fit(schema: Schema, value: unknown): unknown {
  switch (schema.type) {
    case 'string':
      return typeof value === 'string' ? fitText(schema, value) : undefined;
    case 'integer':
      return typeof value === 'number' ? fitInteger(schema, value) : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'array':
      return Array.isArray(value) ? fitList(schema, value) : undefined;
    case 'object':
      if (!isObject(value)) return undefined;
      return schema.properties === undefined ? fitMap(schema, value) : fitObject(schema, value);
    default:
      return undefined;
  }
}

function fitText(schema: Schema, value: string): string | undefined {
  if (schema.enum !== undefined) return schema.enum.includes(value) ? value : undefined;
  if (schema.format === 'date-time') return fitTime(value);
  const most = schema.maxLength ?? Number.POSITIVE_INFINITY;
  // A code point has at most two units: text after this is cut in any case.
  const head = showable(value.slice(0, 2 * (most + 1)));
  if (head.length <= most) return head;
  const points = [...head];
  return points.length <= most ? head : `${points.slice(0, most - 1).join('')}…`;
}

/** Control characters but those of text in lines, halves of surrogate pairs, and what Unicode reserves. */
const unshowable = /[\p{Cs}\uFFFE\uFFFF]|(?![\t\n\r])\p{Cc}/gu;

function showable(text: string): string {
  return text.replace(unshowable, '\uFFFD');
}

const admissibleTime =
  /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
const firstTime = Date.parse('0001-01-01T00:00:00Z');
const lastTime = Date.parse('9999-12-31T23:59:59Z');

/** JavaScript writes years beyond 9999 with a sign and six digits. */
function fitTime(value: string): string | undefined {
  const day = admissibleTime.exec(value)?.[1];
  if (day !== undefined) return isDay(day) ? value : undefined;
  const at = /^[+-]\d{6}-/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : rfc3339(new Date(clamp(at, firstTime, lastTime)));
}

/** The thirtieth of February is none. */
function isDay(day: string): boolean {
  const at = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(day);
}

function fitInteger({ minimum, maximum }: Schema, value: number): number | undefined {
  if (Number.isNaN(value)) return undefined;
  const [least, most] = [minimum ?? Number.MIN_SAFE_INTEGER, maximum ?? Number.MAX_SAFE_INTEGER];
  return withoutSign(Math.trunc(clamp(value, least, most)));
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** An integer beyond 2^53 is shown as text, because readers of JSON differ in what they make of it. */
function exactNumber(value: number): number | string {
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? String(value) : withoutSign(value);
}

/** The API server returns -0 as 0. */
function withoutSign(value: number): number {
  return value === 0 ? 0 : value;
}

function fitList(schema: Schema, values: readonly unknown[]): unknown[] | undefined {
  const { items, maxItems = Number.POSITIVE_INFINITY, 'x-kubernetes-list-map-keys': keys } = schema;
  const isUsable = within(mostBytes);
  const identities = new Set<string>();
  const list: unknown[] = [];
  for (const value of values) {
    if (list.length >= maxItems) break;
    const item = isSchema(items) ? fit(items, value) : undefined;
    const identity = Array.isArray(keys) && isObject(item) ? JSON.stringify(keys.map((key) => item[key])) : undefined;
    if (item === undefined || (identity !== undefined && identities.has(identity)) || !isUsable(item)) continue;
    if (identity !== undefined) identities.add(identity);
    list.push(item);
  }
  // The API server drops a list with keys that is empty.
  return list.length === 0 && keys !== undefined ? undefined : list;
}

function fitObject({ properties = {}, required = [] }: Schema, value: Record<string, unknown>): unknown {
  const fitted = Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, isSchema(field) ? fit(field, value[name]) : undefined]),
  );
  const counts = Object.entries(properties).flatMap(([name, field]) => {
    const map = name.replace(/NotShown$/, '');
    const left = map === name ? 0 : sizeOf(value[map]) - sizeOf(fitted[map]) + Number(fitted[name] ?? 0);
    return left > 0 && isSchema(field) ? [[name, left] as const] : [];
  });
  const object = compact({ ...fitted, ...Object.fromEntries(counts) });
  return required.every((name) => Object.hasOwn(object, name)) ? object : undefined;
}

/** Sorted by key, so that the same entries are left out each time. */
function fitMap({ maxProperties }: Schema, value: Record<string, unknown>): Record<string, unknown> {
  const most = typeof maxProperties === 'number' ? maxProperties : Number.POSITIVE_INFINITY;
  const isUsable = within(mostBytes);
  const map = new Map<string, unknown>();
  for (const key of Object.keys(value).sort()) {
    if (map.size >= most) break;
    const name = showable(key);
    const fitted = fitJson(value[key], mostDepth);
    // zod drops `__proto__` when it reads the status, and the API server drops null.
    if (fitted === undefined || fitted === null || name === '__proto__' || map.has(name)) continue;
    if (isUsable([name, fitted])) map.set(name, fitted);
  }
  return Object.fromEntries(map);
}

/** A JSON value is shown as a whole or not at all. */
function fitJson(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return showable(value);
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? exactNumber(value) : undefined;
    case 'bigint':
      return String(value);
    case 'object': {
      if (value === null) return null;
      if (depth === 0) return undefined;
      if (Array.isArray(value)) {
        const list = Array.from(value, (item) => fitJson(item, depth - 1));
        return list.includes(undefined) ? undefined : list;
      }
      const entries = Object.entries(value).map(([key, item]) => [showable(key), fitJson(item, depth - 1)] as const);
      const isWhole =
        entries.every(([, item]) => item !== undefined) && new Set(entries.map(([key]) => key)).size === entries.length;
      return isWhole ? Object.fromEntries(entries) : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether a value still fits into this many bytes, together with those before it that did. */
function within(bytes: number): (value: unknown) => boolean {
  let left = bytes;
  return (value) => {
    const needed = storedBytes(value);
    if (needed > left) return false;
    left -= needed;
    return true;
  };
}

/** Go writes these characters as escapes. */
function storedBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, '\\u0000')) + 1;
}

function sizeOf(map: unknown): number {
  return isObject(map) ? Object.values(map).filter((value) => value !== undefined).length : 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSchema(schema: Schema['items']): schema is Schema {
  return typeof schema === 'object' && !Array.isArray(schema);
}

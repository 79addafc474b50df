/**
 * Validation beyond JSON Schema. Invariant: every check that zod makes beyond the schema has a twin that the API
 * server makes (CEL or a schema keyword), with the same verdict and, in CEL, the same sentence, so that what
 * `kubectl apply` accepts always parses here. The generator of the CRD throws on a check that was not made by this module.
 */
import * as z from 'zod';

/** One entry of x-kubernetes-validations. */
export interface CelRule {
  rule: string;
  message: string;
  fieldPath?: string;
}

/** What the API server reads in place of a check: keywords of the schema, CEL rules among them. */
export type Twin = Readonly<Record<string, unknown>>;

export const validations = 'x-kubernetes-validations';
const twins = new WeakMap<object, Twin>();

/** The twin of a zod check that was made here; undefined for every other check. */
export function twinOf(check: object): Twin | undefined {
  return twins.get(check);
}

function pair<S extends z.ZodType>(schema: S, test: (value: z.output<S>) => boolean, message: string, twin: Twin): S {
  const checked = schema.refine(test, message);
  for (const check of checked._zod.def.checks?.slice(-1) ?? []) twins.set(check, twin);
  return checked.meta(twin);
}

function celRules(schema: z.ZodType): CelRule[] {
  const existing: unknown = schema.meta()?.[validations];
  return Array.isArray(existing) ? existing : [];
}

/** A rule in both languages: `cel` for the API server, `test` for zod. The message says how to fix the manifest. */
export function rule<S extends z.ZodType>(
  schema: S,
  {
    cel,
    test,
    message,
    fieldPath,
  }: { cel: string; test: (value: z.output<S>) => boolean; message: string; fieldPath?: string },
): S {
  const entry: CelRule = { rule: cel, message, ...(fieldPath === undefined ? {} : { fieldPath }) };
  return pair(schema, test, message, { [validations]: [...celRules(schema), entry] });
}

/** Text that matches `pattern` from its first to its last character: ASCII classes only, which JavaScript and RE2 read alike. */
export function matching(schema: z.ZodString, pattern: string, message: string): z.ZodString {
  const regex = new RegExp(pattern, 'u');
  return rule(schema, { cel: `self.matches(r'${pattern}')`, test: (value) => regex.test(value), message });
}

/** A rule about a change, which only the API server can check. */
export function transition<S extends z.ZodType>(schema: S, entry: CelRule): S {
  return schema.meta({ [validations]: [...celRules(schema), entry] });
}

/** Text of `min` to `max` code points, which is how the API server counts; JavaScript's own length counts UTF-16 units. */
export function text(min: number, max: number): z.ZodString {
  const inBounds = (value: string) => {
    const length = [...value].length;
    return length >= min && length <= max;
  };
  const bounds = min === 0 ? { maxLength: max } : { minLength: min, maxLength: max };
  return pair(z.string(), inBounds, `must have ${min} to ${max} characters`, bounds);
}

/** A point in time as RFC 3339 has it. Only the API server checks its form. */
export function time(): z.ZodString {
  return text(1, 64).meta({ format: 'date-time' });
}

/** A list without equal entries. */
export function set<T extends z.ZodString>(item: T, maxItems: number) {
  const distinct = (items: readonly unknown[]) => new Set(items).size === items.length;
  return pair(z.array(item).max(maxItems), distinct, 'must not hold an entry twice', {
    'x-kubernetes-list-type': 'set',
  });
}

/** A list of objects, of which no two have the same value of the required field `key`. */
export function listBy<T extends z.ZodType<Record<K, string>>, K extends string>(item: T, key: K, maxItems: number) {
  const distinct = (items: readonly z.output<T>[]) => new Set(items.map((each) => each[key])).size === items.length;
  return pair(z.array(item).max(maxItems), distinct, 'must not hold an entry twice', {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [key],
  });
}

/** A map from any key to any JSON value, with at most `maxProperties` entries. */
export function jsonMap(maxProperties: number) {
  const few = (map: Record<string, unknown>) => Object.keys(map).length <= maxProperties;
  return pair(z.record(z.string(), z.unknown()), few, `must have at most ${maxProperties} entries`, {
    maxProperties,
  });
}

/** A map from keys to text of at most `maxLength` characters. It must not hold any of the keys in `absent`. */
export function textMap(
  maxProperties: number,
  maxLength: number,
  { absent, message }: { absent: readonly string[]; message: string },
) {
  const few = (map: Record<string, unknown>) => Object.keys(map).length <= maxProperties;
  const map = pair(z.record(z.string(), text(0, maxLength)), few, `must have at most ${maxProperties} entries`, {
    maxProperties,
  });
  return rule(map, {
    cel: `self.all(key, !(key in [${absent.map((name) => `'${name}'`).join(', ')}]))`,
    test: (entries) => absent.every((name) => !Object.hasOwn(entries, name)),
    message,
  });
}

/**
 * A jsonMap that must not hold any of `names`. A CEL rule sees only the declared fields of an object whose values are of any
 * type, so the CRD declares the names in order to reject them.
 */
export function jsonMapWithout(names: readonly string[], maxProperties: number, message: string) {
  const declared = { type: 'string', maxLength: 65_535, description: 'Not allowed: Glance uses the name internally.' };
  const absent = (map: Record<string, unknown>) => names.every((name) => !Object.hasOwn(map, name));
  return pair(jsonMap(maxProperties), absent, message, {
    'x-kubernetes-preserve-unknown-fields': true,
    properties: Object.fromEntries(names.map((name) => [name, declared])),
    [validations]: [{ rule: names.map((name) => `!has(self.${name})`).join(' && '), message }],
  });
}

/**
 * The schema of images of one cloud, beyond the names in property-names.ts: further attributes of a newer Glance, and
 * custom properties that its administrator has given a type, and the formats that it admits.
 *
 * Invariant: without it everything still works: properties as text, and Glance itself rejects a format that it does not have.
 */

import * as z from 'zod';
import { boundedList } from '../lib/bounded-list.ts';
import { mapOf } from '../lib/map-of.ts';
import { isExactNumber, type JsonValue } from '../openstack/json.ts';
import { baseKeys } from './property-names.ts';

/** The types that Glance accepts for a custom property, in addition to text. */
export type PropertyType = 'integer' | 'number' | 'boolean';

export interface ImageSchema {
  /** Keys that Glance itself defines. */
  readonly baseKeys: ReadonlySet<string>;
  /** The custom properties that are not text. */
  readonly propertyTypes: ReadonlyMap<string, PropertyType>;
  /** By attribute: the values that this cloud admits. Absent where any is. */
  readonly admitted: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The schema that every Glance has at least. */
export const builtInSchema: ImageSchema = { baseKeys, propertyTypes: new Map(), admitted: new Map() };

const wireSchema = z.object({
  properties: mapOf(
    z.object({
      /** Absent for an attribute that Glance defines itself. */
      is_base: z.boolean().default(true),
      type: z.union([z.string().transform((type) => [type]), boundedList(z.string(), 16)]).default([]),
      enum: boundedList(z.unknown(), 1024).optional(),
    }),
  ),
});

/** The schema in the response to `GET /v2/schemas/image`; undefined if it is not a schema. */
export function readSchema(body: JsonValue): ImageSchema | undefined {
  const wire = wireSchema.safeParse(body);
  if (!wire.success) return undefined;
  const keys = new Set(baseKeys);
  const types = new Map<string, PropertyType>();
  const admitted = new Map<string, ReadonlySet<string>>();
  for (const [key, { is_base, type, enum: values }] of wire.data.properties) {
    if (is_base) keys.add(key);
    if (is_base && values !== undefined)
      admitted.set(key, new Set(values.filter((value) => typeof value === 'string')));
    const [only, ...others] = type.filter((one) => one !== 'null');
    if (!keys.has(key) && others.length === 0 && isPropertyType(only)) types.set(key, only);
  }
  return { baseKeys: keys, propertyTypes: types, admitted };
}

function isPropertyType(type: string | undefined): type is PropertyType {
  return type === 'integer' || type === 'number' || type === 'boolean';
}

/** `text` as a value of the type; undefined if it is none. */
export function typedValue(type: PropertyType, text: string): number | boolean | undefined {
  // Adding 0 makes 0 of -0, which is written as 0.
  switch (type) {
    case 'boolean':
      return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : undefined;
    case 'integer':
      return /^-?\d{1,15}$/.test(text) ? Number(text) + 0 : undefined;
    case 'number':
      return /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text) && isExactNumber(text, Number(text))
        ? Number(text) + 0
        : undefined;
  }
}

/**
 * Translates a wanted image into the form of Glance's API.
 *
 * Invariant: every JSON value is written in exactly one way, reading it back and writing it again changes nothing, and
 * a key that Glance would reject is rejected here, by name, before any call.
 */
import type { JsonObject, JsonValue } from '../openstack/json.ts';
import { builtInSchema, type ImageSchema, typedValue } from './cloud-schema.ts';
import { InvalidRequest } from './errors.ts';
import { tagSet } from './image.ts';
import { reservedPropertyReason } from './property-names.ts';

/** The wanted state of an image. An absent field is left as it is. */
export interface WantedImage {
  name?: string | null;
  visibility?: string;
  protected?: boolean;
  hidden?: boolean;
  diskFormat?: string | null;
  containerFormat?: string | null;
  minDiskGiB?: number;
  minRAMMiB?: number;
  /** Project id. */
  owner?: string | null;
  /** A set: order and repetition have no meaning. */
  tags?: readonly string[];
  /** Absent: no property is ours. A null value: that property must be absent. */
  properties?: Readonly<Record<string, JsonValue>>;
}

/** The given plain attributes, by their names in Glance. */
export function attributesOf(image: WantedImage): Map<string, string | number | boolean | null> {
  const all = {
    name: image.name,
    visibility: image.visibility,
    protected: image.protected,
    os_hidden: image.hidden,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    min_disk: image.minDiskGiB,
    min_ram: image.minRAMMiB,
    owner: image.owner,
  };
  return new Map(Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

/** A custom property in a request: text, unless the cloud's schema gives it another type. */
export type PropertyValue = string | number | boolean;

/**
 * Custom properties as Glance accepts them; undefined for one that must be absent. Throws InvalidRequest, which names
 * every key that cannot be a property.
 */
export function propertyValues(
  properties: Readonly<Record<string, JsonValue>>,
  schema: ImageSchema = builtInSchema,
): Map<string, PropertyValue | undefined> {
  const problems = Object.keys(properties).flatMap((key) => reservedPropertyReason(key, schema.baseKeys) ?? []);
  if (problems.length > 0) throw new InvalidRequest(problems.join('; '));
  return new Map(
    Object.entries(properties).map(([key, value]) => {
      const text = encodeProperty(value);
      const type = schema.propertyTypes.get(key);
      return [key, text === undefined || type === undefined ? text : (typedValue(type, text) ?? text)];
    }),
  );
}

const formats = { disk_format: 'disk format', container_format: 'container format' } as const;

/** Throws InvalidRequest for a format that the cloud does not have, and names those that it has. */
export function checkFormats(attributes: ReadonlyMap<string, unknown>, { admitted }: ImageSchema): void {
  const problems = Object.entries(formats).flatMap(([key, name]) => {
    const [value, known] = [attributes.get(key), admitted.get(key)];
    if (typeof value !== 'string' || known === undefined || known.has(value)) return [];
    return `this cloud has no ${name} ${value}: declare one of ${[...known].join(', ')}, or have its administrator add ${value}`;
  });
  if (problems.length > 0) throw new InvalidRequest(problems.join('; '));
}

/** The request body that creates an image with this id. */
export function newImage(id: string, wanted: WantedImage, schema: ImageSchema = builtInSchema): JsonObject {
  const properties = [...propertyValues(wanted.properties ?? {}, schema)].flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  // Glance's schema rejects some of these nulls at the creation, where each is the default. Without an owner, it is the project.
  const attributes = [...attributesOf(wanted)].filter(([key, value]) => value !== null || key === 'owner');
  checkFormats(new Map(attributes), schema);
  return {
    ...Object.fromEntries(attributes),
    ...(wanted.tags === undefined ? {} : { tags: tagSet(wanted.tags) }),
    ...Object.fromEntries(properties),
    id,
  };
}

/**
 * The text of a property's value: text as it is, `true` and `false`, numbers in decimal digits without an exponent, lists
 * and objects as JSON. Undefined for null: Glance knows no null, so the property is absent.
 */
export function encodeProperty(value: JsonValue): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'boolean':
      return String(value);
    case 'number':
      return decimal(value);
    default:
      return value === null ? undefined : JSON.stringify(value);
  }
}

/** `1e21` → `1000000000000000000000`, `1.5e-7` → `0.00000015`. */
function decimal(value: number): string {
  const [, sign = '', whole = '', fraction = '', exponent] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  if (exponent === undefined) return String(value);
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  return point > 0 ? `${sign}${digits.padEnd(point, '0')}` : `${sign}0.${'0'.repeat(-point)}${digits}`;
}

/**
 * An image as Glance reports it, in our own terms.
 *
 * Invariant: reading never fails because of the content of an image: unknown states, odd properties and unreadable JSON
 * are kept unchanged. Only a response without an image is malformed.
 */

import * as z from 'zod';
import { boundedList } from '../lib/bounded-list.ts';
import { isJsonObject, isTooDeep, type JsonObject, type JsonValue, parseExactJson } from '../openstack/json.ts';
import { builtInSchema, type ImageSchema, typedValue } from './cloud-schema.ts';
import { baseKeys, jsonKeys } from './property-names.ts';

/** The states of Glance, and any that a newer one may have. */
export type ImageStatus =
  | 'queued'
  | 'saving'
  | 'uploading'
  | 'importing'
  | 'active'
  | 'deactivated'
  | 'killed'
  | 'deleted'
  | 'pending_delete'
  | (string & {});

export interface Image {
  id: string;
  name: string | null;
  status: ImageStatus;
  visibility: string;
  protected: boolean;
  hidden: boolean;
  diskFormat: string | null;
  containerFormat: string | null;
  minDiskGiB: number;
  minRAMMiB: number;
  /** Project id. */
  owner: string | null;
  /** Sorted. Glance sends a Python set, whose order differs between its processes. */
  tags: string[];
  /** Bytes; null until the data is there. */
  size: number | null;
  /** Bytes, if Glance's inspection determined it. */
  virtualSize: number | null;
  /** MD5 in hex. */
  checksum: string | null;
  hash: { algorithm: string; value: string } | null;
  /** RFC 3339. */
  createdAt: string;
  /** RFC 3339. */
  updatedAt: string;
  /** Where the data is, on clouds that show it. */
  directUrl?: string;
  /** All places where the data is, on clouds that show them. */
  locations?: ImageLocation[];
  /** The stores that hold the data, on clouds with more than one. Sorted: Glance lists them in the order of its database. */
  stores?: string[];
  /** Further attributes of this Glance, by its own names. */
  otherAttributes?: Record<string, JsonValue>;
  /**
   * Everything that Glance does not define itself, including its own `os_glance_*` notes. All are text, except that
   * `block_device_mapping` and `mappings` are decoded if they are JSON without a number that would change, and are not null,
   * which would mean that they are absent. Properties with another type in the cloud's schema have that type if the schema is
   * known.
   */
  properties: Record<string, JsonValue>;
}

/** A set of tags, sorted: their order has no meaning, and Glance ignores repetitions. */
export function tagSet(tags: readonly string[]): string[] {
  return [...new Set(tags)].sort();
}

/** A place where the data of an image is. */
export interface ImageLocation {
  url: string;
  /** Contains the id of the store, as `store`. */
  metadata: JsonObject;
}

/** Glance allows 128 tags unless its quota says otherwise. */
const maxTags = 1024;
const maxLocations = 64;

const text = z.string().nullish();
const time = z.string().refine((given) => !Number.isNaN(dateOf(given).getTime()), 'no time');
const number = z.number().nullish();

/** The attributes in a response. A policy can hide most of them, so few are required. */
const wireSchema = z.object({
  id: z.string().min(1),
  name: text,
  status: z.string(),
  visibility: z.string(),
  protected: z.boolean().nullish(),
  os_hidden: z.boolean().nullish(),
  disk_format: text,
  container_format: text,
  min_disk: number,
  min_ram: number,
  owner: text,
  tags: boundedList(z.string(), maxTags).nullish(),
  size: number,
  virtual_size: number,
  checksum: text,
  os_hash_algo: text,
  os_hash_value: text,
  created_at: time,
  updated_at: time,
  direct_url: text,
  locations: boundedList(z.unknown(), maxLocations).nullish(),
  stores: text,
});

/** The image in `body`; undefined if it is none. */
export function readImage(body: JsonValue, schema: ImageSchema = builtInSchema): Image | undefined {
  const wire = wireSchema.safeParse(body);
  if (!wire.success || !isJsonObject(body)) return undefined;
  const w = wire.data;
  const others = Object.entries(body).filter(([key]) => !baseKeys.has(key));
  const attributes = others.filter(([key]) => schema.baseKeys.has(key));
  const properties = others.filter(([key]) => !schema.baseKeys.has(key));
  return {
    id: w.id,
    name: w.name ?? null,
    status: w.status,
    visibility: w.visibility,
    protected: w.protected ?? false,
    hidden: w.os_hidden ?? false,
    diskFormat: w.disk_format ?? null,
    containerFormat: w.container_format ?? null,
    minDiskGiB: w.min_disk ?? 0,
    minRAMMiB: w.min_ram ?? 0,
    owner: w.owner ?? null,
    tags: tagSet(w.tags ?? []),
    size: w.size ?? null,
    virtualSize: w.virtual_size ?? null,
    checksum: w.checksum ?? null,
    hash: w.os_hash_algo && w.os_hash_value ? { algorithm: w.os_hash_algo, value: w.os_hash_value } : null,
    createdAt: w.created_at,
    updatedAt: w.updated_at,
    ...(w.direct_url ? { directUrl: w.direct_url } : {}),
    ...(w.locations ? { locations: readLocations(body['locations']) } : {}),
    ...(w.stores ? { stores: w.stores.split(',').sort() } : {}),
    // fromEntries defines keys instead of assigning them: a property may be named `__proto__`.
    ...(attributes.length > 0 ? { otherAttributes: Object.fromEntries(attributes) } : {}),
    properties: Object.fromEntries(properties.map(([key, value]) => [key, decodeProperty(key, value, schema)])),
  };
}

/** A time of Glance, which means UTC even without a zone. */
export function dateOf(text: string): Date {
  return new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
}

/** The locations in a list; other entries are left out. */
export function readLocations(list: JsonValue | undefined): ImageLocation[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    if (!isJsonObject(entry)) return [];
    const { url, metadata } = entry;
    return typeof url === 'string' ? [{ url, metadata: isJsonObject(metadata) ? metadata : {} }] : [];
  });
}

/** The decoded value of a property, if its text fits its key or its type in the schema; otherwise the text. */
export function decodeProperty(key: string, value: JsonValue, schema: ImageSchema = builtInSchema): JsonValue {
  if (typeof value !== 'string') return value;
  // Deeper JSON stays text: nothing declares it, and to compare it would exceed the stack.
  if (jsonKeys.has(key)) return isTooDeep(value) ? value : (parseExactJson(value) ?? value);
  const type = schema.propertyTypes.get(key);
  return (type === undefined ? undefined : typedValue(type, value)) ?? value;
}

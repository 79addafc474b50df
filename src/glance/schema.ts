/**
 * Which keys of an image mean what. Law: the lists are facts of the Images API v2 that hold on every cloud; what a cloud
 * may configure (formats, typed custom properties) is not in them.
 */

/** Keys that Glance itself defines. Every other key of an image is a custom property. */
export const baseKeys: ReadonlySet<string> = new Set([
  'id',
  'name',
  'status',
  'visibility',
  'protected',
  'os_hidden',
  'checksum',
  'os_hash_algo',
  'os_hash_value',
  'owner',
  'size',
  'virtual_size',
  'container_format',
  'disk_format',
  'created_at',
  'updated_at',
  'tags',
  'direct_url',
  'min_ram',
  'min_disk',
  'self',
  'file',
  'stores',
  'schema',
  'locations',
]);

/** Base keys that a client may write; each has its own field. */
const writableKeys: ReadonlySet<string> = new Set([
  'id',
  'name',
  'visibility',
  'protected',
  'os_hidden',
  'owner',
  'container_format',
  'disk_format',
  'tags',
  'min_ram',
  'min_disk',
]);

/** Keys that never were properties but are reserved all the same. */
const reservedKeys: ReadonlySet<string> = new Set(['location', 'locations', 'deleted', 'deleted_at']);

/** Where Glance keeps its own notes about an image. */
export const reservedPrefix = 'os_glance';

/** Properties whose text is JSON, by convention of Nova and Cinder. */
export const jsonKeys: ReadonlySet<string> = new Set(['block_device_mapping', 'mappings']);

/** Whether `key` belongs to Glance alone: never written, never removed. */
export function isServerKey(key: string): boolean {
  return key.startsWith(reservedPrefix) || reservedKeys.has(key) || (baseKeys.has(key) && !writableKeys.has(key));
}

/** Why `key` cannot be a custom property; undefined when it can. `attributes`: those of a newer Glance among them. */
export function reservedPropertyReason(key: string, attributes: ReadonlySet<string> = baseKeys): string | undefined {
  if (key.startsWith(reservedPrefix)) return `property ${key}: names beginning with ${reservedPrefix} are Glance's own`;
  if (reservedKeys.has(key)) return `property ${key}: the name is reserved by Glance`;
  if (writableKeys.has(key)) return `property ${key}: it is an attribute of every image and has a field of its own`;
  if (attributes.has(key)) return `property ${key}: it is set by Glance and cannot be written`;
  return undefined;
}

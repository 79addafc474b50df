/**
 * Classifies the keys of an image: attributes, reserved keys, and possible custom properties.
 *
 * Invariant: the lists hold on every cloud; the configuration of a cloud (formats, typed custom properties) is not in
 * them.
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

/** Keys that never were properties and are reserved nevertheless. */
const reservedKeys: ReadonlySet<string> = new Set(['location', 'locations', 'deleted', 'deleted_at']);

/**
 * Parameters of lists that are no filters, and filters that have other names than attributes. A list cannot be filtered by
 * properties of these names.
 */
export const listParameters: readonly string[] = [
  'limit',
  'marker',
  'sort',
  'sort_key',
  'sort_dir',
  'tag',
  'member_status',
  'size_min',
  'size_max',
];

/** The prefix of the properties in which Glance keeps the state of its imports. */
export const reservedPrefix = 'os_glance';

/**
 * Attributes of the Python object that is an image inside Glance. Its PATCH looks for the name there before it looks among
 * the custom properties (`hasattr` and `setattr` in glance/api/v2/images.py): a change of `image_id` is saved under the id
 * that it gives, so it overwrites another image; a change of any other name is lost or fails, and none can be removed.
 * With property protections the object also has `image` and `property_rules`; there Glance loses changes of these two.
 */
export const internalNames: readonly string[] = [
  'image_id',
  'member',
  'extra_properties',
  'base',
  'context',
  'helper',
  'notifier',
  'repo',
  'get_data',
  'set_data',
  'delete',
  'deactivate',
  'reactivate',
  'get_payload',
  'get_super_class',
  'send_notification',
  '_abc_impl',
  '_format_image_send',
  '_format_import_properties',
  '_get_chunk_data_iterator',
];

/** `__init__` and its like: which of them Glance's object has depends on the version of Python. */
function isInternalName(key: string): boolean {
  return internalNames.includes(key) || (key.startsWith('__') && key.endsWith('__') && key !== '__proto__');
}

/**
 * Whether a JSON Patch can name `key`: Glance strips white space, as Python defines it, from both ends of a path, so that
 * the path of ` x` leads to the property `x`.
 */
export function isPatchable(key: string): boolean {
  return ![key.at(0), key.at(-1)].some((end) => end !== undefined && isWhiteSpace(end));
}

function isWhiteSpace(character: string): boolean {
  return /\p{White_Space}/u.test(character) || (character >= '\x1c' && character <= '\x1f');
}

/** Properties whose text is JSON, by convention of Nova and Cinder. */
export const jsonKeys: ReadonlySet<string> = new Set(['block_device_mapping', 'mappings']);

/** Whether `key` is one that only Glance itself can write or remove. */
export function isServerKey(key: string): boolean {
  return (
    key.startsWith(reservedPrefix) ||
    reservedKeys.has(key) ||
    isInternalName(key) ||
    (baseKeys.has(key) && !writableKeys.has(key))
  );
}

/** Why `key` cannot be a custom property; undefined when it can. `attributes` may include those of a newer Glance. */
export function reservedPropertyReason(key: string, attributes: ReadonlySet<string> = baseKeys): string | undefined {
  if (key.startsWith(reservedPrefix))
    return `property ${key}: names that begin with ${reservedPrefix} are reserved by Glance`;
  if (reservedKeys.has(key)) return `property ${key}: the name is reserved by Glance`;
  if (isInternalName(key)) return `property ${key}: Glance uses the name internally and cannot change such a property`;
  if (writableKeys.has(key)) return `property ${key}: it is an attribute of every image and has a field of its own`;
  if (attributes.has(key)) return `property ${key}: it is set by Glance and cannot be written`;
  return undefined;
}

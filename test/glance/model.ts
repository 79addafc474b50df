/** A model of Glance's PATCH: strict where the server is, so that a patch that passes here is one that the server takes. */
import type { Image } from '../../src/glance/image.ts';
import { decodeProperty, readImage } from '../../src/glance/image.ts';
import type { JsonPatchOperation } from '../../src/glance/patch.ts';
import { baseKeys, isServerKey } from '../../src/glance/property-names.ts';
import type { JsonObject, JsonValue } from '../../src/openstack/json.ts';

export const imageId = '6b1fd7a2-0000-4000-8000-000000000001';

/** An image as the server sends it. */
export function wireImage(some: JsonObject = {}): JsonObject {
  return {
    name: null,
    status: 'queued',
    visibility: 'shared',
    protected: false,
    os_hidden: false,
    disk_format: null,
    container_format: null,
    min_disk: 0,
    min_ram: 0,
    owner: 'p',
    tags: [],
    size: null,
    virtual_size: null,
    checksum: null,
    os_hash_algo: null,
    os_hash_value: null,
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    self: `/v2/images/${imageId}`,
    file: `/v2/images/${imageId}/file`,
    schema: '/v2/schemas/image',
    ...some,
    id: imageId,
  };
}

export function imageOf(some: JsonObject = {}): Image {
  const image = readImage(wireImage(some));
  if (image === undefined) throw new Error('not an image');
  return image;
}

/** The wire image after the patch. Throws if Glance would reject it. */
export function applied(wire: JsonObject, operations: readonly JsonPatchOperation[]): JsonObject {
  const entries = new Map(Object.entries(wire));
  for (const operation of operations) {
    const key = keyOf(operation.path);
    if (isServerKey(key)) throw new Error(`403: ${key} is read-only`);
    const isBase = baseKeys.has(key);
    if (operation.op === 'remove') {
      if (isBase) throw new Error(`403: ${key} cannot be removed`);
      if (!entries.delete(key)) throw new Error(`409: ${key} is not there`);
      continue;
    }
    if (!isBase && typeof operation.value !== 'string') throw new Error(`400: ${key} is no text`);
    if (operation.op === 'replace' && !entries.has(key)) throw new Error(`409: ${key} is not there`);
    entries.set(key, operation.value);
  }
  return Object.fromEntries(entries);
}

function keyOf(path: string): string {
  const match = /^\/((?:[^/~]|~[01])*)$/s.exec(path);
  if (match === null) throw new Error(`400: ${path} is no pointer to a key`);
  return (match[1] ?? '').replaceAll('~1', '/').replaceAll('~0', '~').trim();
}

/** The value of a property when read back, after it was written as `text`. */
export function readBack(key: string, text: string | undefined): JsonValue | undefined {
  return text === undefined ? undefined : decodeProperty(key, text);
}

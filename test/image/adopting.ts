/** Resources that take over an image with the data `a`, as another tool has made it. */
import assert from 'node:assert/strict';
import type { Image } from '../../src/glance/image.ts';
import { clusterProperty, identityOf, ownerProperty } from '../../src/image/model/identity.ts';
import { imageOf, resourceOf } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { sha256, sha512 } from './world-glance.ts';

export const id = '5d8f3a52-0000-4000-8000-000000000001';
export const identity = identityOf(resourceOf(), 'test-cluster');
export const marks = { [ownerProperty]: identity.owner, [clusterProperty]: identity.cluster };

/** An image with the data `a`, as another tool has made it. */
export function existing(fields: Partial<Image> = {}): Image {
  return imageOf({
    id,
    name: 'golden',
    visibility: 'shared',
    protected: true,
    minDiskGiB: 10,
    tags: ['b', 'a'],
    size: 1,
    hash: { algorithm: 'sha512', value: sha512('a') },
    properties: { os_distro: 'debian', mappings: [{ virtual: 'ami', device: 'sda' }] },
    ...fields,
  });
}

export const importing = (fields: Record<string, unknown> = {}) => ({
  import: { id },
  deletionPolicy: 'Delete',
  ...fields,
});
export const contentWith = (text: string) => ({
  content: { http: { url: 'https://example.com/image.raw', digest: sha256(text), digestOf: 'Image' } },
  image: { diskFormat: 'raw' },
});

export function adopting(spec: Record<string, unknown> = importing(), image: Image | 'none' = existing()): World {
  const world = createWorld({ spec });
  if (image === 'none') return world;
  world.put(image);
  world.data.set(image.id, 'a');
  return world;
}

/** Without what every change changes. */
export function unmarked({ updatedAt: _, ...image }: Image): unknown {
  const own = [ownerProperty, clusterProperty];
  return {
    ...image,
    properties: Object.fromEntries(Object.entries(image.properties).filter(([key]) => !own.includes(key))),
  };
}
export const held = (world: World) => {
  const image = world.images.get(id);
  assert.ok(image);
  return image;
};

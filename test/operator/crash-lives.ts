/**
 * The lives that the crash campaign plays: an image that is created, edited and deleted; and one that rolls, is rolled back, and has
 * more revisions than are kept. The second is watched by another client throughout.
 */
import assert from 'node:assert/strict';
import { raw } from '../env/images.ts';
import type { ImageRecord } from '../env/project.ts';
import type { Life } from './crash.ts';
import { digestOf } from './digest.ts';
import { watchRolls } from './roll-watch.ts';
import type { World } from './world.ts';

const body = raw(256 * 1024);

/** Create, upload, edit, delete; at each goal Glance holds exactly what is declared. */
export const plainLife: Life = {
  what: 'an image that is created, edited and deleted',
  async play(world, name) {
    const url = world.source.add('/crash.raw', { body });
    const spec = (properties: Record<string, string>) => ({
      image: { diskFormat: 'raw', protected: true, properties },
      content: { http: { url, digest: digestOf(body) } },
    });
    await world.apply(name, spec({ a: '1', b: '1' }));
    await world.ready(name);
    await assertExactly(world, name, { a: '1', b: '1' }, body.length);
    await world.apply(name, spec({ a: '2' }));
    await world.ready(name);
    await assertExactly(world, name, { a: '2', b: undefined }, body.length);
    await world.delete(name);
    await world.gone(name);
    assert.deepEqual(await imagesOf(world, name), [], 'an orphan is left');
  },
};

/** Other lives of the same world may have left images behind. */
export async function imagesOf(world: World, name: string): Promise<ImageRecord[]> {
  const mark = `${world.namespace}/${name}/`;
  return (await world.images()).filter((image) => String(image['glance_image_operator_owner']).startsWith(mark));
}

async function assertExactly(
  world: World,
  name: string,
  properties: Record<string, string | undefined>,
  size: number,
): Promise<void> {
  const images = await imagesOf(world, name);
  assert.equal(images.length, 1, `Glance holds ${images.length} images`);
  const [image] = images;
  assert.equal(image?.status, 'active');
  assert.equal(image?.size, size);
  for (const [key, value] of Object.entries(properties)) assert.equal(image?.[key], value, key);
}

/** With `follows: 'at once'` the next edit comes while the data of this one is downloaded. */
interface Edit {
  data: keyof typeof files;
  keep: number;
  follows: 'later' | 'at once';
}

const files = { a: raw(1024), b: raw(2048), c: raw(4096), d: raw(8192) };
const digests = Object.values(files).map((file) => digestOf(file, 'sha512'));

const edits: readonly Edit[] = [
  { data: 'a', keep: 1, follows: 'later' },
  { data: 'b', keep: 1, follows: 'later' },
  { data: 'a', keep: 1, follows: 'later' },
  { data: 'c', keep: 1, follows: 'at once' },
  { data: 'd', keep: 1, follows: 'later' },
  { data: 'd', keep: 0, follows: 'later' },
];
const other = { a: 'a', b: 'b', c: 'd', d: 'c' } as const;
const swapped = edits.map((edit) => ({ ...edit, data: other[edit.data] }));

export const rollingLife = lifeOf('an image that rolls', edits);
export const swappedLife = lifeOf('an image that rolls, with two edits in the other order', swapped);

function lifeOf(what: string, order: readonly Edit[]): Life {
  return {
    what,
    async play(world, name) {
      await using watch = watchRolls(world, name, digests);
      let overtaken = Promise.withResolvers<void>();
      for (const [index, edit] of order.entries()) {
        const path = `/${name}-${index}.raw`;
        const isHeld = edit.follows === 'at once';
        const gate = { at: 512, released: overtaken.promise };
        const url = world.source.add(path, { body: files[edit.data], ...(isHeld ? { gate } : {}) });
        await world.apply(name, declared(name, url, edit));
        if (isHeld) {
          await world.source.requested(path);
          continue;
        }
        overtaken.resolve();
        overtaken = Promise.withResolvers<void>();
        await settled(world, name, edit);
      }
      await world.delete(name);
      await world.gone(name);
      assert.deepEqual(await imagesOf(world, name), [], 'an orphan is left');
      watch.assertKept();
    },
  };
}

function declared(name: string, url: string, { data, keep }: Edit): Record<string, unknown> {
  return {
    image: { name, diskFormat: 'raw', protected: true, properties: { life: name } },
    content: { http: { url, digest: digestOf(files[data]) } },
    revisions: { keep },
  };
}

async function settled(world: World, name: string, { data, keep }: Edit): Promise<void> {
  const { status } = await world.ready(name);
  const images = await imagesOf(world, name);
  const shown = images.filter((image) => image.name === name && image.os_hidden !== true);
  assert.deepEqual(
    shown.map(({ id, status: state, os_hash_value }) => [id, state, `sha512:${os_hash_value}`]),
    [[status.imageID, 'active', digestOf(files[data], 'sha512')]],
  );
  assert.ok(images.length <= keep + 1, `Glance holds ${images.length} images`);
}

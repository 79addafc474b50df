/** The life of an image that follows a publisher: files that the list names one after another, one of them while another is downloaded. */
import assert from 'node:assert/strict';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { eventually } from '../env/wait.ts';
import type { Life } from './crash.ts';
import { imagesOf } from './crash-lives.ts';
import { digestOf } from './digest.ts';
import { watchRolls } from './roll-watch.ts';
import type { World } from './world.ts';

const files = [raw(1024), raw(2048), raw(4096), raw(8192)] as const;
const digests = files.map((file) => digestOf(file, 'sha512'));

export const followedLife: Life = {
  what: 'an image that follows a publisher',
  async play(world, name) {
    await using watch = watchRolls(world, name, digests);
    const [first, second, third, fourth] = files;
    const publish = (body: Buffer, gate?: { at: number; released: Promise<void> }) => ({
      url: world.source.add(`/${name}/disk.raw`, { body, ...(gate === undefined ? {} : { gate }) }),
      list: world.source.add(`/${name}/SHA256SUMS`, {
        body: Buffer.from(`${digestOf(body).slice('sha256:'.length)}  disk.raw\n`),
      }),
    });
    const { url, list } = publish(first);
    await world.apply(name, {
      image: { name, diskFormat: 'raw', protected: true, properties: { life: name } },
      content: { http: { url, digestFrom: { checksums: { url: list } } }, update: { interval: '24h' } },
      revisions: { keep: 1 },
    });
    await follows(world, name, first);
    publish(second);
    await follows(world, name, second);

    const released = Promise.withResolvers<void>();
    publish(third, { at: 512, released: released.promise });
    const downloads = () => world.source.requests.filter(({ path }) => path === `/${name}/disk.raw`).length;
    const before = downloads();
    await readUntil(world, name, 'downloading the third file', () => Promise.resolve(downloads() > before));
    publish(fourth);
    released.resolve();
    await follows(world, name, fourth);

    await world.delete(name);
    await world.gone(name);
    assert.deepEqual(await imagesOf(world, name), [], 'an orphan is left');
    watch.assertKept();
  },
};

/** The image to use has the data of the file, and Glance holds at most one more. */
async function follows(world: World, name: string, file: Buffer): Promise<void> {
  const isAt = async () => (await world.ready(name)).status.source?.digest === digestOf(file);
  await readUntil(world, name, `at the file of ${file.length} bytes`, isAt);
  // The status records the promotion before Glance has the names.
  let seen = '';
  await eventually(
    async () => {
      const { imageID } = (await world.ready(name)).status;
      const images = await imagesOf(world, name);
      const shown = images.filter((image) => image.name === name && image.os_hidden !== true);
      seen = JSON.stringify(shown.map(({ id, status, os_hash_value }) => [id, status, `sha512:${os_hash_value}`]));
      return images.length <= 2 && seen === JSON.stringify([[imageID, 'active', digestOf(file, 'sha512')]]);
    },
    () => `${name} is ${seen}`,
  );
}

/** Has the list read again, once more after each restart: an operator that was killed may have forgotten the request. */
async function readUntil(world: World, name: string, what: string, isReached: () => Promise<boolean>): Promise<void> {
  const asked: World['operator'][] = [];
  let shown = '';
  await eventually(
    async () => {
      if (await isReached()) return true;
      shown = JSON.stringify((await world.get(name))?.status.conditions);
      if (asked.at(-1) === world.operator) return false;
      asked.push(world.operator);
      await world.annotate(name, reconcileAtAnnotation, `${what}, ${asked.length}`);
      return false;
    },
    () => `${name} is not ${what}: ${shown}`,
  );
}

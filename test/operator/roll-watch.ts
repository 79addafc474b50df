/**
 * Another client of Glance and Kubernetes, which looks at a resource and its images for as long as they live: it lists by name and
 * reads by ID.
 *
 * Invariants that it checks: the image that the status names is active, and has data that was declared; at most one image has the
 * declared name; once there was an image to use, one is visible.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { type ImageRecord, imageRecordSchema } from '../env/project.ts';
import type { World } from './world.ts';

export interface RollWatch extends AsyncDisposable {
  /** Throws where an invariant was broken, or nothing was seen. */
  assertKept(): void;
}

const pageSchema = z.object({ images: z.array(imageRecordSchema) });

/** `name`: of the resource and of its image, whose property `life` has it too. `digests`: of all data that is declared at any time. */
export function watchRolls(world: World, name: string, digests: readonly string[]): RollWatch {
  const { project } = world;
  const broken = new Set<string>();
  const stopped = new AbortController();
  let looks = 0;
  let wasUsable = false;

  async function list(query: string): Promise<ImageRecord[]> {
    return (await project.image('GET', `/v2/images?owner=${project.id}&limit=100&${query}`)).as(pageSchema).images;
  }

  async function get(id: string): Promise<ImageRecord | undefined> {
    const response = await project.image('GET', `/v2/images/${id}`);
    return response.status === 404 ? undefined : response.as(imageRecordSchema);
  }

  /** Images change between two requests: the first is read again after the second. */
  async function checkNames(): Promise<void> {
    const [one, other] = [...(await list(`name=${name}`)), ...(await list(`name=${name}&os_hidden=true`))];
    if (one === undefined || other === undefined || one.id === other.id) return;
    const names = [await get(one.id), await get(other.id), await get(one.id)].map((image) => image?.name);
    if (names.every((found) => found === name)) broken.add(`images ${one.id} and ${other.id} have the name ${name}`);
  }

  async function look(): Promise<void> {
    const before = await world.get(name);
    const visible = await list(`life=${name}`);
    const { imageID } = before?.status ?? {};
    const image = imageID === undefined ? undefined : await get(imageID);
    await checkNames();
    const after = await world.get(name);
    if (!lives(before) || !lives(after)) return;
    looks++;
    if (wasUsable && !visible.some(({ status }) => status === 'active')) broken.add('no image is visible');
    if (imageID === undefined || after.status.imageID !== imageID) return;
    wasUsable = true;
    if (image?.status !== 'active') broken.add(`the status names ${imageID}, which is ${image?.status ?? 'gone'}`);
    else if (!digests.includes(`sha512:${image.os_hash_value}`))
      broken.add(`the status names ${imageID} with other data`);
  }

  async function watch(): Promise<void> {
    while (!stopped.signal.aborted) {
      await look();
      await sleep(20);
    }
  }
  const watching = watch();
  watching.catch(() => {});

  return {
    assertKept() {
      assert.deepEqual([...broken], []);
      assert.ok(looks > 0, 'the other client has seen nothing');
    },
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await watching;
    },
  };
}

function lives(resource: GlanceImage | undefined): resource is GlanceImage {
  return resource !== undefined && resource.metadata.deletionTimestamp === undefined;
}

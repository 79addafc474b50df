/**
 * The life of an image that rolls: created, edited, promoted, rolled back, with more revisions than are kept, and deleted. It is played on
 * a Glance and an API server in memory, with one mishap at a chosen write.
 *
 * Invariants, at each change of either server: the status names an active image with verified data; at most one image has the declared
 * name; once there is an image to use, one is visible.
 */
import assert from 'node:assert/strict';
import { createWorld, type World } from './world.ts';
import type { Fate } from './world-glance.ts';
import { specOf } from './world-glance.ts';

export const mishaps = ['crash-before', 'crash-after', 'lost', 'refused', 'lost status', 'lost memory'] as const;
export type Mishap = (typeof mishaps)[number];

const revisions = (keep: number) => ({ revisions: { keep } });

/** What is declared, one after another. With `follows: 'at once'` the next edit comes before the image is complete. */
interface Edit {
  data: string;
  keep: number;
  follows: 'later' | 'at once';
  /** Whether the data is downloaded, where nothing goes wrong. */
  isDownloaded: boolean;
}

export const edits: readonly Edit[] = [
  { data: 'a', keep: 1, follows: 'later', isDownloaded: true },
  { data: 'b', keep: 1, follows: 'later', isDownloaded: true },
  { data: 'a', keep: 1, follows: 'later', isDownloaded: false },
  { data: 'c', keep: 1, follows: 'at once', isDownloaded: true },
  { data: 'd', keep: 1, follows: 'later', isDownloaded: true },
  { data: 'd', keep: 0, follows: 'later', isDownloaded: false },
];

/** Both orders of the two edits that come at once. */
export const swapped: readonly Edit[] = edits.map((edit) => {
  if (edit.data === 'c') return { ...edit, data: 'd' };
  return edit.data === 'd' ? { ...edit, data: 'c' } : edit;
});

interface Played {
  writes: number;
  downloads: string[];
}

/** `nth`: the write at which the mishap happens, from 1. */
export async function play(order: readonly Edit[], mishap?: Mishap, nth?: number): Promise<Played> {
  const [first] = order;
  assert.ok(first !== undefined);
  const world = createWorld({ spec: specOf(first.data, {}, revisions(first.keep)) });
  let writes = 0;
  let isLossy = false;
  world.decide((call): Fate => {
    // Reads have no number. A status that is lost is read by the next reconcile.
    if (['usage', 'download', 'tasks', 'servers'].includes(call.op)) return 'ok';
    if (++writes !== nth || mishap === undefined) return 'ok';
    if (mishap !== 'lost status' && mishap !== 'lost memory') return isKubernetes(call) ? crashOf(mishap) : mishap;
    isLossy = true;
    return 'ok';
  });
  watch(world);
  const lose = () => {
    if (!isLossy) return;
    isLossy = false;
    if (mishap === 'lost status') world.loseStatus();
    else world.loseOperation();
  };
  const downloads: string[] = [];
  for (const [index, { data, keep, follows }] of order.entries()) {
    const before = world.log.length;
    if (index > 0) world.edit(specOf(data, {}, revisions(keep)));
    if (follows === 'at once') {
      world.hold();
      await world.step();
      await world.release();
    } else {
      await settle(world, lose);
      assert.equal(world.ready(), 'True Ready');
      const shown = world.show().filter((line) => line.includes(' ubuntu active visible '));
      assert.equal(shown.length, 1, world.show().join(', '));
      assert.match(shown[0] ?? '', new RegExp(` ${data} `), world.show().join(', '));
      assert.ok(world.images.size <= keep + 1, world.show().join(', '));
    }
    if (world.log.slice(before).some((line) => line.startsWith('put '))) downloads.push(`${data}, keep ${keep}`);
  }
  world.delete();
  await settle(world, lose);
  assert.deepEqual([world.resource, world.images.size], [undefined, 0]);
  return { writes, downloads };
}

/** A response of the API server that is lost shows in the next reconcile like a crash. */
function crashOf(mishap: Fate): Fate {
  return mishap === 'lost' || mishap === 'refused' ? 'crash-after' : mishap;
}

function isKubernetes({ server }: { server: string }): boolean {
  return server === 'kubernetes';
}

async function settle(world: World, lose: () => void): Promise<void> {
  for (let rounds = 0; rounds < 60; rounds++) {
    const { isSettled } = await world.settle(1);
    lose();
    if (world.resource === undefined) return;
    if (isSettled && world.resource.metadata.deletionTimestamp === undefined) return;
  }
  assert.fail(`it does not settle: ${world.ready()} ${world.message()} ${world.show().join(', ')}`);
}

/** Another client, which lists by name and reads by ID. */
function watch(world: World): void {
  let wasUsable = false;
  world.watch(() => {
    const all = [...world.images.values()];
    const named = all.filter(({ name }) => name === 'ubuntu');
    assert.ok(named.length <= 1, `two images have the name: ${world.show().join(', ')}`);
    const { resource } = world;
    if (resource === undefined || resource.metadata.deletionTimestamp !== undefined) return;
    const { imageID } = resource.status;
    const image = imageID === undefined ? undefined : world.images.get(imageID);
    if (imageID !== undefined) {
      assert.equal(
        image?.status,
        'active',
        `the status names an image that cannot be used: ${world.show().join(', ')}`,
      );
      wasUsable = true;
    }
    if (!wasUsable) return;
    const visible = all.filter(({ status, hidden }) => status === 'active' && !hidden);
    assert.ok(visible.length > 0, `no image is visible: ${world.show().join(', ')}`);
  });
}

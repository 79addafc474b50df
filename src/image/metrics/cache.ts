/**
 * How fresh the caches of images are, by cloud, and how often they suffice.
 *
 * Invariant: a cloud has series while one of its caches is open, and at most a hundred clouds have series of their own at a
 * time; lists of the others are counted together, and their gauges are left out.
 */

import type { Meters } from '../../controller/meters.ts';
import type { ImageCacheObserver } from '../../glance/image-cache.ts';
import type { Clock } from '../../lib/clock.ts';

/** Of one cache, which is one cloud and project. */
export interface CacheObserver extends ImageCacheObserver {
  /** It is not used any more. */
  closed(): void;
}

const mostClouds = 100;
const otherClouds = 'other';
const answers = ['seen', 'refreshing', 'unlisted', 'unavailable'] as const;

/** `cloud` names the cache: origin of the image endpoint, and a hash of the project. Several caches can have one name. */
export function createCacheMetrics({ counter, gauge }: Meters, clock: Clock): (cloud: string) => CacheObserver {
  const lists = counter('glance_image_operator_cache_lists_total', 'Lists of images, by kind and result', [
    'cloud',
    'list',
    'result',
  ]);
  const images = gauge('glance_image_operator_cache_images', 'Images in the cache', ['cloud']);
  const unclaimed = gauge(
    'glance_image_operator_unclaimed_images',
    'Images with the mark of this cluster that no resource of this installation uses',
    ['cloud'],
  );
  const listedAt = gauge('glance_image_operator_cache_last_list_timestamp_seconds', 'When the last list succeeded', [
    'cloud',
  ]);
  const lookups = counter(
    'glance_image_operator_cache_lookups_total',
    'Comparisons with listed images; after unlisted and unavailable the image itself is requested',
    ['result'],
  );
  for (const answer of answers) lookups.inc({ result: answer }, 0);
  /** By name: the open caches. */
  const open = new Map<string, number>();
  const listLabels = (cloud: string) =>
    ['full', 'changes'].flatMap((list) => ['succeeded', 'failed'].map((result) => ({ cloud, list, result })));

  function begin(name: string): string {
    if (!open.has(name) && open.size >= mostClouds) return otherClouds;
    open.set(name, (open.get(name) ?? 0) + 1);
    return name;
  }

  function end(cloud: string): void {
    const left = (open.get(cloud) ?? 0) - 1;
    if (cloud === otherClouds) return;
    if (left > 0) {
      open.set(cloud, left);
      return;
    }
    open.delete(cloud);
    for (const each of [images, unclaimed, listedAt]) each.remove({ cloud });
    for (const labels of listLabels(cloud)) lists.remove(labels);
  }

  return (name) => {
    const cloud = begin(name);
    const count = (full: boolean, result: 'succeeded' | 'failed') =>
      lists.inc({ cloud, list: full ? 'full' : 'changes', result });
    for (const labels of listLabels(cloud)) lists.inc(labels, 0);
    return {
      lookedUp: (answer) => lookups.inc({ result: answer }),
      listed({ full, kept, unused }) {
        count(full, 'succeeded');
        if (cloud === otherClouds) return;
        images.set({ cloud }, kept);
        if (unused !== undefined) unclaimed.set({ cloud }, unused);
        listedAt.set({ cloud }, clock.now().getTime() / 1000);
      },
      failed: ({ full }) => count(full, 'failed'),
      closed: () => end(cloud),
    };
  };
}

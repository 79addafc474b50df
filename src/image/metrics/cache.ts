/** How fresh the caches of images are, by cloud, and what they are good for. */

import type { Meters } from '../../controller/meters.ts';
import type { ImageCacheObserver } from '../../glance/image-cache.ts';
import type { Clock } from '../../lib/clock.ts';

/** Of one cache, which is one cloud and project. */
export interface CacheObserver extends ImageCacheObserver {
  /** It is not used any more. */
  closed(): void;
}

const answers = ['seen', 'refreshing', 'unlisted', 'unavailable'] as const;

/** `cloud` names the cache: origin of the image endpoint and project. */
export function createCacheMetrics({ counter, gauge }: Meters, clock: Clock): (cloud: string) => CacheObserver {
  const lists = counter('glance_image_operator_cache_lists_total', 'Lists of images, by kind and result', [
    'cloud',
    'list',
    'result',
  ]);
  const images = gauge('glance_image_operator_cache_images', 'Images in the cache', ['cloud']);
  const listedAt = gauge('glance_image_operator_cache_last_list_timestamp_seconds', 'When the last list succeeded', [
    'cloud',
  ]);
  const lookups = counter(
    'glance_image_operator_cache_lookups_total',
    'Comparisons with listed images; after unlisted and unavailable the image itself is requested',
    ['result'],
  );
  for (const answer of answers) lookups.inc({ result: answer }, 0);
  return (cloud) => {
    const end = (full: boolean, result: 'succeeded' | 'failed') =>
      lists.inc({ cloud, list: full ? 'full' : 'changes', result });
    for (const list of ['full', 'changes'])
      for (const result of ['succeeded', 'failed']) lists.inc({ cloud, list, result }, 0);
    return {
      lookedUp: (answer) => lookups.inc({ result: answer }),
      listed({ full, kept }) {
        end(full, 'succeeded');
        images.set({ cloud }, kept);
        listedAt.set({ cloud }, clock.now().getTime() / 1000);
      },
      failed: ({ full }) => end(full, 'failed'),
      closed() {
        for (const each of [images, listedAt]) each.remove({ cloud });
      },
    };
  };
}

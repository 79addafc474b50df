/** A Glance in memory and the cache in front of it, with a clock of their own, for the tests of the cache. */
import type { Image } from '../../src/glance/image.ts';
import { createImageCache, type ImageCacheOptions, type ImageChange } from '../../src/glance/image-cache.ts';
import type { ListFilters } from '../../src/glance/list.ts';
import { createVirtualClock, type VirtualClock } from '../clock.ts';
import { imageOf } from './model.ts';

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;

/** A Glance that holds images and stamps them by a clock of its own, in whole seconds as the real one does. */
export class FakeGlance {
  readonly images = new Map<string, Image>();
  readonly lists: ListFilters[] = [];
  /** Of its clock before ours. */
  aheadMs = 7 * hour;
  failing = false;
  /** Called before each image of a list, with the number of those that were shown. */
  onImage: (shown: number) => void = () => {};
  /** How long a list takes for each image, and at the least. */
  msAnImage = 0;
  msAList = 0;
  readonly clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  get now(): number {
    return this.clock.now().getTime() + this.aheadMs;
  }

  put(id: string, fields: Partial<Image> = {}, stampMs = this.now): void {
    const updatedAt = new Date(Math.floor(stampMs / second) * second).toISOString();
    const before = this.images.get(id) ?? { ...imageOf(), id };
    this.images.set(id, { ...before, ...fields, updatedAt });
  }

  readonly list: ImageCacheOptions['list'] = (filters, signal) => {
    this.lists.push(filters);
    return this.#walk(filters, signal);
  };

  async *#walk({ hidden = false, updatedSince }: ListFilters, signal: AbortSignal): AsyncGenerator<Image> {
    await this.clock.sleep(this.msAList, signal);
    let shown = 0;
    for (const id of [...this.images.keys()]) {
      if (this.failing) throw new Error('503');
      this.onImage(shown);
      const image = this.images.get(id);
      if (image === undefined || image.hidden !== hidden) continue;
      if (updatedSince !== undefined && Date.parse(image.updatedAt) < updatedSince.getTime()) continue;
      if (this.msAnImage > 0) await this.clock.sleep(this.msAnImage, signal);
      yield image;
      shown++;
    }
    if (this.failing) throw new Error('503');
  }
}

export function setUp(options: Partial<ImageCacheOptions> = {}) {
  const clock = createVirtualClock();
  const glance = new FakeGlance(clock);
  const news: ImageChange[] = [];
  const cache = createImageCache({
    list: glance.list,
    scope: { kind: 'marked', mark: { cluster: 'c' } },
    keeps: () => true,
    onChange: (item) => news.push(item),
    clock,
    random: () => 0.5,
    ...options,
  });
  /** The state of the cache once no list is running. */
  const settled = async (id: string, sinceMs = clock.monotonic()) => {
    for (;;) {
      const sighting = cache.get(id, sinceMs);
      if (sighting.kind !== 'refreshing') return sighting;
      await clock.advance(second);
    }
  };
  const told = () => news.splice(0).map((item) => (item.kind === 'seen' ? item.image.id : `${item.id} missing`));
  return { clock, glance, cache, settled, told };
}

export function nameIn(sighting: Awaited<ReturnType<ReturnType<typeof setUp>['settled']>>): string | null | undefined {
  return sighting.kind === 'seen' ? sighting.image.name : undefined;
}

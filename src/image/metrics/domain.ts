/** The metrics of images, clouds and transfers. Those of controllers are in `controller/metrics.ts`. */
import type { Registry } from 'prom-client';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { createMeters } from '../../controller/meters.ts';
import type { Item } from '../../kubernetes/resource.ts';
import type { Clock } from '../../lib/clock.ts';
import type { TransferObserver } from '../../transfer/meter.ts';
import { type CacheObserver, createCacheMetrics } from './cache.ts';
import { type CloudMetrics, createCloudMetrics } from './clouds.ts';
import { createImageMetrics, type ImageMetrics } from './images.ts';
import { createJobMetrics, type JobMetrics } from './jobs.ts';
import { createTransferMetrics } from './transfers.ts';

export interface DomainMetrics {
  images: ImageMetrics;
  clouds: CloudMetrics;
  transfers: TransferObserver;
  jobs: JobMetrics;
  /** For one cloud and project. */
  cache: (cloud: string) => CacheObserver;
}

/** `images` returns the resources at each scrape. */
export function createDomainMetrics(
  registry: Registry,
  images: () => readonly Item<GlanceImage>[],
  clock: Clock,
): DomainMetrics {
  const meters = createMeters(registry);
  return {
    images: createImageMetrics(meters, images),
    clouds: createCloudMetrics(meters),
    transfers: createTransferMetrics(meters),
    jobs: createJobMetrics(meters),
    cache: createCacheMetrics(meters, clock),
  };
}

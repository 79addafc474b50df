/** The metrics of the domain, beside those of the machine that works on it. */
import type { Registry } from 'prom-client';
import type { GlanceImage } from '../api/glanceimage.ts';
import { createMeters } from '../controller/meters.ts';
import type { Item } from '../kubernetes/resource.ts';
import type { Clock } from '../lib/clock.ts';
import type { TransferObserver } from '../transfer/meter.ts';
import { type CacheObserver, createCacheMetrics } from './metrics/cache.ts';
import { type CloudMetrics, createCloudMetrics } from './metrics/clouds.ts';
import { createImageMetrics, type ImageMetrics } from './metrics/images.ts';
import { createTransferMetrics } from './metrics/transfers.ts';

export interface DomainMetrics {
  images: ImageMetrics;
  clouds: CloudMetrics;
  transfers: TransferObserver;
  /** For one cloud and project. */
  cache: (cloud: string) => CacheObserver;
}

/** What is asked at each scrape. */
export interface DomainSources {
  images(): readonly Item<GlanceImage>[];
  sessions(): number;
}

export function createDomainMetrics(registry: Registry, sources: DomainSources, clock: Clock): DomainMetrics {
  const meters = createMeters(registry);
  return {
    images: createImageMetrics(meters, sources.images),
    clouds: createCloudMetrics(meters, sources.sessions),
    transfers: createTransferMetrics(meters),
    cache: createCacheMetrics(meters, clock),
  };
}

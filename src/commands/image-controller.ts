/**
 * Builds the controller of GlanceImages: who wakes it, which keys share a flow, and how it reconciles.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { type Controller, createController } from '../controller/controller.ts';
import type { Metrics } from '../controller/metrics.ts';
import type { Flow } from '../controller/queue.ts';
import { changed, createEmitter, referenced, reported } from '../controller/triggers.ts';
import type { Clouds } from '../image/access/clouds.ts';
import { bySecret, createResources } from '../image/access/resources.ts';
import type { ServedFields } from '../image/access/served-fields.ts';
import type { DomainMetrics } from '../image/metrics/domain.ts';
import { cloudRefOf } from '../image/model/cloud-ref.ts';
import { createMemberReadings } from '../image/observe/member-readings.ts';
import { createConfigMaps } from '../image/perform/config-maps.ts';
import { createDrift } from '../image/reconcile/drift.ts';
import { createStripped } from '../image/reconcile/guard.ts';
import { createReconciler } from '../image/reconcile/reconcile.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { createEventRecorder, type EventRecorder } from '../kubernetes/events.ts';
import type { Store } from '../kubernetes/reflector.ts';
import { type Item, keyOfObject } from '../kubernetes/resource.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { type Key, keyOf } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import type { CloudAccess } from './clouds.ts';
import type { SecretAccess } from './secrets.ts';
import type { Transfers } from './transfers.ts';

export interface ImageControllerOptions {
  client: KubernetesClient;
  images: Store<GlanceImage>;
  secrets: SecretAccess;
  events: EventRecorder;
  access: CloudAccess;
  transfers: Transfers;
  workers: number;
  cluster: string;
  inheritFrom: readonly string[];
  whenLeading: (signal: AbortSignal) => Promise<void>;
  metrics: Metrics;
  domain: Pick<DomainMetrics, 'images'>;
  served?: ServedFields | undefined;
  clock: Clock;
  random: Random;
  log: Logger;
}

export function createImageController(options: ImageControllerOptions): Controller {
  const { client, images, secrets, events, access, transfers, metrics, domain, cluster } = options;
  const { clock, random, log } = options;
  const { clouds } = access;
  const { limits } = transfers;
  const resources = createResources({
    client,
    images,
    secrets: secrets.secrets,
    events,
    log,
    onEvent: domain.images.event,
    served: options.served,
  });
  const driftChecks = createEmitter<Key>();
  const drift = createDrift({ resources, wake: driftChecks.emit, clock, random });
  access.changes.subscribe(drift.onChange);
  const usersOf = (secret: Key) => images.findBy(bySecret, secret).map((user) => keyOfObject(user.object));

  return createController({
    name: 'glanceimage',
    workers: options.workers,
    caches: { glanceimages: images, secrets: secrets.watch.store },
    triggers: [
      changed(images, resources.isEcho),
      referenced(secrets.changes, usersOf),
      reported(driftChecks, 'periodic'),
      reported(transfers.changes),
      reported(transfers.publishers.changes),
    ],
    flowOf: (key) => flowOf(images.get(key), clouds),
    reconcile: createReconciler({
      resources,
      clouds,
      drift,
      memberReadings: createMemberReadings(clock),
      configMaps: createConfigMaps(client),
      stripped: createStripped(clock),
      following: transfers.publishers.following,
      transfers: transfers.scheduler,
      limits,
      webDownloads: transfers.webDownloads,
      cluster,
      inheritFrom: options.inheritFrom,
      clock,
      random,
    }),
    async whenAllowed(signal) {
      await options.whenLeading(signal);
      await transfers.scheduler.takeOver(signal);
    },
    metrics,
    clock,
    random,
    log,
  });
}

/** `instance`: name of this process among those of its Deployment. */
export function createImageEvents({
  instance = 'glance-image-operator',
  ...options
}: Pick<ImageControllerOptions, 'client' | 'clock' | 'random' | 'log'> & { instance: string | undefined }) {
  const reportingController = 'glance-image-operator.dev/glance-image-operator';
  return createEventRecorder({ reportingController, reportingInstance: instance, ...options });
}

/** Resources of one cloud are one flow. Until its Secret has been read, resources of one Secret are. */
function flowOf(item: Item<GlanceImage> | undefined, clouds: Clouds): Flow {
  if (item?.kind !== 'readable') return undefined;
  const { metadata, spec } = item.object;
  return clouds.destinationOf(cloudRefOf(item.object)) ?? keyOf(metadata.namespace, spec.cloud.secretRef.name);
}

/**
 * GlanceImages as their reconciler reads and writes them. Reads, writes and Events of objects of any kind are in
 * `kubernetes/resources.ts`; here are the indexes, the versions of Secrets, and the status that fits.
 */
import { isDeepStrictEqual } from 'node:util';
import { type GlanceImage, parseGlanceImage } from '../../api/glanceimage.ts';
import { abandonAnnotation, finalizer, group, identityAnnotation, kind, plural, version } from '../../api/group.ts';
import type { Reason } from '../../api/reasons.ts';
import type { GlanceImageStatus } from '../../api/status.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { EventRecorder } from '../../kubernetes/events.ts';
import type { Store } from '../../kubernetes/reflector.ts';
import { type Item, keyOfObject, type ResourceType } from '../../kubernetes/resource.ts';
import { createKindResources, type KindResources } from '../../kubernetes/resources.ts';
import { type Key, keyOf } from '../../lib/key.ts';
import type { Logger } from '../../lib/log.ts';
import { type CloudRef, cloudRefOf } from '../model/cloud-ref.ts';
import { shortened } from '../model/sanitise.ts';
import { type Secrets, secretKeysOf } from './secrets.ts';
import type { ServedFields } from './served-fields.ts';

export const glanceImageType: ResourceType<GlanceImage> = { group, version, kind, plural, parse: parseGlanceImage };

/** Index of the store of GlanceImages: by the key of each Secret that they name. */
export const bySecret = 'bySecret';

/** Index of the store of GlanceImages: by the IDs of their images in Glance. */
export const byImage = 'byImage';
export function imageIDsOf({ spec, status }: GlanceImage): string[] {
  const observed = spec.managementPolicy === 'Observe' ? [spec.import?.id ?? status.imageID] : [];
  const ids = [...(status.revisions ?? []).map(({ imageID }) => imageID), ...observed];
  return [...new Set(ids.filter((id) => id !== undefined))];
}

export const imageIndexes = {
  [bySecret]: (item: Item<GlanceImage>) => (item.kind === 'readable' ? secretKeysOf(item.object) : []),
  [byImage]: (item: Item<GlanceImage>) => (item.kind === 'readable' ? imageIDsOf(item.object) : []),
};

/** The images of all resources, for the caches of images. */
export function imagesIn(store: Pick<Store<GlanceImage>, 'findBy' | 'list'>) {
  return {
    isUsed: (id: string) => store.findBy(byImage, id).length > 0,
    observedIDs: (isHere: (ref: CloudRef) => boolean) =>
      store.list().flatMap((item) => (item.kind === 'readable' ? observedBy(item.object, isHere) : [])),
  };
}

function observedBy(resource: GlanceImage, isHere: (ref: CloudRef) => boolean): string[] {
  const { managementPolicy, import: imported, suspend } = resource.spec;
  const id = managementPolicy === 'Observe' && !suspend ? imported?.id : undefined;
  return id !== undefined && isHere(cloudRefOf(resource)) ? [id] : [];
}

/** In the place of the version of a Secret that is not there. */
export const missingSecret = '-';

type OwnResources = KindResources<GlanceImage, Reason>;

export interface Resources extends Pick<OwnResources, 'get' | 'confirm' | 'removeFinalizer' | 'isEcho' | 'event'> {
  /** The resources whose status names this image. */
  ofImage(id: string): Key[];
  /**
   * Versions of its Secrets as last read, in one text; where one was not read yet, the version in the status. `cloud` is that
   * of the first, where it was just read or found missing. Undefined when none is known.
   */
  secretVersions(resource: GlanceImage, cloud?: string): string | undefined;
  /** Of the Secret with its clouds.yaml, where it need not be read: no change was reported, or it was read this lately. */
  cloudVersion(resource: GlanceImage, maxAgeMs: number): string | undefined;
  /** Adds the finalizer and, in the same patch, the identity. False: the resource is gone, or is being deleted. */
  addFinalizer(resource: GlanceImage, identity: string, signal: AbortSignal): Promise<boolean>;
  /** `resource`: from which the status was computed. */
  writeStatus(resource: GlanceImage, status: GlanceImageStatus, signal: AbortSignal): Promise<StatusOutcome>;
}

export type StatusOutcome =
  /** As it is, or in a shorter form that has the memory. */
  | 'written'
  /** The API server rejects it, or took it without the memory. The log says why, and the next reconcile tries again. */
  | 'rejected'
  | 'gone'
  /** Nothing was written, because the resource has another status. */
  | 'outdated';

export interface ResourcesOptions {
  client: KubernetesClient;
  images: Store<GlanceImage>;
  secrets: Pick<Secrets, 'lastVersion' | 'currentVersion'>;
  events: EventRecorder;
  log: Logger;
  /** Called for each Event, for metrics. */
  onEvent?: (reason: Reason) => void;
  /** Default: the CRD has all fields. */
  served?: Pick<ServedFields, 'fit' | 'look'> | undefined;
}

/** The response of the API server, with the status 500, to an apply with a field that the CRD does not have. */
const undeclared = /field not declared in schema/;

export function createResources(options: ResourcesOptions): Resources {
  const { client, images, secrets, events, log, onEvent, served } = options;
  const own = createKindResources<GlanceImage, Reason>({
    client,
    type: glanceImageType,
    store: images,
    finalizer,
    ownAnnotations: [identityAnnotation],
    requestAnnotations: [abandonAnnotation],
    events,
    log,
    onEvent,
  });

  /** As `own.writeStatus`, without the fields that the CRD does not have. A status that then is the stored one needs no write. */
  async function write(resource: GlanceImage, status: GlanceImageStatus, signal: AbortSignal) {
    const fitted = served?.fit(status) ?? status;
    const known = own.get(keyOfObject(resource));
    const isStored = fitted !== status && known?.metadata.uid === resource.metadata.uid;
    if (isStored && isDeepStrictEqual(fitted, known.status)) return { kind: 'written' as const };
    return own.writeStatus(resource, fitted, signal);
  }

  /** A CRD that was replaced by an earlier one shows in the first rejected status. */
  async function writeServed(resource: GlanceImage, status: GlanceImageStatus, signal: AbortSignal) {
    try {
      return await write(resource, status, signal);
    } catch (error) {
      if (!(error instanceof Error && undeclared.test(error.message)) || !(await served?.look(signal))) throw error;
      return write(resource, status, signal);
    }
  }

  return {
    ...own,
    ofImage: (id) => images.findBy(byImage, id).map((item) => keyOfObject(item.object)),
    cloudVersion: ({ metadata, spec }, maxAgeMs) =>
      secrets.currentVersion(keyOf(metadata.namespace, spec.cloud.secretRef.name), maxAgeMs),
    secretVersions(resource, cloud) {
      const keys = secretKeysOf(resource);
      const before = resource.status.secretVersion?.split(',') ?? [];
      const known = before.length === keys.length ? before : [];
      const versions = keys.map((key, index) => secrets.lastVersion(key) ?? known[index] ?? missingSecret);
      const all = cloud === undefined ? versions : [cloud, ...versions.slice(1)];
      return all.every((version) => version === missingSecret) ? undefined : all.join(',');
    },
    addFinalizer: (resource, identity, signal) =>
      own.addFinalizer(resource, signal, { name: identityAnnotation, value: identity }),
    async writeStatus(resource, status, signal) {
      const first = await writeServed(resource, status, signal);
      if (first.kind !== 'rejected') return first.kind;
      const { error } = first;
      for (const shorter of shortened(status, error.message)) {
        const { kind: outcome } = await write(resource, shorter, signal);
        if (outcome === 'rejected') continue;
        if (outcome !== 'written') return outcome;
        log.error({ error }, 'The API server rejected the status. A shorter one is written.');
        return shorter.operation === undefined && status.operation !== undefined ? 'rejected' : 'written';
      }
      log.error({ error }, 'The API server rejected the status, and each shorter one too.');
      return 'rejected';
    },
  };
}

/**
 * The API server as the reconciler sees it.
 *
 * Guarantees: a reconcile never reads an older state of a resource than the one that this process has written, although the watch
 * brings our own writes back only after a while.
 */
import { isDeepStrictEqual } from 'node:util';
import { type GlanceImage, parseGlanceImage } from '../api/glanceimage.ts';
import { apiVersion, finalizer, group, identityAnnotation, kind, plural, version } from '../api/group.ts';
import type { Reason } from '../api/reasons.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { isConflict, isNotFound, isRejection } from '../kubernetes/errors.ts';
import type { EventRecorder } from '../kubernetes/events.ts';
import { addFinalizer, removeFinalizer } from '../kubernetes/finalizer.ts';
import type { Store, StoreChange } from '../kubernetes/reflector.ts';
import { type Item, keyOfObject, type ResourceType } from '../kubernetes/resource.ts';
import { type Key, keyOf } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import { shortened } from './sanitise.ts';
import { type Secrets, secretKeysOf } from './secrets.ts';

export const glanceImageType: ResourceType<GlanceImage> = { group, version, kind, plural, parse: parseGlanceImage };

/** Index of the store of GlanceImages: by the key of each Secret that they name. */
export const bySecret = 'bySecret';

/** Index of the store of GlanceImages: by the IDs of their images in Glance. */
export const byImage = 'byImage';
export function imageIDsOf({ status }: GlanceImage): string[] {
  return (status.revisions ?? []).map(({ imageID }) => imageID);
}

export const imageIndexes = {
  [bySecret]: (item: Item<GlanceImage>) => (item.kind === 'readable' ? secretKeysOf(item.object) : []),
  [byImage]: (item: Item<GlanceImage>) => (item.kind === 'readable' ? imageIDsOf(item.object) : []),
};

/** In the place of the version of a Secret that is not there. */
export const missingSecret = '-';

export interface Resources {
  get(key: Key): GlanceImage | undefined;
  /** Whose status names this image. */
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
  removeFinalizer(resource: GlanceImage, signal: AbortSignal): Promise<void>;
  /** False: the resource is gone. True as well if the API server rejects each status: the log says why, and the next reconcile tries again. */
  writeStatus(resource: GlanceImage, status: GlanceImageStatus, signal: AbortSignal): Promise<boolean>;
  /** Whether a change of the store is nothing but our own write coming back. */
  isEcho(change: StoreChange<GlanceImage>): boolean;
  /** Writes an Event and a line of the log. Best effort; never throws. */
  event(resource: GlanceImage, type: 'Normal' | 'Warning', reason: Reason, note: string): void;
}

export interface ResourcesOptions {
  client: KubernetesClient;
  images: Store<GlanceImage>;
  secrets: Pick<Secrets, 'lastVersion' | 'currentVersion'>;
  events: EventRecorder;
  log: Logger;
  /** Called for each event, for metrics. */
  onEvent?: (reason: Reason) => void;
}

export function createResources({ client, images, secrets, events, log, onEvent }: ResourcesOptions): Resources {
  /** What we wrote and the watch has not brought back yet. */
  const written = new Map<Key, GlanceImage>();

  function remember(resource: GlanceImage): void {
    written.set(keyOf(resource.metadata.namespace, resource.metadata.name), resource);
  }

  /** Resolves with the error if the API server rejects this status. */
  async function tryStatus({ metadata }: GlanceImage, status: GlanceImageStatus, signal: AbortSignal) {
    const { name, namespace, uid } = metadata;
    try {
      remember(await client.applyStatus(glanceImageType, { metadata: { name, namespace, uid }, status }, signal));
      return undefined;
    } catch (error) {
      if (isRejection(error)) return error;
      throw error;
    }
  }

  return {
    get(key) {
      const item = images.get(key);
      const own = written.get(key);
      if (item?.kind !== 'readable') {
        written.delete(key);
        return undefined;
      }
      if (own !== undefined && isNewer(own, item.object)) return own;
      written.delete(key);
      return item.object;
    },
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
    async addFinalizer(resource, identity, signal) {
      const annotation = { name: identityAnnotation, value: identity };
      const guarded = await addFinalizer(client, glanceImageType, resource, finalizer, signal, annotation);
      if (guarded !== undefined) remember(guarded);
      return guarded !== undefined;
    },
    async removeFinalizer(resource, signal) {
      await removeFinalizer(client, glanceImageType, resource, finalizer, signal);
    },
    async writeStatus(resource, status, signal) {
      try {
        const rejection = await tryStatus(resource, status, signal);
        if (rejection === undefined) return true;
        for (const shorter of shortened(status, rejection.message)) {
          if ((await tryStatus(resource, shorter, signal)) !== undefined) continue;
          log.error({ error: rejection }, 'The API server rejected the status. A shorter one is written.');
          return true;
        }
        log.error({ error: rejection }, 'The API server rejected the status, and each shorter one too.');
        return true;
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) return false;
        throw error;
      }
    },
    isEcho(change) {
      if (change.kind !== 'updated' || change.before.kind !== 'readable' || change.after.kind !== 'readable')
        return false;
      const own = written.get(change.key);
      const after = change.after.object;
      if (own === undefined || isNewer(after, own)) return false;
      // From here on the store knows as much, and two copies of ten thousand resources are too many.
      if (!isNewer(own, after)) written.delete(change.key);
      return asksTheSame(change.before.object, after);
    },
    event(resource, type, reason, note) {
      const { namespace, name, generation } = resource.metadata;
      log[type === 'Warning' ? 'warn' : 'info']({ namespace, name, generation, reason }, note);
      onEvent?.(reason);
      events.record({ apiVersion, kind, metadata: resource.metadata }, { type, reason, action: 'Reconcile', note });
    },
  };
}

/** Whether the user asks for nothing else than before. */
function asksTheSame({ metadata: a }: GlanceImage, { metadata: b }: GlanceImage): boolean {
  return (
    a.generation === b.generation &&
    a.deletionTimestamp === b.deletionTimestamp &&
    isDeepStrictEqual(withoutOwn(a), withoutOwn(b))
  );
}

/** The finalizer and the identity are ours. */
function withoutOwn({ annotations, finalizers }: GlanceImage['metadata']) {
  const { [identityAnnotation]: _, ...others } = annotations;
  return [others, finalizers.filter((one) => one !== finalizer)];
}

/** Versions are counters in every API server there is, and comparable by contract since Kubernetes 1.35. */
function isNewer(a: GlanceImage, b: GlanceImage): boolean {
  if (a.metadata.uid !== b.metadata.uid) return false;
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion);
}

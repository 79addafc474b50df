/**
 * The API server as the reconciler sees it. Law: nobody reads an older state of a resource than the one that this process
 * has written, although the watch brings our own writes back only after a while.
 */
import { isDeepStrictEqual } from 'node:util';
import { type GlanceImage, parseGlanceImage } from '../api/glanceimage.ts';
import { apiVersion, finalizer, group, kind, plural, version } from '../api/group.ts';
import type { Reason } from '../api/reasons.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { isConflict, isNotFound } from '../kubernetes/errors.ts';
import type { EventRecorder } from '../kubernetes/events.ts';
import { addFinalizer, removeFinalizer } from '../kubernetes/finalizer.ts';
import type { Store, StoreChange } from '../kubernetes/reflector.ts';
import { type KubernetesObject, keyOfObject, type ResourceType } from '../kubernetes/resource.ts';
import { type Key, keyOf } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import { sourceOf } from '../source/registry.ts';
import { contentOf } from './content.ts';

export const glanceImageType: ResourceType<GlanceImage> = { group, version, kind, plural, parse: parseGlanceImage };

/** Index of the store of GlanceImages: by `namespace/name` of each Secret that they use. */
export const bySecret = 'bySecret';
export function secretKeysOf(resource: GlanceImage): string[] {
  const { metadata, spec } = resource;
  const content = contentOf(resource);
  const needs = content === undefined ? [] : sourceOf(content.source).secrets;
  const names = [spec.cloud.secretRef.name, ...needs.map(({ ref }) => ref.name)];
  return [...new Set(names)].map((name) => keyOf(metadata.namespace, name));
}

/** Index of the store of GlanceImages: by the id of the image in Glance. */
export const byImage = 'byImage';
export function imageIDsOf({ status }: GlanceImage): string[] {
  return status.imageID === undefined ? [] : [status.imageID];
}

export interface Resources {
  get(key: Key): GlanceImage | undefined;
  /** Whose status names this image. */
  ofImage(id: string): Key[];
  /**
   * resourceVersions of its Secrets as last seen, in one text; `cloud` is a later one of the first. Undefined when one of
   * them is not there, so that a Secret that goes makes no stir.
   */
  secretVersions(resource: GlanceImage, cloud?: string): string | undefined;
  /** That of the Secret with its clouds.yaml alone. */
  cloudVersion(resource: GlanceImage): string | undefined;
  addFinalizer(resource: GlanceImage, signal: AbortSignal): Promise<void>;
  removeFinalizer(resource: GlanceImage, signal: AbortSignal): Promise<void>;
  writeStatus(resource: GlanceImage, status: GlanceImageStatus, signal: AbortSignal): Promise<void>;
  /** Whether a change of the store is nothing but our own write coming back. */
  isEcho(change: StoreChange<GlanceImage>): boolean;
  /** Tells a turn of the story, as an Event and in the log. Best effort; never throws. */
  event(resource: GlanceImage, type: 'Normal' | 'Warning', reason: Reason, note: string): void;
}

export interface ResourcesOptions {
  client: KubernetesClient;
  images: Store<GlanceImage>;
  secrets: Store<KubernetesObject>;
  events: EventRecorder;
  log: Logger;
  /** Told of each event, for metrics. */
  onEvent?: (reason: Reason) => void;
}

export function createResources({ client, images, secrets, events, log, onEvent }: ResourcesOptions): Resources {
  /** What we wrote and the watch has not brought back yet. */
  const written = new Map<Key, GlanceImage>();

  function remember(resource: GlanceImage): void {
    written.set(keyOf(resource.metadata.namespace, resource.metadata.name), resource);
  }

  function versionOf(secret: Key): string | undefined {
    return secrets.get(secret)?.object.metadata.resourceVersion;
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
    cloudVersion: ({ metadata, spec }) => versionOf(keyOf(metadata.namespace, spec.cloud.secretRef.name)),
    secretVersions(resource, cloud) {
      const [first, ...others] = secretKeysOf(resource).map(versionOf);
      const versions = [cloud ?? first, ...others];
      return versions.includes(undefined) ? undefined : versions.join(',');
    },
    async addFinalizer(resource, signal) {
      const guarded = await addFinalizer(client, glanceImageType, resource, finalizer, signal);
      if (guarded === undefined) throw new ResourceGone();
      remember(guarded);
    },
    async removeFinalizer(resource, signal) {
      await removeFinalizer(client, glanceImageType, resource, finalizer, signal);
    },
    async writeStatus(resource, status, signal) {
      const { name, namespace, uid } = resource.metadata;
      try {
        remember(await client.applyStatus(glanceImageType, { metadata: { name, namespace, uid }, status }, signal));
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) throw new ResourceGone();
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

/** The resource vanished, or began to be deleted, before anything was done for it: nothing is left to do. */
export class ResourceGone extends Error {}

/** Whether the user asks for nothing else than before. */
function asksTheSame({ metadata: a }: GlanceImage, { metadata: b }: GlanceImage): boolean {
  return (
    a.generation === b.generation &&
    a.deletionTimestamp === b.deletionTimestamp &&
    isDeepStrictEqual(a.annotations, b.annotations) &&
    isDeepStrictEqual(a.finalizers, b.finalizers)
  );
}

/** Versions are counters in every API server there is, and comparable by contract since Kubernetes 1.35. */
function isNewer(a: GlanceImage, b: GlanceImage): boolean {
  if (a.metadata.uid !== b.metadata.uid) return false;
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion);
}

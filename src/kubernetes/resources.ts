/**
 * The objects of one kind as a reconciler reads and writes them: our own writes, finalizer, status and Events.
 *
 * Guarantees: `get` never returns an older state than the last one that this process has written, although the watch returns our
 * writes only after a while. A change that is nothing but our own write is recognised, so that it causes no reconcile. A status that
 * this process has not seen is never replaced. No method throws because the object is gone.
 * Caveat: if the watch returns a write before the server responds to it, the change is not recognised, and one more reconcile finds
 * nothing to do.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Key } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import type { KubernetesClient } from './client.ts';
import { isConflict, isNotFound, isRejection, type KubernetesError } from './errors.ts';
import type { EventRecorder } from './events.ts';
import { type Annotation, addFinalizer, removeFinalizer } from './finalizer.ts';
import type { Store, StoreChange } from './reflector.ts';
import { apiVersionOf, type KubernetesObject, keyOfObject, type ResourceType } from './resource.ts';

export type StatusWrite =
  | { kind: 'written' }
  /** The object does not exist, or another one has its name. */
  | { kind: 'gone' }
  /** Nothing was written: it was computed from another status than the object has. `get` returns the present one now. */
  | { kind: 'outdated' }
  /** The server never accepts this status. */
  | { kind: 'rejected'; error: KubernetesError };

export type Confirmation =
  | 'current'
  /** The object does not exist, or another one has its name. */
  | 'gone'
  /** It was edited, has another status, is being deleted, or has lost the finalizer. `get` returns the present one now. */
  | 'outdated';

/** The status is compared where the type parses it. */
type WithStatus = KubernetesObject & { status?: unknown };

export interface KindResources<T extends KubernetesObject, Reason extends string = string> {
  get(key: Key): T | undefined;
  /** Adds the finalizer and, in the same patch, the annotation. False: the object is gone or is being deleted. */
  addFinalizer(object: T, signal: AbortSignal, annotation?: Annotation): Promise<boolean>;
  /**
   * Whether the server has the finalizer, the same declaration, and the status of `object` or one that this process has written since. A cache
   * may be late, also by what an earlier leader has done. `hold`: an object of which nothing is outside the cluster needs no finalizer.
   */
  confirm(object: T, signal: AbortSignal, hold?: 'finalizer' | 'nothing'): Promise<Confirmation>;
  removeFinalizer(object: T, signal: AbortSignal): Promise<void>;
  /** `object`: from which the status was computed. */
  writeStatus(object: T, status: unknown, signal: AbortSignal): Promise<StatusWrite>;
  /** Whether the change is nothing but our own write. */
  isEcho(change: StoreChange<T>): boolean;
  /** Records an Event and logs it. Never throws. */
  event(object: T, type: 'Normal' | 'Warning', reason: Reason, note: string): void;
}

export interface KindResourcesOptions<T extends KubernetesObject, Reason extends string> {
  client: Pick<KubernetesClient, 'get' | 'jsonPatch' | 'applyStatus'>;
  type: ResourceType<T>;
  store: Store<T>;
  /** Ours. */
  finalizer: string;
  /** Names of annotations that only this process writes. */
  ownAnnotations?: readonly string[];
  /** Names of annotations by which users say what is done outside the cluster. */
  requestAnnotations?: readonly string[];
  events: Pick<EventRecorder, 'record'>;
  log: Logger;
  /** Called for each Event, for metrics. */
  onEvent?: ((reason: Reason) => void) | undefined;
}

/** Each try but the first follows from a change of the object at the same moment. */
const mostTries = 5;

export function createKindResources<T extends WithStatus, Reason extends string>(
  options: KindResourcesOptions<T, Reason>,
): KindResources<T, Reason> {
  const {
    client,
    type,
    store,
    finalizer,
    ownAnnotations = [],
    requestAnnotations = [],
    events,
    log,
    onEvent,
  } = options;
  /** Our writes that the watch has not returned yet. */
  const written = new Map<Key, T>();
  /** The version of our last write to each object, by which it is recognised also after the watch has returned it. */
  const versions = new Map<Key, string>();

  function remember(object: T): void {
    written.set(keyOfObject(object), object);
  }

  function rememberOwn(object: T): void {
    remember(object);
    versions.set(keyOfObject(object), object.metadata.resourceVersion);
  }

  /** Whether this is the last state that this process has written. */
  function isOwn(object: T): boolean {
    return versions.get(keyOfObject(object)) === object.metadata.resourceVersion;
  }

  /** The newest known state of the object that has the status of `object`, or one that this process has written since. */
  function baseOf(object: T): T {
    const key = keyOfObject(object);
    const own = written.get(key);
    const isKnown = own !== undefined && (isOwn(own) || isDeepStrictEqual(own.status, object.status));
    if (isKnown && isNewer(own, object)) return own;
    const item = store.get(key);
    if (item?.kind !== 'readable' || !isNewer(item.object, object)) return object;
    return isOwn(item.object) || isDeepStrictEqual(item.object.status, object.status) ? item.object : object;
  }

  /** A conflict: the object has changed since `base`, or has another uid. */
  async function apply(
    { metadata: { name, namespace, uid, resourceVersion } }: T,
    status: unknown,
    signal: AbortSignal,
  ): Promise<StatusWrite | { kind: 'conflict' }> {
    try {
      const metadata = { name, namespace, uid, resourceVersion };
      rememberOwn(await client.applyStatus(type, { metadata, status }, signal));
      return { kind: 'written' };
    } catch (error) {
      if (isNotFound(error)) return { kind: 'gone' };
      if (isConflict(error)) return { kind: 'conflict' };
      if (isRejection(error)) return { kind: 'rejected', error };
      throw error;
    }
  }

  /** The parts of the metadata by which a user requests something. */
  function requestOf({ metadata }: T) {
    const { generation, deletionTimestamp, annotations = {}, finalizers = [] } = metadata;
    const others = Object.entries(annotations).filter(([name]) => !ownAnnotations.includes(name));
    return [generation, deletionTimestamp, Object.fromEntries(others), finalizers.filter((one) => one !== finalizer)];
  }

  /** Other annotations may change all the time. */
  function declarationOf({ metadata: { generation, deletionTimestamp, annotations = {} } }: T) {
    return [generation, deletionTimestamp, ...requestAnnotations.map((name) => annotations[name])];
  }

  return {
    get(key) {
      const item = store.get(key);
      const own = written.get(key);
      if (item?.kind !== 'readable') {
        written.delete(key);
        versions.delete(key);
        return undefined;
      }
      if (own !== undefined && isNewer(own, item.object)) return own;
      written.delete(key);
      return item.object;
    },

    async addFinalizer(object, signal, annotation) {
      const guarded = await addFinalizer(client, type, object, finalizer, signal, annotation);
      // A status that was not known stays unknown, so that it is not replaced.
      if (guarded !== undefined && isDeepStrictEqual(guarded.status, object.status)) rememberOwn(guarded);
      return guarded !== undefined;
    },

    async confirm(object, signal, hold = 'finalizer') {
      const latest = await client.get(type, object.metadata, signal);
      if (latest?.metadata.uid !== object.metadata.uid) return 'gone';
      const isGuarded = hold === 'nothing' || latest.metadata.finalizers?.includes(finalizer) === true;
      // It has the memory of what was done outside, which an earlier leader may have continued.
      const isKnown = isDeepStrictEqual(latest.status, baseOf(object).status);
      if (isGuarded && isKnown && isDeepStrictEqual(declarationOf(latest), declarationOf(object))) return 'current';
      remember(latest);
      return 'outdated';
    },

    async removeFinalizer(object, signal) {
      await removeFinalizer(client, type, object, finalizer, signal);
    },

    /** An apply removes the fields that it lacks, and a cache may not show yet what an earlier leader has written there. */
    async writeStatus(object, status, signal) {
      const { name, namespace, uid } = object.metadata;
      let base = baseOf(object);
      for (let tries = 0; tries < mostTries; tries++) {
        const applied = await apply(base, status, signal);
        if (applied.kind !== 'conflict') return applied;
        const latest = await client.get(type, { name, namespace }, signal);
        if (latest?.metadata.uid !== uid) return { kind: 'gone' };
        // The response of an earlier try was lost.
        const isDone = isDeepStrictEqual(latest.status, status);
        if (isDone || !isDeepStrictEqual(latest.status, base.status)) {
          if (isDone) rememberOwn(latest);
          else remember(latest);
          return { kind: isDone ? 'written' : 'outdated' };
        }
        base = latest;
      }
      return { kind: 'outdated' };
    },

    isEcho(change) {
      if (change.kind !== 'updated' || change.before.kind !== 'readable' || change.after.kind !== 'readable')
        return false;
      const own = written.get(change.key);
      const after = change.after.object;
      if (own === undefined || isNewer(after, own)) return false;
      // The store has it now, and a second copy of ten thousand objects would take too much memory.
      if (!isNewer(own, after)) written.delete(change.key);
      return isDeepStrictEqual(requestOf(change.before.object), requestOf(after));
    },

    event(object, level, reason, note) {
      const { namespace, name, generation } = object.metadata;
      log[level === 'Warning' ? 'warn' : 'info']({ namespace, name, generation, reason }, note);
      onEvent?.(reason);
      const regarding = { apiVersion: apiVersionOf(type), kind: type.kind, metadata: object.metadata };
      events.record(regarding, { type: level, reason, action: 'Reconcile', note });
    },
  };
}

/** Versions are counters in every API server, and comparable by contract since Kubernetes 1.35. */
function isNewer(a: KubernetesObject, b: KubernetesObject): boolean {
  if (a.metadata.uid !== b.metadata.uid) return false;
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion);
}

/**
 * Kinds of objects, as far as this folder needs them: their paths and how they are parsed. Invariant: an object is parsed
 * once, when it is read; an object that cannot be parsed is kept as `unreadable` with its metadata, so that it can be reported
 * and never hides the others.
 */
import * as z from 'zod';
import { describe } from '../lib/errors.ts';
import { type Key, keyOf } from '../lib/key.ts';

export interface ObjectMeta {
  name: string;
  /** Absent for cluster-scoped objects. */
  namespace?: string | undefined;
  uid: string;
  resourceVersion: string;
  generation?: number | undefined;
  creationTimestamp?: string | undefined;
  deletionTimestamp?: string | undefined;
  finalizers?: string[] | undefined;
  labels?: Record<string, string> | undefined;
  annotations?: Record<string, string> | undefined;
}

export interface KubernetesObject {
  metadata: ObjectMeta;
}

export interface ResourceType<T extends KubernetesObject> {
  /** Empty for the core group. */
  group: string;
  version: string;
  kind: string;
  plural: string;
  /** Throws if the object is not of this type. Must keep the metadata. */
  parse(object: unknown): T;
  /** Requests metadata only: the data of Secrets must not get into a cache. */
  metadataOnly?: true;
}

/** One object as it was read. Both variants have `object.metadata`. */
export type Item<T extends KubernetesObject> =
  | { kind: 'readable'; object: T }
  | { kind: 'unreadable'; object: KubernetesObject; problem: string };

export function readable<T extends KubernetesObject>(items: readonly Item<T>[]): T[] {
  return items.flatMap((item) => (item.kind === 'readable' ? [item.object] : []));
}

export interface ObjectReference {
  namespace?: string | undefined;
  name: string;
}

/** Which objects a list or watch covers. Without a namespace: all namespaces. */
export interface WatchScope {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

const objectSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string(),
    resourceVersion: z.string(),
    generation: z.int().optional(),
    creationTimestamp: z.string().optional(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});

export function parseObject(object: unknown): KubernetesObject {
  return objectSchema.parse(object);
}

/** The same type, read as metadata only. */
export function metadataOnly(type: ResourceType<KubernetesObject>): ResourceType<KubernetesObject> {
  return { ...type, parse: parseObject, metadataOnly: true };
}

/** Parses one object of a list or watch. Throws only if it has no metadata. */
export function readItem<T extends KubernetesObject>(type: ResourceType<T>, raw: unknown): Item<T> {
  const object = withoutUnusedFields(raw);
  // The server omits both in lists of its built-in kinds.
  const complete = { apiVersion: apiVersionOf(type), kind: type.kind, ...object };
  try {
    return { kind: 'readable', object: type.parse(complete) };
  } catch (error) {
    return { kind: 'unreadable', object: parseObject(complete), problem: describe(error).slice(0, 1000) };
  }
}

/** Without fields that nothing reads; they are a third of a cached object. */
function withoutUnusedFields(raw: unknown): object {
  if (!isRecord(raw) || !isRecord(raw['metadata'])) return {};
  const { managedFields: _, ...metadata } = raw['metadata'];
  const annotations = metadata['annotations'];
  if (!isRecord(annotations)) return { ...raw, metadata };
  // The key stays, because a patch must know whether the object has annotations.
  const kept = Object.hasOwn(annotations, lastApplied) ? { ...annotations, [lastApplied]: '' } : annotations;
  return { ...raw, metadata: { ...metadata, annotations: kept } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function apiVersionOf(type: ResourceType<KubernetesObject>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** `namespace/name`; of a cluster-scoped object `/name`. */
export function keyOfObject(object: KubernetesObject): Key {
  return keyOf(object.metadata.namespace ?? '', object.metadata.name);
}

/** The URL path of a collection, or of one object if `at` has a name. */
export function pathOf(
  type: ResourceType<KubernetesObject>,
  at: { namespace?: string | undefined; name?: string },
  subresource?: 'status',
): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const namespace = at.namespace === undefined ? '' : `/namespaces/${encodeURIComponent(at.namespace)}`;
  const name = at.name === undefined ? '' : `/${encodeURIComponent(at.name)}`;
  return `${root}${namespace}/${type.plural}${name}${subresource === undefined ? '' : `/${subresource}`}`;
}

/** MicroTime, as Leases and Events contain it: six digits of fraction; the API server rejects three. */
export function microTime(at: Date): string {
  return at.toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
}

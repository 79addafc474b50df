/**
 * The Kubernetes API as this program uses it: typed, paged, by server-side apply. Law: what is read is parsed by its type,
 * and what is applied names the uid it is meant for, so that a write can never bring a deleted object back to life nor hit
 * its successor of the same name.
 */
import { z } from 'zod';
import { unreachable } from '../lib/errors.ts';
import { badAnswer, errorFromAnswer, isNotFound } from './errors.ts';
import {
  apiVersionOf,
  type Item,
  type KubernetesObject,
  type ObjectReference,
  pathOf,
  type ResourceType,
  readItem,
  type Scope,
} from './resource.ts';
import type { RequestOptions, Transport } from './transport.ts';

/** The field manager of all that is applied. */
export const fieldManager = 'glance-image-operator';

/** Bounds what one answer of a list can hold; a streaming list holds one object at a time. */
const pageSize = 500;
/** How long after its own `timeoutSeconds` a server may take to end a watch. */
const watchMarginMs = 10_000;
/** Servers send a bookmark every 60 to 75 s; two of them may be late. */
const watchSilenceMs = 150_000;

export interface Page<T extends KubernetesObject> {
  items: Item<T>[];
  resourceVersion: string;
  /** Asks for the next page; absent on the last. */
  continueToken?: string;
}

export type WatchEvent<T extends KubernetesObject> =
  | { kind: 'applied'; item: Item<T>; resourceVersion: string }
  | { kind: 'deleted'; item: Item<T>; resourceVersion: string }
  /** Nothing else happened up to here. `endsList`: what was told before it is all that there is. */
  | { kind: 'bookmark'; resourceVersion: string; endsList: boolean };

export interface WatchOptions {
  /**
   * The version after which it begins. Absent means a streaming list: all that there is comes first, as `applied`, up to the
   * bookmark that `endsList`; what happens after that follows. Servers that offer none refuse it (`isUnsupported`).
   */
  resourceVersion?: string;
  timeoutSeconds: number;
  onOpen?: () => void;
}

/** The fields to apply. apiVersion and kind are added. */
export interface Applied {
  metadata: { name: string; namespace?: string | undefined; uid: string; [field: string]: unknown };
  [field: string]: unknown;
}

export type JsonPatchOperation =
  | { op: 'test' | 'add' | 'replace'; path: string; value: unknown }
  | { op: 'remove'; path: string };

export interface KubernetesClient {
  /** undefined where there is no such object. Throws where it cannot be parsed. */
  get<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: ObjectReference,
    signal: AbortSignal,
  ): Promise<T | undefined>;
  /** One page of a list, beginning anew without a token. A token that has expired is a reason to list again. */
  listPage<T extends KubernetesObject>(
    type: ResourceType<T>,
    scope: Scope,
    continueToken: string | undefined,
    signal: AbortSignal,
  ): Promise<Page<T>>;
  /** What happens, event by event. Ends when the server ends it; throws on an ERROR event. */
  watch<T extends KubernetesObject>(
    type: ResourceType<T>,
    scope: Scope,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>>;
  create<T extends KubernetesObject>(
    type: ResourceType<T>,
    object: { metadata: { name: string; namespace?: string | undefined }; [field: string]: unknown },
    signal: AbortSignal,
  ): Promise<T>;
  /** Server-side apply as `glance-image-operator`, taking fields from other managers. Conflict where the uid is another now. */
  apply<T extends KubernetesObject>(type: ResourceType<T>, object: Applied, signal: AbortSignal): Promise<T>;
  /** The same for the status subresource. */
  applyStatus<T extends KubernetesObject>(type: ResourceType<T>, object: Applied, signal: AbortSignal): Promise<T>;
  /** Must begin with a `test`, without which sending it twice would do harm. Invalid where a test fails. */
  jsonPatch<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: ObjectReference,
    operations: readonly [{ op: 'test'; path: string; value: unknown }, ...JsonPatchOperation[]],
    signal: AbortSignal,
  ): Promise<T>;
  /** Gone already is success; another uid is a Conflict. */
  delete(
    type: ResourceType<KubernetesObject>,
    at: ObjectReference & { uid: string },
    signal: AbortSignal,
  ): Promise<void>;
}

const listSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()).nullable(),
});

const bookmarkSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), annotations: z.record(z.string(), z.string()).optional() }),
});
const endOfListAnnotation = 'k8s.io/initial-events-end';

const eventSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
});

const errorCodeSchema = z.object({ code: z.int() });

/** Without a version: as fresh as a list from etcd itself, so that a restart never sees an older state than the one before. */
const streamingList = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };

export function createClient(transport: Transport): KubernetesClient {
  async function call<T extends KubernetesObject>(
    type: ResourceType<T>,
    request: RequestOptions,
    signal: AbortSignal,
  ): Promise<T> {
    const name = `${request.method} ${request.path}`;
    const item = parsed(name, type, await transport.request(request, signal));
    if (item.kind === 'unreadable') throw badAnswer(name, item.problem);
    return item.object;
  }

  function applyAt<T extends KubernetesObject>(
    type: ResourceType<T>,
    object: Applied,
    signal: AbortSignal,
    subresource?: 'status',
  ): Promise<T> {
    return call(
      type,
      {
        method: 'PATCH',
        path: pathOf(type, object.metadata, subresource),
        query: { fieldManager, force: true },
        headers: { 'content-type': 'application/apply-patch+yaml' },
        body: { ...object, apiVersion: apiVersionOf(type), kind: type.kind },
        idempotent: true,
      },
      signal,
    );
  }

  const client: KubernetesClient = {
    async get(type, at, signal) {
      try {
        return await call(type, { method: 'GET', path: pathOf(type, at), headers: accept(type, 'one') }, signal);
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },

    async listPage(type, scope, continueToken, signal) {
      const path = pathOf(type, scope);
      const { labelSelector, fieldSelector } = scope;
      const query = { labelSelector, fieldSelector, limit: pageSize, continue: continueToken };
      const body = await transport.request({ method: 'GET', path, query, headers: accept(type, 'list') }, signal);
      const list = listSchema.safeParse(body);
      if (!list.success) throw badAnswer(`GET ${path}`, 'it is not a list', list.error);
      const { resourceVersion, continue: next } = list.data.metadata;
      const items = (list.data.items ?? []).map((raw) => parsed(`GET ${path}`, type, raw));
      return next === undefined || next === ''
        ? { items, resourceVersion }
        : { items, resourceVersion, continueToken: next };
    },

    async *watch(type, scope, { resourceVersion, timeoutSeconds, onOpen }, signal) {
      const path = pathOf(type, scope);
      const { labelSelector, fieldSelector } = scope;
      const lines = transport.stream(
        {
          path,
          query: {
            labelSelector,
            fieldSelector,
            watch: true,
            allowWatchBookmarks: true,
            timeoutSeconds,
            ...(resourceVersion === undefined ? streamingList : { resourceVersion }),
          },
          headers: accept(type, 'one'),
          deadlineMs: timeoutSeconds * 1000 + watchMarginMs,
          silenceMs: watchSilenceMs,
          ...(onOpen === undefined ? {} : { onOpen }),
        },
        signal,
      );
      for await (const line of lines) yield readEvent(`watch of ${path}`, type, line);
    },

    create(type, object, signal) {
      const body = { apiVersion: apiVersionOf(type), kind: type.kind, ...object };
      const path = pathOf(type, { namespace: object.metadata.namespace });
      return call(type, { method: 'POST', path, query: { fieldManager }, body }, signal);
    },

    apply: (type, object, signal) => applyAt(type, object, signal),
    applyStatus: (type, object, signal) => applyAt(type, object, signal, 'status'),

    jsonPatch(type, at, operations, signal) {
      return call(
        type,
        {
          method: 'PATCH',
          path: pathOf(type, at),
          query: { fieldManager },
          headers: { 'content-type': 'application/json-patch+json' },
          body: operations,
          idempotent: true,
        },
        signal,
      );
    },

    async delete(type, at, signal) {
      const body = { preconditions: { uid: at.uid }, propagationPolicy: 'Background' };
      try {
        await transport.request({ method: 'DELETE', path: pathOf(type, at), body }, signal);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
  return client;
}

function accept(type: ResourceType<KubernetesObject>, what: 'one' | 'list'): Record<string, string> {
  if (!type.metadataOnly) return {};
  const as = what === 'one' ? 'PartialObjectMetadata' : 'PartialObjectMetadataList';
  return { accept: `application/json;as=${as};g=meta.k8s.io;v=v1` };
}

function parsed<T extends KubernetesObject>(call: string, type: ResourceType<T>, raw: unknown): Item<T> {
  try {
    return readItem(type, raw);
  } catch (error) {
    throw badAnswer(call, 'it holds something without metadata', error);
  }
}

function readEvent<T extends KubernetesObject>(call: string, type: ResourceType<T>, line: string): WatchEvent<T> {
  const event = eventSchema.safeParse(parseJson(call, line));
  if (!event.success) throw badAnswer(call, `it is not a watch event: ${line.slice(0, 100)}`, event.error);
  const { type: kind, object } = event.data;
  switch (kind) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const item = parsed(call, type, object);
      const { resourceVersion } = item.object.metadata;
      return { kind: kind === 'DELETED' ? 'deleted' : 'applied', item, resourceVersion };
    }
    case 'BOOKMARK': {
      const bookmark = bookmarkSchema.safeParse(object);
      if (!bookmark.success) throw badAnswer(call, 'a bookmark without resourceVersion', bookmark.error);
      const { resourceVersion, annotations } = bookmark.data.metadata;
      return { kind: 'bookmark', resourceVersion, endsList: annotations?.[endOfListAnnotation] === 'true' };
    }
    case 'ERROR': {
      const status = errorCodeSchema.safeParse(object);
      throw errorFromAnswer({ call, httpStatus: status.success ? status.data.code : 500, body: object });
    }
    default:
      return unreachable(kind);
  }
}

function parseJson(call: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw badAnswer(call, `a line is not JSON: ${line.slice(0, 100)}`, error);
  }
}

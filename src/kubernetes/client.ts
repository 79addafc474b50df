/**
 * The Kubernetes API as this program uses it: typed, paged, with server-side apply. Invariant: objects are parsed by their
 * type when they are read, and an apply names the uid that it is meant for, so it can neither recreate a deleted object nor
 * change a new object of the same name.
 */
import * as z from 'zod';
import { unreachable } from '../lib/errors.ts';
import { errorFromResponse, isNotFound, malformedResponse } from './errors.ts';
import {
  apiVersionOf,
  type Item,
  type KubernetesObject,
  type ObjectReference,
  pathOf,
  type ResourceType,
  readItem,
  type WatchScope,
} from './resource.ts';
import { parseResponseJson } from './response.ts';
import type { ApiTransport, RequestOptions } from './transport.ts';

/** The field manager of every apply. */
const fieldManager = 'glance-image-operator';

/** Bounds the size of one page of a list; a streaming list holds one object at a time. */
const pageSize = 500;
/** How long after its own `timeoutSeconds` a server may take to end a watch. */
const watchMarginMs = 10_000;
/** Servers send a bookmark every 60 to 75 s; two of them may be late. */
const watchIdleMs = 150_000;

export interface ListPage<T extends KubernetesObject> {
  items: Item<T>[];
  resourceVersion: string;
  /** Requests the next page; absent on the last. */
  continueToken?: string;
}

export type WatchEvent<T extends KubernetesObject> =
  | { kind: 'applied'; item: Item<T>; resourceVersion: string }
  | { kind: 'deleted'; item: Item<T>; resourceVersion: string }
  /** No other event up to this version. `endsList`: the events before it are the complete list. */
  | { kind: 'bookmark'; resourceVersion: string; endsList: boolean };

export interface WatchOptions {
  /**
   * The version after which the watch begins. Absent means a streaming list: all existing objects come first, as `applied`, up
   * to the bookmark that `endsList`, and changes follow. Servers without streaming lists reject it (`isUnsupported`).
   */
  resourceVersion?: string;
  timeoutSeconds: number;
  onOpen?: () => void;
}

/** The fields to apply. apiVersion and kind are added. */
export interface AppliedObject {
  metadata: { name: string; namespace?: string | undefined; uid: string; [field: string]: unknown };
  [field: string]: unknown;
}

export type ObjectPatchOperation =
  | { op: 'test' | 'add' | 'replace'; path: string; value: unknown }
  | { op: 'remove'; path: string };

export interface KubernetesClient {
  /** Undefined if the object does not exist. Throws if it cannot be parsed. */
  get<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: ObjectReference,
    signal: AbortSignal,
  ): Promise<T | undefined>;
  /** One page of a list, the first one without a token. After a token has expired the list must start again. */
  listPage<T extends KubernetesObject>(
    type: ResourceType<T>,
    scope: WatchScope,
    continueToken: string | undefined,
    signal: AbortSignal,
  ): Promise<ListPage<T>>;
  /** Changes, event by event. Ends when the server ends it; throws on an ERROR event. */
  watch<T extends KubernetesObject>(
    type: ResourceType<T>,
    scope: WatchScope,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>>;
  create<T extends KubernetesObject>(
    type: ResourceType<T>,
    object: { metadata: { name: string; namespace?: string | undefined }; [field: string]: unknown },
    signal: AbortSignal,
  ): Promise<T>;
  /**
   * Server-side apply to the status as `glance-image-operator`, taking over fields of other managers. Throws Conflict if the
   * object has another uid.
   */
  applyStatus<T extends KubernetesObject>(
    type: ResourceType<T>,
    object: AppliedObject,
    signal: AbortSignal,
  ): Promise<T>;
  /** Begins with a `test`, because the call may be sent twice. Throws Invalid if a test fails. */
  jsonPatch<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: ObjectReference,
    operations: readonly [{ op: 'test'; path: string; value: unknown }, ...ObjectPatchOperation[]],
    signal: AbortSignal,
  ): Promise<T>;
  /** Deletes the object in this version. Throws Conflict if it has changed, and NotFound if it is gone. */
  delete<T extends KubernetesObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<void>;
  /** Deletes the object in any version, and then all that it owns. Throws Conflict for another uid, and NotFound if it is gone. */
  deleteWithOwned<T extends KubernetesObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<void>;
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

/** Without a version: as fresh as a list from etcd itself, so a restart never sees an older state than the last process. */
const streamingList = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };

export function createClient(transport: ApiTransport): KubernetesClient {
  async function call<T extends KubernetesObject>(
    type: ResourceType<T>,
    request: RequestOptions,
    signal: AbortSignal,
  ): Promise<T> {
    const name = `${request.method} ${request.path}`;
    const item = parsed(name, type, await transport.request(request, signal));
    if (item.kind === 'unreadable') throw malformedResponse(name, item.problem);
    return item.object;
  }

  return {
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
      if (!list.success) throw malformedResponse(`GET ${path}`, 'it is not a list', list.error);
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
          idleMs: watchIdleMs,
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

    applyStatus(type, object, signal) {
      return call(
        type,
        {
          method: 'PATCH',
          path: pathOf(type, object.metadata, 'status'),
          query: { fieldManager, force: true },
          headers: { 'content-type': 'application/apply-patch+yaml' },
          text: yamlOf({ ...object, apiVersion: apiVersionOf(type), kind: type.kind }),
          idempotent: true,
        },
        signal,
      );
    },

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

    async delete(type, { metadata }, signal) {
      const { uid, resourceVersion } = metadata;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
      await transport.request({ method: 'DELETE', path: pathOf(type, metadata), body }, signal);
    },

    async deleteWithOwned(type, { metadata }, signal) {
      const preconditions = { uid: metadata.uid };
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions };
      await transport.request({ method: 'DELETE', path: pathOf(type, metadata), body }, signal);
    },
  };
}

/**
 * JSON that is YAML too, because the API server reads an apply as YAML. YAML takes no control characters (DEL and U+0080 to
 * U+009F are among them), reads U+0085 as the end of a line, has no escape for half of a surrogate pair, and needs a `?` before
 * a key of more than 1024 characters.
 */
function yamlOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(yamlOf).join(',')}]`;
  if (typeof value !== 'object' || value === null) return yamlScalar(value);
  const entries = Object.entries(value).flatMap(([key, item]) => {
    const name = yamlScalar(key);
    return item === undefined ? [] : [`${name.length > longestPlainKey ? '? ' : ''}${name}: ${yamlOf(item)}`];
  });
  return `{${entries.join(',')}}`;
}

const longestPlainKey = 1000;

function yamlScalar(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  const wellFormed = typeof value === 'string' ? value.toWellFormed() : value;
  return (JSON.stringify(wellFormed) ?? 'null').replace(
    /[\u007F-\u00A0\u2028\u2029\uFEFF\uFFFE\uFFFF]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
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
    throw malformedResponse(call, 'it holds an object without metadata', error);
  }
}

function readEvent<T extends KubernetesObject>(call: string, type: ResourceType<T>, line: string): WatchEvent<T> {
  const event = eventSchema.safeParse(parseResponseJson(call, line));
  if (!event.success) throw malformedResponse(call, `it is not a watch event: ${line.slice(0, 100)}`, event.error);
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
      if (!bookmark.success) throw malformedResponse(call, 'a bookmark without resourceVersion', bookmark.error);
      const { resourceVersion, annotations } = bookmark.data.metadata;
      return { kind: 'bookmark', resourceVersion, endsList: annotations?.[endOfListAnnotation] === 'true' };
    }
    case 'ERROR': {
      const status = errorCodeSchema.safeParse(object);
      throw errorFromResponse({ call, httpStatus: status.success ? status.data.code : 500, body: object });
    }
    default:
      return unreachable(kind);
  }
}

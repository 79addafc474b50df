/**
 * Imports: Glance itself fetches, takes or copies the data of an image.
 *
 * Invariant: an accepted import is not a completed one. `importState` of the image shows its progress, and the tasks
 * show why it failed.
 */

import * as z from 'zod';
import { boundedList } from '../../lib/bounded-list.ts';
import { MalformedResponse } from '../../openstack/errors.ts';
import type { JsonObject, JsonValue } from '../../openstack/json.ts';
import { jsonOf } from '../../openstack/response.ts';
import { imagePath } from '../ref.ts';
import { type Calls, listIn } from './call.ts';
import { type ImageStores, storeFailure } from './stores.ts';

export type ImportMethod =
  /** The data was staged. */
  | { name: 'glance-direct' }
  /** Glance downloads it; the cloud decides which addresses are allowed. */
  | { name: 'web-download'; uri: string }
  /** From the stores that have it to others; the image is active and stays active. */
  | { name: 'copy-image' }
  /** From another region of the same Keystone. `serviceInterface`: which of its endpoints; default `public`. */
  | { name: 'glance-download'; imageId: string; region: string; serviceInterface?: 'public' | 'internal' | 'admin' };

export interface ImportRequest {
  method: ImportMethod;
  /** Default: the cloud's default store. Throws StoreNotFound. */
  stores?: readonly string[];
  /** Instead of naming them. */
  allStores?: boolean;
  /**
   * Whether the failure of one store makes all fail. Default, as in Glance: true. With `glance-direct` such a failure
   * leaves the image in `importing` permanently.
   */
  allStoresMustSucceed?: boolean;
}

export interface ImageTask {
  id: string;
  type: string;
  status: 'pending' | 'processing' | 'success' | 'failure' | (string & {});
  /** The error, or the progress: `Copied 12 MiB`. */
  message: string;
  /** RFC 3339, if Glance reports it. */
  createdAt?: string;
  updatedAt?: string;
}

export interface ImageImports {
  /** The import methods of this cloud. */
  importMethods(signal: AbortSignal): Promise<string[]>;
  /**
   * Returns when Glance has accepted it. Conflict: the image is not in the state that the method requires, has no format, or is
   * being imported already, perhaps by an earlier attempt of this call.
   */
  importImage(id: string, request: ImportRequest, signal: AbortSignal): Promise<void>;
  /** Glance's recent tasks for the image, newest last. Empty after two days. */
  tasks(id: string, signal: AbortSignal): Promise<ImageTask[]>;
}

const methodsSchema = z.object({ 'import-methods': z.object({ value: boundedList(z.string(), 64) }) });
const taskSchema = z.object({
  id: z.string(),
  type: z.string().default(''),
  status: z.string(),
  message: z.string().nullish(),
  created_at: z.string().nullish(),
  updated_at: z.string().nullish(),
});

export function imageImports({ call, send }: Calls, { stores }: ImageStores): ImageImports {
  return {
    importMethods: (signal) =>
      call({ operation: 'importMethods', method: 'GET', path: '/info/import' }, signal, (response) => {
        const methods = methodsSchema.safeParse(jsonOf(response));
        if (methods.success) return methods.data['import-methods'].value;
        throw new MalformedResponse('it contains no import methods', response.requestId);
      }),

    async importImage(id, request, signal) {
      const about = { operation: 'import', imageId: id, method: 'POST', path: `${imagePath(id)}/import` } as const;
      try {
        await send({ ...about, body: importBody(request) }, signal);
      } catch (error) {
        throw await storeFailure(error, request.stores ?? [], () => stores(signal));
      }
    },

    async tasks(id, signal) {
      const request = { operation: 'tasks', imageId: id, method: 'GET', path: `${imagePath(id)}/tasks` } as const;
      const tasks = await call(request, signal, (response) => listIn(response, 'tasks', readTask));
      return tasks.sort((a, b) => timeOf(a) - timeOf(b));
    },
  };
}

function importBody({ method, stores, allStores, allStoresMustSucceed }: ImportRequest): JsonObject {
  return {
    method: methodBody(method),
    ...(stores === undefined ? {} : { stores: [...stores] }),
    ...(allStores === undefined ? {} : { all_stores: allStores }),
    ...(allStoresMustSucceed === undefined ? {} : { all_stores_must_succeed: allStoresMustSucceed }),
  };
}

function methodBody(method: ImportMethod): JsonObject {
  switch (method.name) {
    case 'glance-direct':
    case 'copy-image':
      return { name: method.name };
    case 'web-download':
      return { name: method.name, uri: method.uri };
    case 'glance-download':
      return {
        name: method.name,
        glance_image_id: method.imageId,
        glance_region: method.region,
        ...(method.serviceInterface === undefined ? {} : { glance_service_interface: method.serviceInterface }),
      };
  }
}

function readTask(entry: JsonValue): ImageTask | undefined {
  const task = taskSchema.safeParse(entry);
  if (!task.success) return undefined;
  const { id, type, status, message, created_at, updated_at } = task.data;
  return {
    id,
    type,
    status,
    message: message ?? '',
    ...(created_at ? { createdAt: zoned(created_at) } : {}),
    ...(updated_at ? { updatedAt: zoned(updated_at) } : {}),
  };
}

/** Glance returns the times of tasks in UTC without a zone. */
function zoned(time: string): string {
  return /(?:Z|[+-]\d\d:?\d\d)$/.test(time) ? time : `${time}Z`;
}

/** Unknown times come first. */
function timeOf({ createdAt }: ImageTask): number {
  return createdAt === undefined ? 0 : new Date(createdAt).getTime();
}

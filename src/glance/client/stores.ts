/**
 * The stores of a cloud, in which Glance keeps data.
 *
 * Invariant: a cloud without named stores is not a failure; a named store that does not exist or is read-only is a
 * failure of its own class.
 */
import * as z from 'zod';
import { responseFieldsOf } from '../../lib/errors.ts';
import { isJson, isJsonObject, type JsonObject, type JsonValue } from '../../openstack/json.ts';
import { Conflict, ImageGone, InvalidRequest, NotFound, StoreNotFound, StoreReadOnly } from '../errors.ts';
import { imagePath, pathSegment } from '../ref.ts';
import { type Calls, listIn } from './call.ts';

export interface ImageStore {
  id: string;
  description?: string;
  /** Whether data goes here by default. */
  isDefault: boolean;
  readOnly: boolean;
}

export interface ImageStoreDetails extends ImageStore {
  /** The kind of store: `file`, `rbd`, `s3`, … */
  type: string;
  /** Images in several stores are read from the one with the greatest weight. */
  weight: number;
  /** They depend on the kind of store. */
  properties: JsonObject;
}

export interface ImageStores {
  /** Undefined on a cloud with a single store that has no name. */
  stores(signal: AbortSignal): Promise<ImageStore[] | undefined>;
  /** For administrators. */
  storeDetails(signal: AbortSignal): Promise<ImageStoreDetails[] | undefined>;
  /** Removes one copy of the data. ImageNotAuthorized: it is the last one, or only administrators may. */
  removeFromStore(id: string, store: string, signal: AbortSignal): Promise<void>;
}

/** Glance returns booleans as text. */
const flag = z.union([z.boolean(), z.string().transform((text) => text === 'true')]).default(false);
const storeSchema = z.object({
  id: z.string(),
  description: z.string().optional(),
  default: flag,
  'read-only': flag,
});
const detailsSchema = storeSchema.extend({
  type: z.string(),
  weight: z.number().default(0),
  properties: z.custom<JsonObject>((value) => isJson(value) && isJsonObject(value)).default({}),
});

export function imageStores({ call, send }: Calls): ImageStores {
  async function storesAt<T>(path: string, read: (entry: JsonValue) => T | undefined, signal: AbortSignal) {
    try {
      const request = { operation: 'stores', method: 'GET', path } as const;
      return await call(request, signal, (response) => listIn(response, 'stores', read));
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  }

  const stores: ImageStores['stores'] = (signal) => storesAt('/info/stores', readStore, signal);

  return {
    stores,

    storeDetails: (signal) => storesAt('/info/stores/detail', readDetails, signal),

    async removeFromStore(id, store, signal) {
      imagePath(id);
      const path = `/stores/${pathSegment('store', store)}/${id}`;
      try {
        await send({ operation: 'removeFromStore', imageId: id, method: 'DELETE', path }, signal);
      } catch (error) {
        throw await storeFailure(error, [store], () => stores(signal));
      }
    },
  };
}

/**
 * Classifies a rejection that may be about a named store: Glance returns 400, 409 or 410, each with several meanings.
 * Glance's list of stores decides, and is only requested then.
 */
export async function storeFailure(
  failure: unknown,
  named: readonly string[],
  list: () => Promise<ImageStore[] | undefined>,
): Promise<unknown> {
  const mayBe =
    failure instanceof InvalidRequest ||
    failure instanceof Conflict ||
    failure instanceof ImageGone ||
    failure instanceof StoreReadOnly;
  if (!mayBe || named.length === 0) return failure;
  const known = await list().catch(() => undefined);
  return known === undefined ? failure : (storeProblem(named, known, failure) ?? failure);
}

/** Why data cannot go to the named stores; undefined if it can. `cause` is the rejection that led to this check. */
export function storeProblem(
  named: readonly string[],
  known: readonly ImageStore[],
  cause?: Conflict | ImageGone | InvalidRequest | StoreReadOnly,
): StoreNotFound | StoreReadOnly | undefined {
  const details = cause === undefined ? {} : { cause, ...responseFieldsOf(cause) };
  const quoted = cause === undefined ? '' : `; ${cause.message}`;
  for (const name of named) {
    const store = known.find(({ id }) => id === name);
    const all = known.map(({ id }) => id).join(', ');
    if (store === undefined) {
      return new StoreNotFound(`the cloud has no store ${JSON.stringify(name)}; it has ${all}${quoted}`, details);
    }
    if (store.readOnly) return new StoreReadOnly(`store ${name} accepts no data${quoted}`, details);
  }
  return undefined;
}

function readStore(entry: JsonValue): ImageStore | undefined {
  const store = storeSchema.safeParse(entry);
  return store.success ? storeOf(store.data) : undefined;
}

function readDetails(entry: JsonValue): ImageStoreDetails | undefined {
  const store = detailsSchema.safeParse(entry);
  if (!store.success) return undefined;
  const { type, weight, properties } = store.data;
  return { ...storeOf(store.data), type, weight, properties };
}

function storeOf(wire: z.infer<typeof storeSchema>): ImageStore {
  const { id, description } = wire;
  const isDefault = wire.default;
  return { id, ...(description === undefined ? {} : { description }), isDefault, readOnly: wire['read-only'] };
}

/**
 * Image records: images without their data.
 *
 * Invariant: an image is created only with an id that the caller chose, so that a creation with a lost response can
 * always be checked.
 */

import { MalformedResponse } from '../../openstack/errors.ts';
import type { BodyLimit, HttpResponse } from '../../openstack/exchange.ts';
import { jsonOf } from '../../openstack/response.ts';
import type { ImageSchema } from '../cloud-schema.ts';
import { type Image, readImage } from '../image.ts';
import { type ListFilters, listPages, type Page, type Walk } from '../list.ts';
import type { JsonPatchOperation } from '../patch.ts';
import { imagePath, isSameId, quotedText } from '../ref.ts';
import { newImage, type WantedImage } from '../translation.ts';
import { type Calls, listIn, objectIn } from './call.ts';

export interface ImageRecords {
  /** The address of the image service, for messages. */
  endpoint(signal: AbortSignal): Promise<string>;
  get(id: string, signal: AbortSignal): Promise<Image>;
  /**
   * Creates the record under `id`. Conflict: the id exists, existed once, or the response to our own earlier attempt
   * was lost: check with `get`. The response has another id on a server that chooses ids itself.
   */
  create(id: string, wanted: WantedImage, signal: AbortSignal): Promise<Image>;
  /** All of the operations or none. Conflict: the image has changed since it was read. */
  patch(id: string, operations: readonly JsonPatchOperation[], signal: AbortSignal): Promise<Image>;
  /** ImageNotFound: it was deleted already, perhaps by an earlier attempt of this call. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  /** An unknown marker is an InvalidRequest. */
  list(filters: ListFilters, signal: AbortSignal, walk?: Partial<Walk>): AsyncIterable<Image>;
  /** Usually only for administrators. From then on other users cannot read the data. */
  deactivate(id: string, signal: AbortSignal): Promise<void>;
  reactivate(id: string, signal: AbortSignal): Promise<void>;
}

const pageLimit: BodyLimit = { bytes: 32 * 1024 * 1024, values: 200_000 };
const patchType = 'application/openstack-images-v2.1-json-patch';

export function imageRecords(calls: Calls, pageSize: number): ImageRecords {
  const { session, schema, call, send } = calls;

  return {
    endpoint: (signal) => session.endpoint('image', signal),

    async get(id, signal) {
      const request = { operation: 'read', imageId: id, method: 'GET', path: imagePath(id) } as const;
      return call(request, signal, imageReader(await schema(signal), id));
    },

    async create(id, wanted, signal) {
      imagePath(id);
      const known = await schema(signal);
      const body = newImage(id, wanted, known);
      return call({ operation: 'create', method: 'POST', path: '/images', body }, signal, imageReader(known));
    },

    async patch(id, operations, signal) {
      const about = { operation: 'update', imageId: id, method: 'PATCH', path: imagePath(id) } as const;
      const request = { ...about, type: patchType, body: [...operations] };
      return call(request, signal, imageReader(await schema(signal), id));
    },

    async remove(id, signal) {
      await send({ operation: 'delete', imageId: id, method: 'DELETE', path: imagePath(id) }, signal);
    },

    list(filters, signal, walk = {}) {
      return listPages(filters, { pageSize, ...walk }, async (query) => {
        const about = { operation: 'list', method: 'GET', path: `/images?${query}` } as const;
        return call({ ...about, limit: pageLimit }, signal, pageReader(await schema(signal)));
      });
    },

    async deactivate(id, signal) {
      const path = `${imagePath(id)}/actions/deactivate`;
      await send({ operation: 'deactivate', imageId: id, method: 'POST', path }, signal);
    },

    async reactivate(id, signal) {
      const path = `${imagePath(id)}/actions/reactivate`;
      await send({ operation: 'reactivate', imageId: id, method: 'POST', path }, signal);
    },
  };
}

/** Parses a response with one image: that with the id, if it is given. */
function imageReader(schema: ImageSchema, id?: string) {
  return (response: HttpResponse): Image => {
    const image = readImage(jsonOf(response), schema);
    if (image === undefined) throw new MalformedResponse('it contains no image', response.requestId);
    if (id !== undefined && !isSameId(image.id, id))
      throw new MalformedResponse(`it contains image ${quotedText(image.id)}, and not ${id}`, response.requestId);
    return image;
  };
}

function pageReader(schema: ImageSchema) {
  return (response: HttpResponse): Page => {
    const body = objectIn(response, 'list of images');
    const images = listIn(response, 'images', (entry) => readImage(entry, schema), body['images']);
    return { images, more: typeof body['next'] === 'string' };
  };
}

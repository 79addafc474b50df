/**
 * The Images API v2, one method per call. Law: every failure is in Glance's terms, nothing is believed that Glance did not
 * answer, and whatever a retry may send twice is safe to be sent twice: an image is created only under an id that the caller
 * chose, and data is never sent again.
 */
import { jsonOf } from '../openstack/answer.ts';
import { UnreadableAnswer } from '../openstack/errors.ts';
import { isJsonObject } from '../openstack/json.ts';
import type { ServiceCall, Session } from '../openstack/session.ts';
import type { HttpResponse } from '../openstack/transport.ts';
import { Conflict, InvalidRequest, type Operation, translate } from './errors.ts';
import { type Image, readImage } from './image.ts';
import { defaultPageSize, type ListFilters, listPages, type Page } from './list.ts';
import type { JsonPatchOperation } from './patch.ts';
import { newImage, type WantedImage } from './translation.ts';

/**
 * Besides what is said at each method, all throw the classes of errors.ts and the session's own errors, and the signal's
 * reason when it aborts. An id that is no UUID is an InvalidRequest.
 */
export interface ImageClient {
  /** The address of the image service, for messages. */
  endpoint(signal: AbortSignal): Promise<string>;
  get(id: string, signal: AbortSignal): Promise<Image>;
  /**
   * Creates the record under `id`. Conflict: the id exists, existed once, or the answer to our own earlier try was lost:
   * look with `get`. The answer's id differs from `id` on a server that chooses for itself.
   */
  create(id: string, wanted: WantedImage, signal: AbortSignal): Promise<Image>;
  /** All of the operations or none. Conflict: the image has changed since it was read. */
  patch(id: string, operations: readonly JsonPatchOperation[], signal: AbortSignal): Promise<Image>;
  /** ImageNotFound: it is gone already, perhaps by our own earlier try. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  list(filters: ListFilters, signal: AbortSignal): AsyncIterable<Image>;
  /**
   * Fills a queued image. Returns when it is active. The body is read at most once; what it throws is thrown, and leaves the
   * image queued, as do fewer or more bytes than `size`. After any other failure only `get` tells what became of the image.
   */
  upload(id: string, body: AsyncIterable<Uint8Array>, options: UploadOptions): Promise<void>;
}

export interface UploadOptions {
  /** Bytes, when known. */
  size?: number;
  signal: AbortSignal;
}

/** 128 properties of 64 KiB, and then some. */
const imageLimitBytes = 16 * 1024 * 1024;
const pageLimitBytes = 64 * 1024 * 1024;
const patchType = 'application/openstack-images-v2.1-json-patch';

/** `pageSize`: images a request when listing; Glance may give fewer. */
export function createImageClient(session: Session, pageSize = defaultPageSize): ImageClient {
  type Call = Pick<ServiceCall, 'method' | 'path' | 'headers' | 'body'>;

  async function call<T>(
    operation: Operation,
    imageId: string | undefined,
    request: Call,
    signal: AbortSignal,
    read: (response: HttpResponse) => T,
  ): Promise<T> {
    try {
      const bodyLimitBytes = operation === 'list' ? pageLimitBytes : imageLimitBytes;
      return read(await session.call('image', { ...request, idempotent: true, bodyLimitBytes, signal }));
    } catch (error) {
      throw translate(error, operation, imageId);
    }
  }

  const get = (id: string, signal: AbortSignal) =>
    call('read', id, { method: 'GET', path: pathOf(id) }, signal, imageIn);

  return {
    endpoint: (signal) => session.endpoint('image', signal),

    async get(id, signal) {
      return get(id, signal);
    },

    async create(id, wanted, signal) {
      pathOf(id);
      const body = JSON.stringify(newImage(id, wanted));
      const headers = { 'content-type': 'application/json' };
      return call('create', undefined, { method: 'POST', path: '/images', headers, body }, signal, imageIn);
    },

    async patch(id, operations, signal) {
      const body = JSON.stringify(operations);
      const headers = { 'content-type': patchType };
      return call('update', id, { method: 'PATCH', path: pathOf(id), headers, body }, signal, imageIn);
    },

    async remove(id, signal) {
      await call('delete', id, { method: 'DELETE', path: pathOf(id) }, signal, () => undefined);
    },

    list(filters, signal) {
      return listPages(filters, pageSize, (query) =>
        call('list', undefined, { method: 'GET', path: `/images?${query}` }, signal, pageIn),
      );
    },

    async upload(id, body, { size, signal }) {
      // A refusal for the token or the image's state comes better now than against a stream of data.
      const { status } = await get(id, signal);
      if (status !== 'queued') throw new Conflict(`image ${id} is ${status}: it takes data only while it is queued`);
      const headers = {
        'content-type': 'application/octet-stream',
        ...(size === undefined ? {} : { 'x-openstack-image-size': String(size) }),
      };
      try {
        await session.upload('image', { path: `${pathOf(id)}/file`, headers, body, size, signal });
      } catch (error) {
        throw translate(error, 'upload', id);
      }
    },
  };
}

/** Glance's ids are UUIDs. Anything else could lead to another path. */
function pathOf(id: string): string {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) {
    throw new InvalidRequest(`not the id of an image, which is a UUID: ${JSON.stringify(id.slice(0, 64))}`);
  }
  return `/images/${id}`;
}

function imageIn(response: HttpResponse): Image {
  const image = readImage(jsonOf(response));
  if (image === undefined) throw new UnreadableAnswer('it holds no image', response.requestId);
  return image;
}

function pageIn(response: HttpResponse): Page {
  const body = jsonOf(response);
  const entries = isJsonObject(body) ? body['images'] : undefined;
  if (!isJsonObject(body) || !Array.isArray(entries)) {
    throw new UnreadableAnswer('it holds no list of images', response.requestId);
  }
  const images = entries.map((entry) => readImage(entry)).filter((image) => image !== undefined);
  if (images.length < entries.length) throw new UnreadableAnswer('it lists what is no image', response.requestId);
  return { images, more: typeof body['next'] === 'string' };
}

/**
 * The data of images.
 *
 * Invariant: a body is read at most once and never sent again; an unfinished transfer leaves no image active.
 */
import { describe } from '../../lib/errors.ts';
import { BodyFailed, ConnectionFailed } from '../../openstack/errors.ts';
import type { HttpStream } from '../../openstack/exchange.ts';
import { expectNoPage } from '../../openstack/response.ts';
import { Conflict, ImageDownloadFailed, ImageNotFound, InvalidRequest, translate } from '../errors.ts';
import type { Image } from '../image.ts';
import { imagePath, quotedText } from '../ref.ts';
import type { Calls } from './call.ts';
import type { ImageRecords } from './records.ts';
import { type ImageStores, storeFailure } from './stores.ts';

export interface ImageDataCalls {
  /**
   * Fills a queued image. Returns when it is active. The body is read at most once; its error is thrown unchanged and
   * leaves the image queued, as do fewer or more bytes than `size`. After any other failure, read the state of the
   * image with `get`.
   */
  upload(id: string, body: AsyncIterable<Uint8Array>, options: UploadOptions): Promise<void>;
  /**
   * Stages the data of a queued image for an import by `glance-direct`. A failure leaves the image queued, as with `upload`.
   * Staged data cannot be replaced or removed, except by deleting the image. InvalidRequest: this Glance accepts no staged
   * data.
   */
  stage(id: string, body: AsyncIterable<Uint8Array>, options: StageOptions): Promise<void>;
  /**
   * Throws ImageDownloadFailed if the image has no data, or if `from` is given and the store cannot read from there on. The body
   * throws it if the data ends early.
   */
  download(id: string, options: DataRange): Promise<ImageData>;
}

export interface DataRange {
  /** The first byte. Default: 0. */
  from?: number;
  signal: AbortSignal;
}

export interface StageOptions {
  /** Bytes, if known. */
  size?: number;
  /** The caller has just seen that the image is queued, so it is not requested again. Glance itself rejects data for any other. */
  isQueued?: boolean;
  /** The memory of this piece of the body, and of all before it, is not read any more. */
  onSent?: (piece: Uint8Array) => void;
  signal: AbortSignal;
}

export interface UploadOptions extends StageOptions {
  /** Default: the cloud's default store. Throws StoreNotFound and StoreReadOnly. */
  store?: string;
  /** An image on which the data is based, for stores that can share blocks. Sent as x-openstack-base-image-ref. */
  baseImageRef?: string;
}

export interface ImageData {
  /** Bytes, if Glance sends their number. */
  size: number | undefined;
  /** MD5 in hex, if Glance sends it. */
  checksum: string | undefined;
  /** Not verified. Read it once, or end it with `return`. */
  body: AsyncIterable<Uint8Array>;
}

export function imageData({ session }: Calls, { get }: ImageRecords, { stores }: ImageStores): ImageDataCalls {
  return {
    async upload(id, body, { signal, size, isQueued = false, onSent, ...where }) {
      const { store } = where;
      if (!isQueued) expectQueued(await get(id, signal));
      const headers = uploadHeaders({ ...where, ...(size === undefined ? {} : { size }) });
      try {
        const response = await session.upload('image', {
          operation: 'upload',
          path: `${imagePath(id)}/file`,
          headers,
          body,
          size,
          onSent,
          signal,
        });
        expectNoPage(response);
      } catch (error) {
        if (error instanceof BodyFailed) throw error.cause;
        const failure = translate(error, 'upload', id);
        throw await storeFailure(failure, store === undefined ? [] : [store], () => stores(signal));
      }
    },

    async stage(id, body, { size, isQueued = false, onSent, signal }) {
      if (!isQueued) expectQueued(await get(id, signal));
      const headers = { 'content-type': 'application/octet-stream' };
      try {
        const response = await session.upload('image', {
          operation: 'stage',
          path: `${imagePath(id)}/stage`,
          headers,
          body,
          size,
          onSent,
          signal,
        });
        expectNoPage(response);
      } catch (error) {
        if (error instanceof BodyFailed) throw error.cause;
        const failure = translate(error, 'stage', id);
        if (!(failure instanceof ImageNotFound)) throw failure;
        // 404 can also mean that the method is not supported. If the image was really deleted, this throws.
        await get(id, signal);
        throw new InvalidRequest(`this Glance accepts no staged data: ${failure.message}`, { cause: failure });
      }
    },

    async download(id, { from = 0, signal }) {
      const path = `${imagePath(id)}/file`;
      let response: HttpStream;
      try {
        const range = from === 0 ? {} : { range: `bytes=${from}-` };
        response = await session.download('image', {
          operation: 'download',
          path,
          headers: { accept: '*/*', ...range },
          signal,
        });
      } catch (error) {
        throw translate(error, 'download', id);
      }
      const { status, headers, body } = response;
      if (from > 0 && status !== 206) {
        await body[Symbol.asyncIterator]().return?.();
        throw new ImageDownloadFailed(id, `its store cannot read from byte ${from} on`);
      }
      const announced = headers['content-length'];
      const size = announced === undefined ? undefined : Number(announced);
      if (status === 204 || size === 0) {
        await body[Symbol.asyncIterator]().return?.();
        throw new ImageDownloadFailed(id, 'the image contains no data');
      }
      return { size, checksum: headers['content-md5'], body: namedBody(id, body, signal) };
    },
  };
}

/** Throws Conflict. A rejection because of the image's state is better received before the data is sent than while it is. */
export function expectQueued({ id, status }: Pick<Image, 'id' | 'status'>): void {
  if (status === 'queued') return;
  throw new Conflict(`image ${id} is ${status}: it accepts data only while it is queued`);
}

/** Throws InvalidRequest for a name that no header can carry. */
export function uploadHeaders({ size, store, baseImageRef }: Omit<UploadOptions, 'signal'>): Record<string, string> {
  return {
    'content-type': 'application/octet-stream',
    ...(size === undefined ? {} : { 'x-openstack-image-size': String(size) }),
    ...(store === undefined ? {} : { 'x-image-meta-store': headerValue('store', store) }),
    ...(baseImageRef === undefined ? {} : { 'x-openstack-base-image-ref': headerValue('baseImageRef', baseImageRef) }),
  };
}

/** The same body; its errors name the image. */
function namedBody(id: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const pieces = body[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            return await pieces.next();
          } catch (error) {
            signal.throwIfAborted();
            if (!(error instanceof ConnectionFailed)) throw error;
            throw new ImageDownloadFailed(
              id,
              `its data from ${error.origin} ended early: ${describe(error.cause)}`,
              error,
            );
          }
        },
        async return() {
          await pieces.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** Anything else would end the connection in the client instead of being rejected. */
function headerValue(name: string, value: string): string {
  if (typeof value === 'string' && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)) return value;
  throw new InvalidRequest(`${name}: not a name that fits into a header: ${quotedText(value)}`);
}

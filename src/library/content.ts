/**
 * The data of an image as a caller gives it.
 *
 * Invariant: only bytes reach Glance. Anything else is rejected: before any call where that is possible, and otherwise while the
 * data is being read, which leaves the image queued.
 */
import { Readable } from 'node:stream';
import { uploadHeaders } from '../glance/client/data.ts';
import { InvalidRequest } from '../glance/errors.ts';
import { checkDataSize } from './check.ts';

/** Bytes, or a stream of them, such as a `Readable`. A stream is read at most once. */
export type ImageContent = Uint8Array | AsyncIterable<Uint8Array>;

export interface DataOptions {
  /**
   * The size of a stream in bytes, if known: other numbers of bytes are then rejected, and quotas are checked up front.
   */
  size?: number;
  /** Default: the cloud's default store. */
  store?: string;
  /** An image on which the data is based, for stores that can share blocks. */
  baseImageRef?: string;
}

export interface UploadData {
  body: AsyncIterable<Uint8Array>;
  /** Bytes have a size; the size of a stream must be given. */
  size: number | undefined;
}

/** Throws InvalidRequest, without reading any data, for data and options that cannot be sent. */
export function uploadDataOf(data: ImageContent, options: DataOptions): UploadData {
  const { size } = options;
  checkDataSize(size);
  uploadHeaders(options);
  if (data instanceof Uint8Array) {
    if (size === undefined || size === data.byteLength) return { body: Readable.from([data]), size: data.byteLength };
    throw new InvalidRequest(`size is ${size}, but the data has ${data.byteLength} bytes`);
  }
  if (isAsyncIterable(data)) return { body: onlyBytes(data), size };
  throw new InvalidRequest('data: expected a Uint8Array or an async iterable of them');
}

function isAsyncIterable(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === 'object' && data !== null && Symbol.asyncIterator in data;
}

async function* onlyBytes(data: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of data) {
    if (!(chunk instanceof Uint8Array)) {
      throw new InvalidRequest(`data: expected a stream of Uint8Arrays, received one of ${typeof chunk} values`);
    }
    yield chunk;
  }
}

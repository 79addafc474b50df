/**
 * The data of an image as a caller gives it.
 *
 * Invariant: only bytes reach Glance. Anything else is an InvalidRequest: before any call where that is possible, and otherwise
 * while the data is being read, which leaves the image queued.
 */
import { Readable } from 'node:stream';
import { isUint8Array } from 'node:util/types';
import { uploadHeaders } from '../glance/client/data.ts';
import { InvalidRequest } from '../glance/errors.ts';
import { describe, OperatorError } from '../lib/errors.ts';

/**
 * Bytes, or a stream of them, such as a `Readable`. A stream or an iterator is read by one call only, also if that fails. A stream is
 * closed at the end of its call, also if it was not read. An error that it throws is the cause of an InvalidRequest.
 */
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

/** Disposing it closes a stream that was not read to its end. */
export interface UploadData extends Disposable {
  body: AsyncIterable<Uint8Array>;
  /** Bytes have a size; the size of a stream must be given. */
  size: number | undefined;
}

/** What is expected of data. */
export const contentProblem = 'expected a Uint8Array or an async iterable of them';

/** Whether it has the type of data. A stream that was read already has it, too. */
export function isContent(data: unknown): data is ImageContent {
  return isUint8Array(data) || isAsyncIterable(data);
}

/** `check` of the arguments of a call. If it throws, the data of the call is closed as at its end. */
export function closedOnFailure<T>(data: () => unknown, check: () => T): T {
  try {
    return check();
  } catch (error) {
    closeUnread(data).catch(() => {});
    throw error;
  }
}

async function closeUnread(data: () => unknown): Promise<void> {
  const given = data();
  if (!isAsyncIterable(given)) return;
  ignoreErrors(given);
  await endOf(given, 'unread');
}

/** Throws InvalidRequest, without reading any data, for data and options that cannot be sent. */
export function uploadDataOf(data: unknown, options: DataOptions): UploadData {
  return closedOnFailure(
    () => data,
    () => checkedData(data, options),
  );
}

function checkedData(data: unknown, options: DataOptions): UploadData {
  const { size } = options;
  uploadHeaders(options);
  if (isUint8Array(data)) {
    if (size === undefined || size === data.byteLength)
      return { body: Readable.from([data]), size: data.byteLength, [Symbol.dispose]() {} };
    throw new InvalidRequest(`size is ${size}, but the data has ${data.byteLength} bytes`);
  }
  if (!isAsyncIterable(data)) throw new InvalidRequest(`data: ${contentProblem}`);
  const obstacle = readingObstacle(data);
  if (obstacle !== undefined) throw new InvalidRequest(`data: ${obstacle}`);
  ignoreErrors(data);
  return { ...onlyBytes(data), size };
}

function isAsyncIterable(data: unknown): data is AsyncIterable<unknown> {
  return (
    typeof data === 'object' &&
    data !== null &&
    Symbol.asyncIterator in data &&
    typeof data[Symbol.asyncIterator] === 'function'
  );
}

/**
 * The streams and iterators that a call has begun to read. A second reader at the same time would get a part of the data, and a later
 * one the rest.
 */
const taken = new WeakSet<object>();
const takenProblem = 'another call reads it, or has read a part of it';

/** Why data cannot be read. Of a stream of Node or of the web also why it never can. */
function readingObstacle(data: AsyncIterable<unknown>): string | undefined {
  if (taken.has(data)) return takenProblem;
  if (data instanceof ReadableStream && data.locked) return 'the stream is locked by another reader';
  if ('readable' in data && data.readable === false) return 'the stream has ended or was destroyed';
  return undefined;
}

/** `unread`: by this call. */
type Reading = 'unread' | AsyncIterator<unknown> | 'over';

/**
 * The chunks of the data. Each failure is an InvalidRequest, unless the data itself threw an error of the library. Its end is not awaited:
 * data that hangs must not delay the end of the call.
 */
function onlyBytes(data: AsyncIterable<unknown>): Omit<UploadData, 'size'> {
  let reading: Reading = 'unread';

  function end(): void {
    endOf(data, reading).catch(() => {});
    reading = 'over';
  }

  async function next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (reading === 'over') return { done: true, value: undefined };
    try {
      if (reading === 'unread') reading = takenIterator(data);
      const step = await reading.next();
      if (typeof step !== 'object' || step === null) throw new TypeError('its iterator returns no results');
      const { done, value } = step;
      if (done === true) {
        reading = 'over';
        return { done, value: undefined };
      }
      // Only streams leave their chunks to the reader. Others may use the memory again before it is sent.
      if (isUint8Array(value)) return { done: false, value: isStream(data) ? value : new Uint8Array(value) };
      end();
      throw new InvalidRequest(`data: expected a stream of Uint8Arrays, received one of ${typeof value} values`);
    } catch (error) {
      reading = 'over';
      if (error instanceof OperatorError) throw error;
      throw new InvalidRequest(`data: it cannot be read: ${describe(error)}`, { cause: error });
    }
  }

  async function returned(): Promise<IteratorReturnResult<undefined>> {
    end();
    return { done: true, value: undefined };
  }

  return { body: { [Symbol.asyncIterator]: () => ({ next, return: returned }) }, [Symbol.dispose]: end };
}

/** A stream may fail before it is read, which throws its error then. Without a listener the failure would end the process. */
function ignoreErrors(data: AsyncIterable<unknown>): void {
  if (isStream(data) && 'on' in data && typeof data.on === 'function') data.on('error', () => {});
}

async function endOf(data: AsyncIterable<unknown>, reading: Reading): Promise<void> {
  // Another call may read what this one has not.
  if (reading === 'over' || (reading === 'unread' && taken.has(data))) return;
  // The iterator of a stream would end it only after its next piece.
  if (isStream(data) && 'destroy' in data && typeof data.destroy === 'function') data.destroy();
  else if (reading !== 'unread') await reading.return?.();
  else if (data instanceof ReadableStream) await data.cancel();
}

/** The iterator of the data, which no other call can read any more. */
function takenIterator(data: AsyncIterable<unknown>): AsyncIterator<unknown> {
  // A stream makes an iterator for each reader, and other data can have the same one for all.
  if (isStream(data)) take(data);
  const pieces = data instanceof ReadableStream ? readerOf(data) : data[Symbol.asyncIterator]();
  if (typeof pieces === 'object' && pieces !== null) take(pieces);
  return pieces;
}

/** The iterator of such a stream would cancel it only after its next piece. */
function readerOf(stream: ReadableStream<unknown>): AsyncIterator<unknown> {
  const reader = stream.getReader();
  return {
    next: async () => await reader.read(),
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

function take(once: object): void {
  if (taken.has(once)) throw new InvalidRequest(`data: ${takenProblem}`);
  taken.add(once);
}

/** Also one of another package, which is no instance of Node's class. */
function isStream(data: AsyncIterable<unknown>): boolean {
  return data instanceof ReadableStream || data instanceof Readable || 'pipe' in data;
}

/**
 * Reads a file format from a stream. An inspection is a generator that requests ranges of the file, in ascending order, and gets
 * each of them whole.
 *
 * Guarantees: an inspection sees the same bytes however the stream is split into chunks; only the requested range is held.
 */
type Request =
  | { kind: 'bytes'; offset: number; length: number }
  /** The end of the file, and the last so many bytes before it. */
  | { kind: 'end'; last: number };

/** What is known before the verdict. */
type Fact =
  | { kind: 'recognised' }
  /** In bytes: the virtual size by Glance, and the largest disk that any reader could see in the image. */
  | { kind: 'size'; reported: number; disk: number };

interface Received {
  bytes: Buffer;
  /** Of the file; known only at its end. */
  length: number;
}

export type Inspection<T> = Generator<Request | Fact, T, Received>;

/** Of one file as one format. `other`: the format was not recognised. */
export type FormatVerdict =
  | { kind: 'other' }
  | { kind: 'sound' }
  /** `how` ends the sentence "as it …". */
  | { kind: 'damaged'; how: string }
  /** `checks`: the names of the failed check in Glance, if it can be configured there. */
  | { kind: 'unsafe'; how: string; checks?: readonly string[] };

export const other: FormatVerdict = { kind: 'other' };
export const sound: FormatVerdict = { kind: 'sound' };
export const damaged = (how: string): FormatVerdict => ({ kind: 'damaged', how });
export const unsafe = (how: string, checks: readonly string[] = []): FormatVerdict => ({ kind: 'unsafe', how, checks });

export const recognised: Fact = { kind: 'recognised' };

/** In bytes; rounded above 2^53, which is above any limit. `disk`: if it may be larger than the size by Glance. */
export function virtualSize(reported: number, disk = reported): Fact {
  return { kind: 'size', reported, disk };
}

/** Requests bytes of the file, which must not begin before the end of the last range. Fewer if the file ends earlier. */
export function* bytes(offset: number, length: number): Inspection<Buffer> {
  const received = yield { kind: 'bytes', offset, length };
  return received.bytes;
}

/** Requests the length of the file and its `last` bytes. Fewer if they begin before the end of the last range. */
export function* end(last = 0): Inspection<Received> {
  return yield { kind: 'end', last };
}

export function hasAt(data: Buffer, offset: number, signature: string): boolean {
  return data.toString('latin1', offset, offset + signature.length) === signature;
}

export interface Reader<T> {
  /** `position` is that of the chunk in the file; chunks come without gaps, except for bytes that it does not need. */
  update(chunk: Uint8Array, position: number): void;
  /** Whether it waits for a byte before that position. */
  needsBefore(position: number): boolean;
  /** `length` is that of the file. Afterwards `result` is set. */
  finish(length: number): void;
  readonly recognised: boolean;
  readonly size: { reported: number; disk: number } | undefined;
  readonly result: T | undefined;
}

const nothing: Received = { bytes: Buffer.alloc(0), length: 0 };

export function createReader<T>(inspection: Inspection<T>): Reader<T> {
  let isRecognised = false;
  let size: Reader<T>['size'];
  let result: T | undefined;
  let request: Request | undefined;
  /** The received part of the requested range. The file up to `cursor` is not needed any more. */
  let held: Buffer = nothing.bytes;
  let filled = 0;
  let cursor = 0;

  function proceed(received: Received): void {
    request = undefined;
    for (;;) {
      const step = inspection.next(received);
      if (step.done) {
        result = step.value;
        held = nothing.bytes;
        return;
      }
      switch (step.value.kind) {
        case 'recognised':
          isRecognised = true;
          break;
        case 'size':
          size = step.value;
          break;
        case 'end':
        case 'bytes':
          start(step.value);
          return;
      }
    }
  }

  function start(next: Request): void {
    if (next.kind === 'bytes' && next.offset < cursor)
      throw new Error('an inspection requested bytes that have passed');
    request = next;
    held = next.kind === 'bytes' ? Buffer.alloc(next.length) : nothing.bytes;
    filled = 0;
  }

  /** Returns whether the range is complete. */
  function fill({ offset, length }: { offset: number; length: number }, chunk: Uint8Array, position: number): boolean {
    const from = offset + filled - position;
    if (from < chunk.length) {
      const part = chunk.subarray(from, from + length - filled);
      held.set(part, filled);
      filled += part.length;
    }
    return filled === length && offset + length <= position + chunk.length;
  }

  proceed(nothing);
  return {
    update(chunk, position) {
      while (request !== undefined) {
        if (request.kind === 'end') {
          held = lastOf(held, chunk.subarray(Math.max(0, cursor - position)), request.last);
          return;
        }
        if (!fill(request, chunk, position)) return;
        cursor = request.offset + request.length;
        proceed({ ...nothing, bytes: held });
      }
    },
    needsBefore: (position) => request?.kind === 'bytes' && request.offset + filled < position,
    finish(length) {
      while (request !== undefined) {
        proceed(request.kind === 'end' ? { bytes: held, length } : { ...nothing, bytes: held.subarray(0, filled) });
      }
    },
    get recognised() {
      return isRecognised;
    },
    get size() {
      return size;
    },
    get result() {
      return result;
    },
  };
}

function lastOf(before: Buffer, chunk: Uint8Array, count: number): Buffer {
  if (chunk.length >= count) return Buffer.from(chunk.subarray(chunk.length - count));
  const all = Buffer.concat([before, chunk]);
  return all.subarray(Math.max(0, all.length - count));
}

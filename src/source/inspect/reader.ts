/**
 * Reading a file format from a stream that cannot be read twice. An inspection is a generator that asks for stretches of the
 * file, in the order in which they lie there, and gets each of them whole. Laws: it sees the same bytes however the stream was
 * cut into chunks, so its verdict cannot depend on that; and no more is held than the one stretch that was asked for.
 */

type Request =
  | { kind: 'bytes'; offset: number; length: number }
  /** The end of the file, and the last so many bytes before it. */
  | { kind: 'end'; last: number };

/** What is known already while an inspection goes on. */
type Fact =
  | { kind: 'recognised' }
  /** In bytes: what Glance takes for the virtual size, and the largest disk that anybody might see in the image. */
  | { kind: 'size'; reported: number; disk: number };

interface Answer {
  bytes: Buffer;
  /** Of the file; only at its end. */
  length: number;
}

export type Inspection<T> = Generator<Request | Fact, T, Answer>;

/** Of one file as one format. What is `other` was not recognised; what is anything else was. */
export type FormatVerdict =
  | { kind: 'other' }
  | { kind: 'sound' }
  /** `how` ends the sentence "as it …". */
  | { kind: 'damaged'; how: string }
  | { kind: 'unsafe'; how: string };

export const other: FormatVerdict = { kind: 'other' };
export const sound: FormatVerdict = { kind: 'sound' };
export const damaged = (how: string): FormatVerdict => ({ kind: 'damaged', how });
export const unsafe = (how: string): FormatVerdict => ({ kind: 'unsafe', how });

export const recognised: Fact = { kind: 'recognised' };

/** In bytes, rounded beyond 2^53, which is beyond any limit. `disk` where it may be larger than Glance's size. */
export function virtualSize(reported: number, disk = reported): Fact {
  return { kind: 'size', reported, disk };
}

/** Asks for bytes of the file, none of them before the end of the last stretch: fewer if the file ends before. */
export function* bytes(offset: number, length: number): Inspection<Buffer> {
  const answer = yield { kind: 'bytes', offset, length };
  return answer.bytes;
}

/** Asks for the length of the file and its `last` bytes: fewer if they begin before the end of the last stretch. */
export function* end(last = 0): Inspection<Answer> {
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
  /** `length` is that of the file. Afterwards there is a result. */
  finish(length: number): void;
  readonly recognised: boolean;
  readonly size: { reported: number; disk: number } | undefined;
  readonly result: T | undefined;
}

const nothing: Answer = { bytes: Buffer.alloc(0), length: 0 };

export function createReader<T>(inspection: Inspection<T>): Reader<T> {
  let isRecognised = false;
  let size: Reader<T>['size'];
  let result: T | undefined;
  let request: Request | undefined;
  /** What has come of the stretch that was asked for; the file up to `cursor` is done with. */
  let held: Buffer = nothing.bytes;
  let filled = 0;
  let cursor = 0;

  function proceed(answer: Answer): void {
    request = undefined;
    for (;;) {
      const step = inspection.next(answer);
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
          ask(step.value);
          return;
      }
    }
  }

  function ask(next: Request): void {
    if (next.kind === 'bytes' && next.offset < cursor)
      throw new Error('an inspection asked for bytes that have passed');
    request = next;
    held = next.kind === 'bytes' ? Buffer.alloc(next.length) : nothing.bytes;
    filled = 0;
  }

  /** Returns whether the stretch is complete. */
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

/**
 * The structure of a zstd file: frames, their headers and blocks (RFC 8878, section 3).
 *
 * Guarantees: every frame counts; skippable frames are skipped, and nothing else may stand between or behind frames. No byte of a frame
 * is passed on before the memory that its header requires is known to be within the limit.
 *
 * The frames are split here because node:zlib decodes one frame and silently drops the rest of the same write
 * (https://github.com/nodejs/node/issues/64741).
 */
import { checkDictionary, checkSize } from './bounds.ts';
import { Cursor, type Parsing } from './cursor.ts';
import { cutOff, damagedStream, type Job, unsupported } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';

/** How far the file was read. */
export interface FramePlace {
  /** Bytes of the file that were taken. */
  readonly at: number;
  /** Frames that have begun, skippable ones included. */
  readonly count: number;
}

/** Some bytes of one frame, or none, where only skippable frames were read. */
export interface FramePart extends FramePlace {
  readonly bytes: Uint8Array;
  /** They end their frame. */
  readonly isEnd: boolean;
  /** Of the frame. */
  readonly window: number;
  /** The frame has no more data up to here, as the headers of its blocks say. */
  readonly mostBytes: number;
}

/** The parts of all frames, one by one. Throws the errors of the body and of the structure. */
export async function* framesOf(input: Input, job: Job): AsyncGenerator<FramePart, void, undefined> {
  const frames = new ZstdFrames(job);
  let count = 0;
  for (let piece = await input.next(pieceBytes); piece !== undefined; piece = await input.next(pieceBytes)) {
    for (const bytes of frames.split(piece)) {
      count = frames.count;
      yield frames.partOf(bytes, input.taken);
    }
    if (frames.count > count) yield frames.partOf(none, input.taken);
    count = frames.count;
  }
  frames.finish();
}

const magic = 0xfd2fb528;
/** The last four bits can have any value. */
const skippable = 0x184d2a50;
const none = Buffer.alloc(0);
const blockTypes = ['raw', 'repeated', 'compressed'] as const;
/** Of a block, after and before it was compressed. It is not larger than the window either. */
const largestBlock = 128 * 1024;

class ZstdFrames {
  readonly #job: Job;
  readonly #cursor = new Cursor();
  readonly #parsing = this.#frames();
  /** Sum of the sizes that frame headers announce. */
  #announced = 0;
  /** The end of the last frame. */
  #end = 0;
  /** A header is kept back until it is complete and accepted. */
  #isInHeader = true;
  #header = none;
  /** Skippable frames do not go to the decoder. */
  #isSkipped = false;
  #count = 0;
  #window = 0;
  #mostBytes = 0;

  constructor(job: Job) {
    this.#job = job;
  }

  /** The number of frames that have begun, skippable ones included. */
  get count(): number {
    return this.#count;
  }

  /** Splits a piece into the bytes of one frame each, without skippable frames. The last bytes of a frame end with the frame. */
  *split(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
    this.#cursor.load(piece);
    for (let from = 0; from < piece.length; from = this.#cursor.at) {
      this.#parsing.next();
      if (this.#isSkipped) {
        this.#header = none;
        continue;
      }
      const part = piece.subarray(from, this.#cursor.at);
      if (this.#isInHeader) {
        this.#header = Buffer.concat([this.#header, part]);
        continue;
      }
      yield this.#header.length > 0 ? Buffer.concat([this.#header, part]) : part;
      this.#header = none;
    }
  }

  /** What was split last. */
  partOf(bytes: Uint8Array, at: number): FramePart {
    const isEnd = bytes.length > 0 && this.#cursor.offset === this.#end;
    return { bytes, isEnd, window: this.#window, mostBytes: this.#mostBytes, at, count: this.#count };
  }

  /** Call it at the end of the body. */
  finish(): void {
    if (this.#cursor.offset !== this.#end) throw cutOff(this.#job, this.#cursor.offset);
  }

  /** Yields at the end of each piece, and of each frame. */
  *#frames(): Parsing<never> {
    const cursor = this.#cursor;
    for (;;) {
      this.#isInHeader = true;
      this.#isSkipped = false;
      const word = (yield* cursor.take(4)).readUInt32LE();
      this.#count++;
      if (word === magic) yield* this.#frame();
      else if ((word & ~0xf) === skippable) yield* this.#skippableFrame();
      else throw damagedStream(this.#job, 'there is something other than a frame', cursor.offset - 4);
      this.#end = cursor.offset;
      yield;
    }
  }

  *#skippableFrame(): Parsing<void> {
    const size = (yield* this.#cursor.take(4)).readUInt32LE();
    this.#isSkipped = true;
    yield* this.#cursor.skip(size);
  }

  *#frame(): Parsing<void> {
    const cursor = this.#cursor;
    const hasChecksum = yield* this.#frameHeader();
    this.#isInHeader = false;
    this.#mostBytes = 0;
    for (;;) {
      const header = (yield* cursor.take(3)).readUIntLE(0, 3);
      const type = blockTypes[(header >>> 1) & 3];
      if (type === undefined) throw damagedStream(this.#job, 'a block has a reserved type', cursor.offset - 3);
      this.#mostBytes += type === 'compressed' ? Math.min(this.#window, largestBlock) : header >>> 3;
      yield* cursor.skip(type === 'repeated' ? 1 : header >>> 3);
      if ((header & 1) !== 0) break;
    }
    if (hasChecksum) yield* cursor.skip(4);
  }

  /** Checks the sizes in the header; returns whether a checksum follows the last block. */
  *#frameHeader(): Parsing<boolean> {
    const cursor = this.#cursor;
    const descriptor = yield* cursor.byte();
    if ((descriptor & 0x08) !== 0) throw damagedStream(this.#job, 'a frame has a reserved bit set', cursor.offset - 1);
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const window = isSingleSegment ? 0 : windowOf(yield* cursor.byte());
    const dictionary = yield* cursor.take([0, 1, 2, 4][descriptor & 3] ?? 0);
    if (dictionary.some((byte) => byte !== 0))
      throw unsupported(this.#job, 'it was compressed with a dictionary that is not part of it');
    const size = sizeOf(yield* cursor.take([isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0));
    this.#window = isSingleSegment ? size : window;
    checkDictionary(this.#job, this.#window);
    this.#announced += size;
    // How many compressed bytes follow is not known yet, so only the absolute limit applies here.
    checkSize(this.#job, this.#announced, Number.POSITIVE_INFINITY);
    return (descriptor & 0x04) !== 0;
  }
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Magic number, descriptor, window, dictionary and size. */
export const longestFrameHeader = 18;

/** What the header of the first frame states; undefined if it is no frame of data, or states nothing. */
export function frameContentSize(head: Buffer): number | undefined {
  if (head.length < longestFrameHeader || head.readUInt32LE() !== magic) return undefined;
  const descriptor = head.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (isSingleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  const field = head.subarray(at, at + ([isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0));
  return field.length === 0 ? undefined : sizeOf(field);
}

/** 0 if the header has no size. */
function sizeOf(field: Buffer): number {
  if (field.length === 0) return 0;
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}

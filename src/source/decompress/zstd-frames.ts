/**
 * Where the frames of a zstd file end (RFC 8878, section 3). Law: no byte of a frame is handed on before the memory that its
 * header asks for was found to be within the limit, and no part that is handed on goes beyond the end of a frame.
 *
 * It is needed because node:zlib decodes one frame and drops what follows in the same write, without a word.
 */
import { checkDictionary, checkSize } from './bounds.ts';
import { Cursor, type Parsing } from './cursor.ts';
import { cutOff, damagedStream, type Job, unsupported } from './errors.ts';

const magic = 0xfd2fb528;
/** The last four bits are free. */
const skippable = 0x184d2a50;
const blockTypes = ['raw', 'repeated', 'compressed'] as const;

export class ZstdFrames {
  readonly #job: Job;
  readonly #cursor = new Cursor();
  readonly #parsing = this.#frames();
  /** What the headers say that the frames will hold, those that say it. */
  #announced = 0;
  /** Where the last frame ended. */
  #end = 0;
  /** A header is kept back until it is complete, and was found to be acceptable. */
  #isInHeader = true;
  #header = Buffer.alloc(0);

  constructor(job: Job) {
    this.#job = job;
  }

  /** The piece in parts, each of one frame, and the last one of a frame ends where the frame does. */
  *split(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
    this.#cursor.load(piece);
    for (let from = 0; from < piece.length; from = this.#cursor.at) {
      this.#parsing.next();
      const part = piece.subarray(from, this.#cursor.at);
      if (this.#isInHeader) {
        this.#header = Buffer.concat([this.#header, part]);
        continue;
      }
      if (this.#header.length > 0) yield this.#header;
      this.#header = Buffer.alloc(0);
      yield part;
    }
  }

  /** To be called at the end of the body. */
  finish(): void {
    if (this.#cursor.offset !== this.#end) throw cutOff(this.#job, this.#cursor.offset);
  }

  /** Yields at the end of each piece, and of each frame. */
  *#frames(): Parsing<never> {
    const cursor = this.#cursor;
    for (;;) {
      this.#isInHeader = true;
      const word = (yield* cursor.take(4)).readUInt32LE();
      if (word === magic) yield* this.#frame();
      else if ((word & ~0xf) === skippable) yield* this.#skippableFrame();
      else throw damagedStream(this.#job, 'something else than a frame begins here', cursor.offset - 4);
      this.#end = cursor.offset;
      yield;
    }
  }

  *#skippableFrame(): Parsing<void> {
    const size = (yield* this.#cursor.take(4)).readUInt32LE();
    this.#isInHeader = false;
    yield* this.#cursor.skip(size);
  }

  *#frame(): Parsing<void> {
    const cursor = this.#cursor;
    const hasChecksum = yield* this.#frameHeader();
    this.#isInHeader = false;
    for (;;) {
      const header = (yield* cursor.take(3)).readUIntLE(0, 3);
      const type = blockTypes[(header >>> 1) & 3];
      if (type === undefined) throw damagedStream(this.#job, 'a block has a reserved type', cursor.offset - 3);
      yield* cursor.skip(type === 'repeated' ? 1 : header >>> 3);
      if ((header & 1) !== 0) break;
    }
    if (hasChecksum) yield* cursor.skip(4);
  }

  /** Checks what the header asks for; returns whether a checksum follows the last block. */
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
    checkDictionary(this.#job, isSingleSegment ? size : window);
    this.#announced += size;
    // Nothing is known yet of the compressed bytes that this takes: so only the absolute limit counts here.
    checkSize(this.#job, this.#announced, Number.POSITIVE_INFINITY);
    return (descriptor & 0x04) !== 0;
  }
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** 0 where the header does not tell. */
function sizeOf(field: Buffer): number {
  if (field.length === 0) return 0;
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}

/**
 * The structure of an xz file (specification 1.2.1): streams, blocks, chunks of LZMA2, index.
 *
 * Guarantees: no byte of a block goes to the decoder before the dictionary of its header is known to be within the limit, and no
 * byte of a chunk before its decompressed size is. Both can be read without decoding.
 *
 * The decoder verifies its output and the checks of the blocks. The sizes in block headers and index, and the footer, are verified
 * here. A memory limit in @napi-rs/lzma would replace most of this file.
 */
import { crc32 } from 'node:zlib';
import { checkDictionary, checkParts, checkSize } from './bounds.ts';
import { Cursor, type Parsing } from './cursor.ts';
import { cutOff, damagedStream, type Job, unsupported } from './errors.ts';

export const xzMagic = Buffer.from('\xfd7zXZ\0', 'latin1');
/** Its length is one byte, in units of four. */
export const longestBlockHeader = 1024;
const footerMagic = 0x5a59;
/** Length of the check after each block, by type: none, CRC32, CRC64, SHA-256. */
const checks: Readonly<Record<number, number>> = { 0: 0, 1: 4, 4: 8, 10: 32 };
const lzma2 = 0x21;
/** Delta, and branch converters for x86 to RISC-V. */
const filters = [0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b];

/** A block, as its header describes it; the sizes are optional. */
export interface XzBlock {
  /** Of the stream that it is in. They say which check it has. */
  streamFlags: Buffer;
  header: Buffer;
  dictionary: number;
  compressed: number | undefined;
  uncompressed: number | undefined;
}

/** Some bytes of a block, without its header, and its sizes where they end it. */
export interface XzBlockPart {
  block: XzBlock;
  bytes: Uint8Array;
  end: { unpadded: number; uncompressed: number } | undefined;
}

export class XzStructure {
  readonly #job: Job;
  readonly #cursor = new Cursor();
  readonly #parsing = this.#streams();
  /** Decompressed size of the chunks so far. */
  #announced = 0;
  /** Streams and blocks so far. */
  #parts = 0;
  /** Offsets at which the file may end: after a stream, and after every four bytes of padding. */
  #end = 0;
  #isBetweenStreams = false;
  /** The block that is being read. */
  #current: Omit<XzBlockPart, 'bytes'> | undefined;

  constructor(job: Job) {
    this.#job = job;
  }

  /** Number of the last bytes that are not checked yet, because their field is incomplete. Keep them from the decoder. */
  get unchecked(): number {
    return this.#cursor.incomplete;
  }

  /** Checks the next piece, before it is decoded. */
  update(piece: Uint8Array): void {
    for (const _ of this.split(piece));
  }

  /** Checks the next piece, and yields what it holds of blocks. */
  *split(piece: Uint8Array): Generator<XzBlockPart, void, undefined> {
    this.#cursor.load(piece);
    for (let from = 0; from < piece.length; from = this.#cursor.at) {
      this.#parsing.next();
      if (this.#current === undefined) continue;
      yield { ...this.#current, bytes: piece.subarray(from, this.#cursor.at) };
      if (this.#current.end !== undefined) this.#current = undefined;
    }
  }

  /** Call it at the end of the body. */
  finish(): void {
    if (this.#cursor.offset === this.#end) return;
    if (this.#isBetweenStreams) throw this.#damaged('there is something other than a stream after its end');
    throw cutOff(this.#job, this.#cursor.offset);
  }

  #countPart(): void {
    this.#parts++;
    checkParts(this.#job, this.#parts, this.#cursor.offset, this.#announced);
  }

  #damaged(why: string): Error {
    return damagedStream(this.#job, why, this.#cursor.offset);
  }

  *#streams(): Parsing<never> {
    const cursor = this.#cursor;
    for (;;) {
      const start = yield* cursor.take(4);
      if (this.#isBetweenStreams && start.readUInt32LE() === 0) {
        this.#end = cursor.offset;
        continue;
      }
      if (!start.equals(xzMagic.subarray(0, 4))) throw this.#damaged('there is something other than a stream');
      this.#isBetweenStreams = false;
      yield* this.#stream(start);
      this.#isBetweenStreams = true;
      this.#end = cursor.offset;
    }
  }

  *#stream(start: Buffer): Parsing<void> {
    const cursor = this.#cursor;
    this.#countPart();
    const header = Buffer.concat([start, yield* cursor.take(8)]);
    if (!header.subarray(0, 6).equals(xzMagic)) throw this.#damaged('there is something other than a stream');
    const flags = header.subarray(6, 8);
    if (crc32(flags) !== header.readUInt32LE(8)) throw this.#damaged('the checksum of a stream header is wrong');
    const check = checks[flags.readUInt16BE()];
    if (check === undefined)
      throw unsupported(this.#job, `its blocks have a check of the unknown type ${flags.toString('hex')}`);
    const seen = new Records();
    for (;;) {
      const size = yield* cursor.byte();
      if (size === 0) break;
      yield* this.#block(size, flags, check, seen);
    }
    yield* this.#index(seen, flags);
  }

  /** Pauses after its header, and at its end. */
  *#block(size: number, flags: Buffer, check: number, seen: Records): Parsing<void> {
    const cursor = this.#cursor;
    this.#countPart();
    const block = yield* this.#blockHeader(size, flags);
    yield;
    this.#current = { block, end: undefined };
    const start = cursor.offset;
    const uncompressed = yield* this.#chunks(block);
    const compressed = cursor.offset - start;
    if (compressed !== (block.compressed ?? compressed) || uncompressed !== (block.uncompressed ?? uncompressed))
      throw this.#damaged('a block has another size than its header');
    yield* this.#padding(compressed);
    yield* cursor.skip(check);
    const unpadded = block.header.length + compressed + check;
    seen.add(unpadded, uncompressed);
    this.#current = { block, end: { unpadded, uncompressed } };
    yield;
  }

  *#blockHeader(size: number, streamFlags: Buffer): Parsing<XzBlock> {
    const header = Buffer.concat([Buffer.of(size), yield* this.#cursor.take((size + 1) * 4 - 1)]);
    const content = header.subarray(0, -4);
    if (crc32(content) !== header.readUInt32LE(content.length))
      throw this.#damaged('the checksum of a block header is wrong');
    const fields = new Fields(content, 2, () => this.#damaged('a block header is malformed'));
    const flags = content[1] ?? 0;
    if ((flags & 0x3c) !== 0) throw unsupported(this.#job, 'a block has flags from a newer version of the format');
    const compressed = (flags & 0x40) === 0 ? undefined : fields.number();
    const uncompressed = (flags & 0x80) === 0 ? undefined : fields.number();
    const filterCount = (flags & 3) + 1;
    for (let filter = 1; filter < filterCount; filter++) this.#filter(fields, false);
    const dictionary = this.#filter(fields, true);
    return { streamFlags, header, dictionary, compressed, uncompressed };
  }

  /** Returns the size of its dictionary. */
  #filter(fields: Fields, isLast: boolean): number {
    const id = fields.number();
    const properties = fields.bytes(fields.number());
    if (isLast ? id !== lzma2 : !filters.includes(id))
      throw unsupported(this.#job, `a block uses the filter 0x${id.toString(16)} in an unknown position`);
    if (id !== lzma2) return 0;
    const [property, ...others] = properties;
    if (property === undefined || property > 40 || others.length > 0) throw fields.malformed();
    const dictionary = dictionaryOf(property);
    checkDictionary(this.#job, dictionary);
    return dictionary;
  }

  /** Reads the chunks of LZMA2 up to their end; returns their decompressed size. A reader may hold what the header states. */
  *#chunks(block: XzBlock): Parsing<number> {
    const cursor = this.#cursor;
    const { compressed: mostCompressed = Infinity, uncompressed: mostUncompressed = Infinity } = block;
    const start = cursor.offset;
    for (let total = 0; ; ) {
      const control = yield* cursor.byte();
      if (control === 0) return total;
      if (control > 2 && control < 0x80) throw this.#damaged('a chunk has a reserved type');
      const low = (yield* cursor.take(2)).readUInt16BE() + 1;
      const uncompressed = control < 0x80 ? low : ((control & 0x1f) << 16) + low;
      let compressed = low;
      if (control >= 0x80) compressed = (yield* cursor.take(2)).readUInt16BE() + 1;
      // The properties of the coder, if they change.
      if (control >= 0xc0) compressed++;
      total += uncompressed;
      this.#announced += uncompressed;
      checkSize(this.#job, this.#announced, cursor.offset + compressed);
      if (total > mostUncompressed || cursor.offset + compressed - start > mostCompressed)
        throw this.#damaged('a block has another size than its header');
      yield* cursor.skip(compressed);
    }
  }

  *#index(seen: Records, flags: Buffer): Parsing<void> {
    const cursor = this.#cursor;
    const start = cursor.offset - 1;
    const listed = new Records();
    let sum = crc32(Buffer.of(0));
    const number = function* (): Parsing<number> {
      const bytes: number[] = [];
      do bytes.push(yield* cursor.byte());
      while ((bytes.at(-1) ?? 0) >= 0x80 && bytes.length < 9);
      const field = Buffer.from(bytes);
      sum = crc32(field, sum);
      return new Fields(field, 0, () => malformed()).number();
    };
    const malformed = () => this.#damaged('the index is malformed');
    const count = yield* number();
    // Compared first, so that the index is no longer than its blocks.
    if (count !== seen.count) throw this.#damaged('the number of records in the index is not that of the blocks');
    while (listed.count < count) listed.add(yield* number(), yield* number());
    if (listed.sum !== seen.sum) throw this.#damaged('the index does not fit the blocks');
    sum = crc32(yield* this.#padding(cursor.offset - start), sum);
    const size = cursor.offset - start;
    if ((yield* cursor.take(4)).readUInt32LE() !== sum) throw this.#damaged('the checksum of the index is wrong');
    yield* this.#footer(size + 4, flags);
  }

  *#footer(indexSize: number, flags: Buffer): Parsing<void> {
    const footer = yield* this.#cursor.take(12);
    const isRight =
      footer.readUInt32LE() === crc32(footer.subarray(4, 10)) &&
      (footer.readUInt32LE(4) + 1) * 4 === indexSize &&
      footer.subarray(8, 10).equals(flags) &&
      footer.readUInt16LE(10) === footerMagic;
    if (!isRight) throw this.#damaged('the footer of a stream does not fit its header');
  }

  /** Zeros up to a multiple of four bytes. */
  *#padding(bytes: number): Parsing<Buffer> {
    const padding = yield* this.#cursor.take(-bytes & 3);
    if (padding.some((byte) => byte !== 0)) throw this.#damaged('the padding does not consist of zeros');
    return padding;
  }
}

/** The sizes of blocks, kept as a sum so that memory does not depend on their number. */
class Records {
  count = 0;
  sum = 0;

  /** `unpadded`: the size of the block in the file without its padding. */
  add(unpadded: number, uncompressed: number): void {
    this.count++;
    this.sum = crc32(`${unpadded} ${uncompressed} `, this.sum);
  }
}

/** The fields of a header. `malformed` creates the error for a field beyond its end. */
export class Fields {
  readonly #bytes: Buffer;
  #at: number;
  readonly malformed: () => Error;

  constructor(bytes: Buffer, at: number, malformed: () => Error) {
    this.#bytes = bytes;
    this.#at = at;
    this.malformed = malformed;
  }

  /** Seven bits a byte, the low ones first, in as few bytes as possible. */
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes(1)[0] ?? 0;
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER || (byte === 0 && scale > 1)) throw this.malformed();
      if (byte < 0x80) return value;
    }
  }

  bytes(count: number): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw this.malformed();
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}

/** The dictionary in bytes, for the numbers 0 to 40. */
function dictionaryOf(property: number): number {
  return property === 40 ? 2 ** 32 - 1 : (2 + (property & 1)) * 2 ** (11 + (property >>> 1));
}

/**
 * bzip2: the streams of a file and their blocks.
 *
 * Guarantees: every stream counts, and nothing may stand between or after them; an empty file is damaged; all checksums are
 * verified.
 *
 * It is written here because no available package decodes a stream at less than three times the cost of the command line tool. Blocks
 * are independent, so several are decoded at once where threads are free.
 */
import { BitReader, OutOfBits } from './bits.ts';
import { checkParts, checkSize } from './bounds.ts';
import { type BlocksAhead, createBlocksAhead } from './bzip2-ahead.ts';
import { BrokenBlock, Bzip2Block, blockUnit } from './bzip2-block.ts';
import type { BlockAhead } from './bzip2-helper.ts';
import { blockSignature } from './bzip2-signature.ts';
import { chunkSize } from './engine.ts';
import { cutOff, damagedStream, type Job } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';

/** The largest block, 900 000 symbols of 20 bits, and the description of its codes: a block is decoded without waiting. */
const blockBytes = (9 * blockUnit * 20) / 8 + pieceBytes;
const signatureBits = 48;
const endSignature = '177245385090';

export async function* bunzip2(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const bits = new BitReader();
  const ahead = job.helpers === undefined ? undefined : createBlocksAhead(bits, job.helpers, blockBytes);
  const blocks = new Blocks(bits, ahead);
  let isComplete = false;
  let given = 0;
  /** Streams and blocks so far. */
  let parts = 0;
  const countPart = () => checkParts(job, ++parts, bits.offset, given);
  const fill = async () => {
    const wanted = Math.min(ahead?.wantedBytes ?? blockBytes, bits.available + bits.space - pieceBytes);
    while (!isComplete && bits.available < wanted) {
      const piece = await input.next(pieceBytes);
      if (piece === undefined) isComplete = true;
      else bits.append(piece);
    }
  };
  try {
    await fill();
    do {
      const maxLength = readHeader(bits);
      countPart();
      let combined = 0;
      for (;;) {
        await fill();
        const position = bits.position;
        const signature = hex(bits) + hex(bits);
        if (signature === endSignature) break;
        if (signature !== blockSignature) throw new BrokenBlock('there is something other than a block');
        countPart();
        for await (const chunk of blocks.read(position, maxLength, isComplete)) {
          given += chunk.length;
          // By the exact position, because much of the input was read ahead.
          checkSize(job, given, bits.offset);
          yield chunk;
        }
        combined = (combined << 1) ^ (combined >>> 31) ^ blocks.checksum;
      }
      if (((bits.read(16) << 16) | bits.read(16)) !== (combined | 0))
        throw new BrokenBlock('the checksum of a stream is wrong');
      bits.skipToByte();
      await fill();
    } while (bits.available > 0);
  } catch (error) {
    if (error instanceof BrokenBlock) throw damagedStream(job, error.message, bits.offset);
    if (!(error instanceof OutOfBits)) throw error;
    throw isComplete
      ? cutOff(job, input.taken)
      : damagedStream(job, 'a block is longer than the format allows', bits.offset);
  } finally {
    ahead?.close();
  }
}

/** Reads blocks one after the other, each decoded here or by a helper. */
class Blocks {
  readonly #bits: BitReader;
  readonly #ahead: BlocksAhead | undefined;
  readonly #block = new Bzip2Block();
  /** Of the last block, as it states it. */
  checksum = 0;

  constructor(bits: BitReader, ahead: BlocksAhead | undefined) {
    this.#bits = bits;
    this.#ahead = ahead;
  }

  /** The bytes of the block at `position`, whose signature was read. Afterwards the reader of bits is at its end. */
  async *read(position: number, maxLength: number, isComplete: boolean): AsyncGenerator<Uint8Array, void, undefined> {
    const helped = await this.#ahead?.at(position, isComplete);
    const start = position + signatureBits;
    let skipped = 0;
    if (helped !== undefined) {
      const delivered = yield* this.#helped(helped, start, maxLength);
      if (delivered === 'all') return;
      skipped = delivered;
      this.#bits.seek(start);
    }
    this.#block.decode(this.#bits, maxLength);
    this.checksum = this.#block.checksum;
    for (const chunk of bytesOf(this.#block)) {
      if (skipped < chunk.length) yield chunk.subarray(skipped);
      skipped = Math.max(skipped - chunk.length, 0);
    }
  }

  /** Returns how many bytes it has delivered, if these are not all. */
  async *#helped(
    block: BlockAhead,
    start: number,
    maxLength: number,
  ): AsyncGenerator<Uint8Array, number | 'all', undefined> {
    const decoded = await block.decoded;
    if (decoded === undefined || decoded.length > maxLength) return 0;
    this.#bits.seek(start + decoded.bits);
    this.checksum = decoded.checksum;
    let delivered = 0;
    for (;;) {
      const piece = await block.next();
      if (piece === undefined) return 'all';
      if (piece === 'failed') return delivered;
      for (let from = 0; from < piece.length; from += chunkSize) yield piece.subarray(from, from + chunkSize);
      delivered += piece.length;
    }
  }
}

/** The level follows `BZh`. Returns the maximum length of blocks. */
function readHeader(bits: BitReader): number {
  const level = bits.read(24) === 0x425a68 ? bits.read(8) - 0x30 : 0;
  if (level < 1 || level > 9) throw new BrokenBlock('there is something other than a stream');
  return level * blockUnit;
}

function hex(bits: BitReader): string {
  return bits.read(24).toString(16).padStart(6, '0');
}

function* bytesOf(block: Bzip2Block): Generator<Uint8Array, void, undefined> {
  for (let filled = chunkSize; filled === chunkSize; ) {
    const out = Buffer.allocUnsafeSlow(chunkSize);
    filled = block.read(out);
    yield out.subarray(0, filled);
  }
}

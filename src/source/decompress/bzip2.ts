/**
 * bzip2: the streams of a file and their blocks.
 *
 * Guarantees: every stream counts, and nothing may stand between or after them; an empty file is damaged; all checksums are
 * verified.
 *
 * It is written here because no available package decodes a stream at less than three times the cost of the command line tool.
 */
import { BitReader, OutOfBits } from './bits.ts';
import { checkSize } from './bounds.ts';
import { BrokenBlock, Bzip2Block, blockUnit } from './bzip2-block.ts';
import { chunkSize } from './engine.ts';
import { cutOff, damagedStream, type Job } from './errors.ts';
import { type Input, pieceBytes } from './input.ts';

/** The largest block, 900 000 symbols of 20 bits, and the description of its codes: a block is decoded without waiting. */
const blockBytes = (9 * blockUnit * 20) / 8 + pieceBytes;
const blockSignature = '314159265359';
const endSignature = '177245385090';

export async function* bunzip2(input: Input, job: Job): AsyncGenerator<Uint8Array, void, undefined> {
  const bits = new BitReader();
  const block = new Bzip2Block();
  let isComplete = false;
  let given = 0;
  const fill = async () => {
    while (!isComplete && bits.available < blockBytes) {
      const piece = await input.next(pieceBytes);
      if (piece === undefined) isComplete = true;
      else bits.append(piece);
    }
  };
  try {
    await fill();
    do {
      const maxLength = readHeader(bits);
      let combined = 0;
      for (;;) {
        await fill();
        const signature = hex(bits) + hex(bits);
        if (signature === endSignature) break;
        if (signature !== blockSignature) throw new BrokenBlock('there is something other than a block');
        block.decode(bits, maxLength);
        for (const chunk of bytesOf(block)) {
          given += chunk.length;
          // By the exact position, because much of the input was read ahead.
          checkSize(job, given, bits.offset);
          yield chunk;
        }
        combined = (combined << 1) ^ (combined >>> 31) ^ block.checksum;
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

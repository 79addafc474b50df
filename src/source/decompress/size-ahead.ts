/**
 * The length of the data in a compressed file, as the file states it, before it is decompressed: by the index at the end of an xz
 * file, and by the header of a zstd frame.
 *
 * Guarantees: a few short requests at most, of which none is repeated; a failure, or a file that does not state it, is no length.
 *
 * Caveat: a zstd file may have another frame behind the first one, so the length is a statement that has to be compared with the data.
 * gzip states the length of its last member only, modulo 4 GiB, and bzip2 none.
 */
import { crc32 } from 'node:zlib';
import { OperatorError } from '../../lib/errors.ts';
import type { RangeReader } from '../source.ts';
import type { Compression } from './magic.ts';
import { Fields } from './xz-structure.ts';
import { frameContentSize, longestFrameHeader } from './zstd-frames.ts';

/** Smaller files are stored in one piece by every store. */
const leastFile = 2 * 2 ** 20;
const footerBytes = 12;
const headerBytes = 12;
/** Some 100 000 blocks. */
const longestIndex = 2 ** 20;
const mostStreams = 16;

export async function sizeAhead(
  compression: Compression,
  ranges: RangeReader | undefined,
  fileBytes: number | undefined,
): Promise<number | undefined> {
  if (ranges === undefined || fileBytes === undefined || fileBytes < leastFile) return undefined;
  const read = async (from: number, to: number): Promise<Buffer> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of ranges.read(from, to, { tries: 'once' })) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  try {
    if (compression === 'zstd') return frameContentSize(await read(0, longestFrameHeader));
    return compression === 'xz' ? await sizeOfXz(read, fileBytes) : undefined;
  } catch (error) {
    if (error instanceof OperatorError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The sum of its streams, from the last one to the first. */
async function sizeOfXz(
  read: (from: number, to: number) => Promise<Buffer>,
  fileBytes: number,
): Promise<number | undefined> {
  let size = 0;
  let end = fileBytes;
  for (let streams = 0; end > 0; streams++) {
    if (streams === mostStreams || end < headerBytes + footerBytes) return undefined;
    const footer = await read(end - footerBytes, end);
    const indexBytes = (footer.readUInt32LE(4) + 1) * 4;
    if (footer.toString('latin1', 10) !== 'YZ' || indexBytes > Math.min(longestIndex, end - headerBytes - footerBytes))
      return undefined;
    const index = await read(end - footerBytes - indexBytes, end - footerBytes);
    if (crc32(index.subarray(0, -4)) !== index.readUInt32LE(index.length - 4)) return undefined;
    const stated = recordsOf(index);
    size += stated.uncompressed;
    end -= headerBytes + stated.compressed + indexBytes + footerBytes;
  }
  return end === 0 && Number.isSafeInteger(size) ? size : undefined;
}

/** Of all blocks that the index lists. Throws a RangeError if it is malformed. */
function recordsOf(index: Buffer): { compressed: number; uncompressed: number } {
  const fields = new Fields(index.subarray(0, -4), 1, () => new RangeError('the index is malformed'));
  let compressed = 0;
  let uncompressed = 0;
  for (let left = fields.number(); left > 0; left--) {
    compressed += Math.ceil(fields.number() / 4) * 4;
    uncompressed += fields.number();
  }
  return { compressed, uncompressed };
}

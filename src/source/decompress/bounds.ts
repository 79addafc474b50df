/**
 * Limits on decompressed data.
 *
 * Guarantees: no memory is allocated and no data produced before it is known to be within the limits; the result depends on the
 * file, not on how its bytes arrive.
 */
import { formatBytes } from '../../lib/bytes.ts';
import { BudgetExceeded } from '../../lib/memory-budget.ts';
import { bomb, busy, type Job } from './errors.ts';

/**
 * The ratio alone does not reject a file before it has grown by this much. Disk images contain long runs of zeros, which
 * compress 1 000 times (gzip) to 100 000 times (bzip2) and are no bombs. So `n` bytes may become `headStart + maxRatio × n`: any
 * run of up to 256 MiB is accepted anywhere, small files always are, and a bomb of a few KiB can produce no more than a plain file
 * of that size. Unlike a quotient, the sum grows with each byte, so a file within it stays within it when less compressible data
 * follows.
 */
export const headStart = 256 * 2 ** 20;

/** Throws CompressionBomb if `taken` compressed bytes may not become `given` bytes. */
export function checkSize(job: Job, given: number, taken: number): void {
  const { maxBytes, maxRatio } = job.limits;
  if (given > maxBytes) throw bomb(job, `holds more than ${formatBytes(maxBytes)}, the limit for an image`);
  if (given <= headStart + maxRatio * taken) return;
  const limit = `${maxRatio} times its size and ${formatBytes(headStart)}`;
  throw bomb(job, `grows from ${formatBytes(taken)} to ${formatBytes(given)}; the limit is ${limit}`);
}

/** Memory of a decoder: a part that it always needs, and a multiple of its dictionary, as measured. */
const memoryOf: Record<Job['compression'], { bytes: number; perDictionaryByte: number }> = {
  gzip: { bytes: 2 ** 20, perDictionaryByte: 0 },
  zip: { bytes: 2 ** 20, perDictionaryByte: 0 },
  bzip2: { bytes: 8 * 2 ** 20, perDictionaryByte: 0 },
  xz: { bytes: 4 * 2 ** 20, perDictionaryByte: 2.7 },
  zstd: { bytes: 2 ** 20, perDictionaryByte: 1.2 },
};

/** Of a decoder with this dictionary. */
export function bytesOfDecoder(compression: Job['compression'], dictionary: number): number {
  const { bytes, perDictionaryByte } = memoryOf[compression];
  return bytes + perDictionaryByte * dictionary;
}

/**
 * All memory of decoders, which no single one may exceed: `xz -9` or `zstd --long`, or several of smaller windows. A container of
 * 512 MiB has room for it.
 */
export const decoderBytes = 180 * 2 ** 20;

/** Resolves when the decoder may use the memory that is known to be needed so far. */
export async function memoryGranted(job: Job): Promise<void> {
  try {
    await job.memory?.granted();
  } catch (error) {
    throw error instanceof BudgetExceeded ? busy(job, error) : error;
  }
}

/** Asks for the memory of a decoder with this dictionary. Throws CompressionBomb if it must not keep so much. */
export function checkDictionary(job: Job, bytes: number): void {
  const { bytes: always, perDictionaryByte } = memoryOf[job.compression];
  job.memory?.want(Math.ceil(bytesOfDecoder(job.compression, bytes)));
  const most = Math.min(job.limits.maxDictionaryBytes, (decoderBytes - always) / perDictionaryByte);
  if (bytes > most)
    throw bomb(
      job,
      `needs ${formatBytes(bytes)} of memory to be decompressed; the limit is ${formatBytes(most)}: ` +
        'have it compressed with a smaller window, at most that of zstd --long or xz -9',
    );
}

/** Frames, blocks and streams that a file may have whatever its length. */
const freeParts = 10_000;
/** A decoder starts again with each part, which takes as long as some KiB of data. So many bytes of the file, or of its output, permit one. */
const servedPerPart = 1024;
const deliveredPerPart = 4096;

/** Throws CompressionBomb if `parts` parts are too many for `taken` compressed bytes that become `given` bytes. */
export function checkParts(job: Job, parts: number, taken: number, given: number): void {
  if (parts <= freeParts + taken / servedPerPart + given / deliveredPerPart) return;
  throw bomb(job, `consists of ${parts} parts with next to no data: have it compressed as one stream`);
}

/**
 * What a compressed file may grow to. Law: nothing that a few bytes on the wire ask for is done before it is known to be
 * within the limits, and a file is judged by what it is, not by how its bytes came in.
 */
import { formatBytes } from '../../lib/bytes.ts';
import { bomb, type Job } from './errors.ts';

/**
 * No file is judged by its ratio alone before it has grown by this much. Disk images begin with, and have in the middle, long
 * stretches of zeros, which shrink 1 000 times (gzip) to 100 000 times (bzip2) without being bombs. So `n` bytes may become
 * `headStart + maxRatio × n`: any such stretch of up to 256 MiB passes wherever it lies, small files always do, and what a
 * bomb of a few KiB can make us write stays as harmless as a plain file of that size. The sum grows with each byte that
 * comes, unlike a quotient, so a file that was within it stays so when less compressible data follows.
 */
const headStart = 256 * 2 ** 20;

/** Throws CompressionBomb if `taken` compressed bytes may not become `given` bytes. */
export function checkSize(job: Job, given: number, taken: number): void {
  const { maxBytes, maxRatio } = job.limits;
  if (given > maxBytes) throw bomb(job, `holds more than ${formatBytes(maxBytes)}, the limit for an image`);
  if (given <= headStart + maxRatio * taken) return;
  const limit = `${maxRatio} times its size and ${formatBytes(headStart)}`;
  throw bomb(job, `grows from ${formatBytes(taken)} to ${formatBytes(given)}; the limit is ${limit}`);
}

/** Throws CompressionBomb if a decoder may not remember `bytes`. */
export function checkDictionary(job: Job, bytes: number): void {
  const { maxDictionaryBytes } = job.limits;
  if (bytes > maxDictionaryBytes)
    throw bomb(
      job,
      `needs ${formatBytes(bytes)} of memory to be decompressed; the limit is ${formatBytes(maxDictionaryBytes)}`,
    );
}

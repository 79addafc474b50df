/** Converts a file in memory, and counts what it requests. */
import { type ConvertOptions, convertToRaw } from '../../../src/source/convert/index.ts';
import type { RangeReader } from '../../../src/source/source.ts';
import { contentOf, pieces } from '../../env/content.ts';

export interface Requested extends RangeReader {
  /** Each range that was requested after the file was read. */
  readonly ranges: readonly { from: number; to: number }[];
  /** Bytes that were read of them. */
  readonly bytes: () => number;
}

export function rangesOf(file: Buffer, chunkBytes = 10_000): Requested {
  const ranges: { from: number; to: number }[] = [];
  let bytes = 0;
  return {
    ranges,
    bytes: () => bytes,
    size: () => file.length,
    async *read(from, to) {
      if (to > 1) ranges.push({ from, to });
      for (const piece of pieces(contentOf(file), from, to, chunkBytes)) {
        bytes += piece.length;
        yield piece;
      }
    },
  };
}

export const limits = { maxBytes: 2 ** 40, maxVirtualBytes: 2 ** 43, maxRatio: 1100 };

export async function convert(
  file: Buffer,
  options: Partial<ConvertOptions> & { chunkBytes?: number } = {},
): Promise<Buffer> {
  const { chunkBytes = 10_000, ...rest } = options;
  const { body, size } = convertToRaw(fileBody(file, chunkBytes), {
    url: 'https://example.com/disk.qcow2',
    ranges: rangesOf(file, chunkBytes),
    limits,
    minDiskGiB: 0,
    onPassed: () => {},
    onBytes: () => {},
    ...rest,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const disk = Buffer.concat(chunks);
  if (disk.length !== size()) throw new Error(`the disk has ${disk.length} bytes, announced were ${size()}`);
  return disk;
}

async function* fileBody(file: Buffer, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  yield* pieces(contentOf(file), 0, file.length, chunkBytes);
}

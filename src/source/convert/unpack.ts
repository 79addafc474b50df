/**
 * Decompresses one cluster of a qcow2 image. Invariant: the result is exactly a cluster, or nothing; memory is bounded by the
 * cluster, whatever its data says.
 */
import { inflateRawSync, constants as zlib, zstdDecompressSync } from 'node:zlib';
import { describe } from '../../lib/errors.ts';
import type { Layout } from './layout.ts';

export type UnpackedCluster = { kind: 'cluster'; bytes: Buffer } | { kind: 'damaged'; why: string };

/** A window need not be larger than a cluster, which has at most 2 MiB. */
const longestWindowLog = 23;
const cutOff = 'it is cut off';

/** The data ends anywhere in `data`: its last sector may hold other data behind it. */
export function unpackCluster(data: Buffer, { clusterBytes, compression }: Layout): UnpackedCluster {
  const maxOutputLength = clusterBytes;
  try {
    const bytes =
      compression === 'deflate'
        ? inflateRawSync(data, { maxOutputLength, chunkSize: maxOutputLength })
        : unzstdFrame(data, maxOutputLength);
    return bytes.length === maxOutputLength
      ? { kind: 'cluster', bytes }
      : { kind: 'damaged', why: `it has ${bytes.length} bytes, not ${maxOutputLength}` };
  } catch (error) {
    return { kind: 'damaged', why: describe(error) };
  }
}

/** node:zlib takes what follows for another frame, so it gets no more than the first one. */
function unzstdFrame(data: Buffer, maxOutputLength: number): Buffer {
  const params = { [zlib.ZSTD_d_windowLogMax]: longestWindowLog };
  return zstdDecompressSync(data.subarray(0, frameEnd(data)), { maxOutputLength, params });
}

/** Where the first frame ends (RFC 8878, section 3.1.1). Throws if it does not. */
function frameEnd(data: Buffer): number {
  if (data.length < 5) throw new RangeError(cutOff);
  const descriptor = data.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const size = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  let at = 5 + (isSingleSegment ? 0 : 1) + dictionary + size;
  for (let isLast = false; !isLast; ) {
    if (at + 3 > data.length) throw new RangeError(cutOff);
    const header = data.readUIntLE(at, 3);
    isLast = (header & 1) !== 0;
    at += 3 + (((header >>> 1) & 3) === 1 ? 1 : header >>> 3);
  }
  return at + ((descriptor & 0x04) === 0 ? 0 : 4);
}

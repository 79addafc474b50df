/**
 * The header of a qcow2 image that is converted.
 *
 * Guarantees: an image is accepted only if everything that its disk consists of is in the file itself and can be read here; no
 * number of a header is used before it is within bounds. Reference counts, snapshots and bitmaps are not read.
 */
import { inspectQcow2 } from '../inspect/qcow2.ts';
import * as read from '../inspect/reader.ts';
import { createReader } from '../inspect/reader.ts';
import { sniff } from '../inspect/sniff.ts';
import type { ConversionErrors } from './errors.ts';

export interface Layout {
  /** Bytes of the disk. */
  size: number;
  clusterBits: number;
  clusterBytes: number;
  /** Offset of the first table, and its number of entries. */
  table: { at: number; entries: number };
  /** Version 2 has no clusters of zeros. */
  hasZeroClusters: boolean;
  /** Each cluster has 32 subclusters, and an entry of two words. */
  hasSubclusters: boolean;
  compression: 'deflate' | 'zstd';
}

export interface Head {
  /** Throws as soon as the file is known not to be an image that can be converted. */
  update(chunk: Uint8Array): void;
  /** Call it at the end of the file. */
  finish(): Layout;
}

const headerBytes = 112;
const features = { compression: 1n << 3n, subclusters: 1n << 4n };
const leastBitsOfSubclusters = 14;
export const sectorBytes = 512;

export interface HeadOptions {
  errors: ConversionErrors;
  /** Of the file. */
  fileBytes: number;
  /** Throws if the disk must not be so large. */
  checkSize: (diskBytes: number) => void;
}

export function readHead({ errors, fileBytes, checkSize }: HeadOptions): Head {
  const first = createReader(sniff());
  const format = createReader(inspectQcow2('convert'));
  const header = createReader(read.bytes(0, headerBytes));
  let length = 0;
  let layout: Layout | undefined;

  function evaluate(): void {
    if (first.result === undefined || header.result === undefined || layout !== undefined) return;
    const { page, compression } = first.result;
    if (page !== undefined) throw errors.page(page);
    if (compression !== undefined) throw errors.needsRanges(`it is a file compressed with ${compression}`);
    if (!format.recognised) throw errors.otherFormat();
    if (format.size !== undefined) checkSize(format.size.disk);
    const { result } = format;
    if (result === undefined) return;
    if (result.kind === 'unsafe') throw errors.unsafe(result.how);
    if (result.kind === 'damaged') throw errors.damaged(result.how);
    layout = parse(header.result, fileBytes, errors);
  }

  return {
    update(chunk) {
      if (layout !== undefined) return;
      for (const reader of [first, format, header]) reader.update(chunk, length);
      length += chunk.length;
      evaluate();
    },
    finish() {
      if (layout !== undefined) return layout;
      for (const reader of [first, format, header]) reader.finish(length);
      evaluate();
      if (layout === undefined) throw errors.damaged('is cut off in its header');
      return layout;
    },
  };
}

function parse(header: Buffer, fileBytes: number, errors: ConversionErrors): Layout {
  if (header.length < headerBytes) throw errors.damaged('is cut off in its header');
  const version = header.readUInt32BE(4);
  const clusterBits = header.readUInt32BE(20);
  // At most 21 bits, which the inspection has checked.
  const clusterBytes = 1 << clusterBits;
  const size = Number(header.readBigUInt64BE(24));
  const needs = version === 2 ? 0n : header.readBigUInt64BE(72);
  if (header.readUInt32BE(32) !== 0)
    throw errors.damaged('is encrypted, and can be read only with its key (qemu-img convert writes a plain image)');
  if (size === 0) throw errors.damaged('has a disk of no bytes');
  if (size % sectorBytes !== 0) throw errors.damaged('has a disk that is no multiple of 512 bytes');
  const hasSubclusters = (needs & features.subclusters) !== 0n;
  if (hasSubclusters && clusterBits < leastBitsOfSubclusters)
    throw errors.damaged('has clusters that are too small for its subclusters');
  const compression = compressionOf(header, version, needs, errors);
  const perTable = clusterBytes / (hasSubclusters ? 16 : 8);
  const entries = Math.ceil(size / (clusterBytes * perTable));
  const at = Number(header.readBigUInt64BE(40));
  if (header.readUInt32BE(36) < entries) throw errors.damaged('has a first table that is too short for its disk');
  if (at % clusterBytes !== 0) throw errors.damaged('has its first table in an impossible place');
  if (at + 8 * entries > fileBytes) throw errors.damaged('is cut off in its first table');
  return {
    size,
    clusterBits,
    clusterBytes,
    table: { at, entries },
    hasZeroClusters: version > 2,
    hasSubclusters,
    compression,
  };
}

function compressionOf(
  header: Buffer,
  version: number,
  needs: bigint,
  errors: ConversionErrors,
): Layout['compression'] {
  const isNamed = (needs & features.compression) !== 0n;
  const type = version > 2 && header.readUInt32BE(100) > 104 ? header.readUInt8(104) : 0;
  if (isNamed !== (type !== 0)) throw errors.damaged('does not say clearly how its clusters are compressed');
  if (type > 1) throw errors.damaged(`has clusters that are compressed in a way that is not known (type ${type})`);
  return type === 1 ? 'zstd' : 'deflate';
}

/**
 * Makes a raw disk of a qcow2 image during a transfer, in two passes: the first one reads the file from its first byte to its last,
 * the second one reads its clusters in the order of the disk, by range requests.
 *
 * Guarantees: no byte of the disk is released before the whole file was accepted by the caller; every byte of the second pass is
 * compared with the first one; the disk is exactly as large as its header states; memory is bounded.
 *
 * Caveat: vmdk and vhdx are not converted.
 */
import type { MemoryShare } from '../../lib/memory-budget.ts';
import type { RangeReader } from '../source.ts';
import { BlockDigests, memoryOf, openSeenFile, type SeenFile } from './blocks.ts';
import { piecesOf } from './clusters.ts';
import { type ConversionErrors, conversionErrors } from './errors.ts';
import { type Layout, readHead } from './layout.ts';
import { unpackCluster } from './unpack.ts';

export interface ConvertOptions {
  url: string;
  /** Undefined where the source cannot be asked for parts of its file. */
  ranges: RangeReader | undefined;
  limits: { maxBytes: number; maxVirtualBytes: number; maxRatio: number };
  minDiskGiB: number;
  memory?: MemoryShare | undefined;
  /** The whole file has passed. Throws if it is not the declared one. */
  onPassed: () => void;
  /** So many bytes of the second pass have arrived. */
  onBytes: (bytes: number) => void;
}

export interface Converted {
  /** Can be read once. */
  readonly body: AsyncGenerator<Uint8Array, void, undefined>;
  /** Bytes of the disk, known with the first one of them. */
  size(): number | undefined;
}

/** As for compressed files: small disks that are mostly empty are allowed whatever their ratio. */
const headStart = 256 * 2 ** 20;
const zeros = Buffer.alloc(64 * 1024);
/** Smaller pieces are joined, because each one costs a step of every layer above. */
const leastPiece = 16 * 1024;
const joinedBytes = 64 * 1024;

export function convertToRaw(file: AsyncIterable<Uint8Array>, options: ConvertOptions): Converted {
  let size: number | undefined;
  async function* disk(): AsyncGenerator<Uint8Array, void, undefined> {
    const errors = conversionErrors(options.url);
    const { layout, digests, ranges, fileBytes } = await firstPass(file, options, errors);
    size = layout.size;
    const { memory, onBytes } = options;
    memory?.want(memoryOf(fileBytes));
    await memory?.granted();
    const seen = openSeenFile({ size: fileBytes, digests, ranges, errors, onBytes });
    try {
      yield* joined(bytesOf(layout, seen, errors));
    } finally {
      await seen.close();
      memory?.[Symbol.dispose]();
    }
  }
  return { body: disk(), size: () => size };
}

async function firstPass(file: AsyncIterable<Uint8Array>, options: ConvertOptions, errors: ConversionErrors) {
  const { ranges, limits, onPassed } = options;
  if (ranges === undefined) throw errors.needsRanges('its source sends whole files only');
  // Before the download, which may take hours.
  for await (const _ of ranges.read(0, 1));
  const fileBytes = ranges.size();
  if (fileBytes === undefined) throw errors.needsRanges('its server does not announce the length of the file');
  const head = readHead({ errors, fileBytes, checkSize });
  const digests = new BlockDigests(fileBytes);
  for await (const chunk of file) {
    head.update(chunk);
    digests.update(chunk);
  }
  const layout = head.finish();
  digests.finish();
  // A response with a part of the file stated another length. Bytes behind the end of the file would count as zeros.
  if (digests.bytes !== fileBytes) throw errors.changed(Math.min(digests.bytes, fileBytes));
  onPassed();
  return { layout, digests, ranges, fileBytes };

  function checkSize(diskBytes: number): void {
    const { maxBytes, maxVirtualBytes, maxRatio } = limits;
    const most = Math.min(maxBytes, maxVirtualBytes);
    if (diskBytes > most) throw errors.virtualSize(diskBytes, most);
    const { minDiskGiB } = options;
    if (minDiskGiB > 0 && diskBytes > minDiskGiB * 2 ** 30) throw errors.minDisk(diskBytes, minDiskGiB);
    if (diskBytes > headStart + maxRatio * (fileBytes ?? 0))
      throw errors.grows(fileBytes ?? 0, diskBytes, maxRatio, headStart);
  }
}

async function* bytesOf(
  layout: Layout,
  file: SeenFile,
  errors: ConversionErrors,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of piecesOf(layout, file, errors)) {
    switch (piece.kind) {
      case 'zeros':
        for (let left = piece.bytes; left > 0; left -= zeros.length) yield zeros.subarray(0, left);
        break;
      case 'data':
        yield* file.slices(piece.at, piece.bytes);
        break;
      case 'packed': {
        const cluster = unpackCluster(await file.bytes(piece.at, piece.length), layout);
        if (cluster.kind === 'damaged')
          throw errors.damaged(`has a damaged compressed cluster at byte ${piece.at} (${cluster.why})`);
        yield cluster.bytes.subarray(0, piece.bytes);
        break;
      }
    }
  }
}

async function* joined(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let small: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    if (bytes === 0 && piece.length >= leastPiece) {
      yield piece;
      continue;
    }
    small.push(piece);
    bytes += piece.length;
    if (bytes < joinedBytes) continue;
    yield Buffer.concat(small);
    small = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(small);
}

/**
 * A file of which every byte was seen once, and is read again in any order.
 *
 * Guarantees: no byte is returned unless its block has the digest of the first time; memory is a digest for each block, of which
 * there are at most 131 072, and a cache of a few blocks; the bytes that are requested are bounded by a multiple of the file.
 */
import { createHash, type Hash } from 'node:crypto';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { RangeReader } from '../source.ts';
import type { ConversionErrors } from './errors.ts';

const digestBytes = 32;
const mostBlocks = 2 ** 17;
const leastBlock = 64 * 1024;
const cacheBytes = 16 * 2 ** 20;
/** Blocks that are kept at least: one of a table, one of the data, and their neighbours. */
const leastCached = 4;

/** A power of two, so that blocks and clusters have common borders. */
export function blockSizeOf(fileBytes: number): number {
  let bytes = leastBlock;
  while (bytes * mostBlocks < fileBytes) bytes *= 2;
  return bytes;
}

/** What reading a file of this size again keeps in memory, at most. */
export function memoryOf(fileBytes: number): number {
  const block = blockSizeOf(fileBytes);
  return Math.max(cacheBytes, leastCached * block) + 2 * block + digestBytes * Math.ceil(fileBytes / block);
}

/** The digests of the blocks of a file, taken while it passes. */
export class BlockDigests {
  readonly blockBytes: number;
  readonly #digests: Buffer;
  #hash: Hash = createHash('sha256');
  #filled = 0;
  #count = 0;
  #bytes = 0;

  constructor(fileBytes: number) {
    this.blockBytes = blockSizeOf(fileBytes);
    this.#digests = Buffer.alloc(digestBytes * Math.ceil(fileBytes / this.blockBytes));
  }

  update(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + this.blockBytes - this.#filled);
      this.#hash.update(piece);
      at += piece.length;
      this.#filled += piece.length;
      if (this.#filled === this.blockBytes) this.#next();
    }
  }

  /** Call it once, at the end of the file. */
  finish(): void {
    if (this.#filled > 0) this.#next();
  }

  /** So many have passed. */
  get bytes(): number {
    return this.#bytes;
  }

  isBlock(index: number, bytes: Uint8Array): boolean {
    const digest = createHash('sha256').update(bytes).digest();
    return digest.equals(this.#digests.subarray(index * digestBytes, (index + 1) * digestBytes));
  }

  #next(): void {
    this.#hash.digest().copy(this.#digests, digestBytes * this.#count);
    this.#hash = createHash('sha256');
    this.#count++;
    this.#filled = 0;
  }
}

/** A request after a jump is short, because it may be about one table; each that continues the last one is twice as long. */
const firstRequest = 256 * 1024;
const longestRequest = 64 * 2 ** 20;
/** Bytes that are read over rather than requested around. */
const longestSkip = 2 ** 20;
/** How often the file may be read, and how many bytes any file may cost. A request costs at least `firstRequest`. */
const mostReads = 16;
const freeBytes = 64 * 2 ** 20;

export interface SeenFile {
  readonly size: number;
  /** The bytes from `at` on, whole. They must be in the file. */
  bytes(at: number, length: number): Promise<Buffer>;
  /** The same in pieces, without a copy. They must not be changed. */
  slices(at: number, length: number): AsyncGenerator<Uint8Array, void, undefined>;
  close(): Promise<void>;
}

export interface SeenFileOptions {
  size: number;
  digests: BlockDigests;
  ranges: RangeReader;
  errors: ConversionErrors;
  /** So many bytes have arrived. */
  onBytes: (bytes: number) => void;
}

export function openSeenFile({ size, digests, ranges, errors, onBytes }: SeenFileOptions): SeenFile {
  const { blockBytes } = digests;
  const count = Math.ceil(size / blockBytes);
  /** By index. */
  const cache = new BoundedMap<number, Buffer>(Math.max(leastCached, cacheBytes / blockBytes));
  let request: { next: number; end: number; chunks: AsyncGenerator<Uint8Array, void, undefined> } | undefined;
  let rest: Uint8Array = new Uint8Array(0);
  let length = firstRequest;
  let costs = 0;

  async function close(): Promise<void> {
    rest = rest.subarray(0, 0);
    await request?.chunks.return();
    request = undefined;
  }

  function pay(bytes: number): void {
    costs += bytes;
    if (costs > mostReads * size + freeBytes) throw errors.scattered(mostReads);
  }

  async function seek(index: number): Promise<NonNullable<typeof request>> {
    const skipped = request === undefined ? Number.POSITIVE_INFINITY : (index - request.next) * blockBytes;
    const isNear = skipped >= 0 && skipped <= longestSkip;
    if (request !== undefined && isNear && index < request.end) return request;
    length = isNear ? Math.min(2 * length, longestRequest) : firstRequest;
    await close();
    pay(firstRequest);
    const end = Math.min(count, index + Math.max(1, Math.floor(length / blockBytes)));
    request = { next: index, end, chunks: ranges.read(index * blockBytes, Math.min(size, end * blockBytes)) };
    return request;
  }

  async function readNext(from: NonNullable<typeof request>): Promise<Buffer> {
    const index = from.next++;
    const block = Buffer.allocUnsafeSlow(Math.min(blockBytes, size - index * blockBytes));
    for (let filled = 0; filled < block.length; ) {
      if (rest.length === 0) {
        const { done, value } = await from.chunks.next();
        if (done === true) throw errors.changed(index * blockBytes + filled);
        onBytes(value.length);
        rest = value;
      }
      const piece = rest.subarray(0, block.length - filled);
      block.set(piece, filled);
      filled += piece.length;
      rest = rest.subarray(piece.length);
    }
    pay(block.length);
    if (!digests.isBlock(index, block)) throw errors.changed(index * blockBytes);
    cache.set(index, block);
    return block;
  }

  async function blockAt(index: number): Promise<Buffer> {
    const cached = cache.get(index);
    if (cached !== undefined) {
      cache.set(index, cached);
      return cached;
    }
    const from = await seek(index);
    for (;;) {
      const isWanted = from.next === index;
      const block = await readNext(from);
      if (isWanted) return block;
    }
  }

  async function* slices(at: number, wanted: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let from = at; from < at + wanted; ) {
      const index = Math.floor(from / blockBytes);
      const block = await blockAt(index);
      const start = from - index * blockBytes;
      const piece = block.subarray(start, start + at + wanted - from);
      from += piece.length;
      yield piece;
    }
  }

  return {
    size,
    slices,
    async bytes(at, wanted) {
      const pieces: Uint8Array[] = [];
      for await (const piece of slices(at, wanted)) pieces.push(piece);
      return Buffer.concat(pieces);
    },
    close,
  };
}

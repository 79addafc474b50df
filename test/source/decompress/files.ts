/**
 * Compressed files to read back: from the command line tools, from node:zlib, and, for what no tool writes, built by hand.
 */
import { execFileSync } from 'node:child_process';
import { constants, crc32, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Compression } from '../../../src/source/decompress/index.ts';
import { generated } from '../../env/content.ts';

/** What a command line tool makes of `input`. All of them are installed with Debian's base or by its `xz-utils`, `zstd`. */
export function tool(command: string, input: Uint8Array): Buffer {
  const [name = '', ...args] = command.split(' ');
  return execFileSync(name, args, { input, maxBuffer: 2 ** 30, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Like a disk image: text, code-like repetitions, noise, zeros and short runs, so that each kind of symbol occurs. */
export function mixed(size: number, seed = 'mixed'): Buffer {
  const noise = generated(size, seed).slice(0, size);
  const data = Buffer.alloc(size);
  const words = ['kernel', 'systemd', ' = ', 'aaaa', 'aaaaa', '\n', '0x7f', 'the quick brown fox '];
  for (let at = 0, section = 0; at < size; section++) {
    const end = Math.min(size, at + 500 + (noise[section % size] ?? 0) * 16);
    if (section % 4 === 0) noise.copy(data, at, at, end);
    // Every second section of the others stays zero.
    else if (section % 2 === 1)
      for (let to = at; to < end; ) to += data.write(words[(noise[to] ?? 0) % words.length] ?? '', to, 'latin1') || 1;
    at = end;
  }
  return data;
}

export const compressors: Record<Compression, (data: Uint8Array) => Buffer> = {
  gzip: (data) => gzipSync(data),
  zstd: (data) => zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  xz: (data) => tool('xz -c -1', data),
  bzip2: (data) => tool('bzip2 -c', data),
};

export const compressions = ['gzip', 'zstd', 'xz', 'bzip2'] as const;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A frame of zstd that decoders skip. `kind` is 0 to 15. */
export function zstdSkippable(content: Uint8Array, kind = 0): Buffer {
  return Buffer.concat([u32(0x184d2a50 + kind), u32(content.length), content]);
}

export type ZstdBlock = { raw: Uint8Array } | { byte: number; times: number };

/** A frame of zstd without checksum. `window` is the header byte with the window size; the content size is absent. */
export function zstdFrame(blocks: readonly ZstdBlock[], window = 0x38): Buffer {
  const parts = blocks.map((block, index) => {
    const last = index === blocks.length - 1 ? 1 : 0;
    const [type, size, content] =
      'raw' in block ? [0, block.raw.length, block.raw] : [1, block.times, Buffer.of(block.byte)];
    return Buffer.concat([u32(last | (type << 1) | (size << 3)).subarray(0, 3), content]);
  });
  return Buffer.concat([u32(0xfd2fb528), Buffer.of(0x00, window), ...parts]);
}

export interface XzBlock {
  /** Stored as it is. At most 64 KiB. */
  data: Uint8Array;
  /** The byte of the header that stands for the size of the dictionary. */
  dictionary?: number;
  /** Instead of the filters that store: their number, and their fields. */
  filters?: { count: number; fields: Uint8Array };
  /** Instead of the sizes that are right, in the header. */
  sizes?: { compressed: number; uncompressed: number };
}

export interface XzOptions {
  /** Instead of the sum of the block, in the index. */
  records?: (records: [unpadded: number, uncompressed: number][]) => [number, number][];
  backwardSize?: number;
  /** The type of the check: none, which needs no computation. */
  check?: number;
  padding?: number;
}

/** A stream of xz without checks. */
export function xzStream(blocks: readonly XzBlock[], options: XzOptions = {}): Buffer {
  const { records = (right) => right, check = 0, padding = 0 } = options;
  const flags = Buffer.of(0, check);
  const sums: [number, number][] = [];
  const parts = [Buffer.from('\xfd7zXZ\0', 'latin1'), flags, u32(crc32(flags))];
  for (const { data, dictionary = 0, filters, sizes } of blocks) {
    const chunk = data.length === 0 ? [] : [Buffer.of(1, (data.length - 1) >> 8, (data.length - 1) & 0xff), data];
    const compressed = Buffer.concat([...chunk, Buffer.of(0)]);
    const header = xzBlockHeader(filters ?? { count: 1, fields: Buffer.of(0x21, 1, dictionary) }, sizes);
    parts.push(header, compressed, Buffer.alloc(-compressed.length & 3, padding));
    sums.push([header.length + compressed.length, data.length]);
  }
  const listed = records(sums);
  const index = Buffer.concat([Buffer.of(0), vli(listed.length), ...listed.flat().map(vli)]);
  const padded = Buffer.concat([index, Buffer.alloc(-index.length & 3, padding)]);
  const footer = Buffer.concat([u32(options.backwardSize ?? padded.length / 4), flags]);
  return Buffer.concat([...parts, padded, u32(crc32(padded)), u32(crc32(footer)), footer, Buffer.from('YZ')]);
}

function xzBlockHeader(filters: { count: number; fields: Uint8Array }, sizes: XzBlock['sizes']): Buffer {
  const flags = (filters.count - 1) | (sizes === undefined ? 0 : 0xc0);
  const told = sizes === undefined ? [] : [vli(sizes.compressed), vli(sizes.uncompressed)];
  const fields = Buffer.concat([Buffer.of(flags), ...told, filters.fields]);
  const content = Buffer.alloc(Math.ceil((fields.length + 1) / 4) * 4);
  content[0] = content.length / 4;
  fields.copy(content, 1);
  return Buffer.concat([content, u32(crc32(content))]);
}

function vli(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

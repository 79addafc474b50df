/**
 * Writes qcow2 images in any layout, also in those that qemu-img never makes: tables and clusters lie in the file in any order.
 */
import { deflateRawSync, zstdCompressSync } from 'node:zlib';

export type Cluster = 'absent' | 'zeros' | 'data' | 'packed' | { stored: number; zeros: number };

export interface Qcow2 {
  version?: 2 | 3;
  clusterBits?: number;
  compression?: 'deflate' | 'zstd';
  hasSubclusters?: boolean;
  /** Those of the disk, in its order. */
  clusters: readonly Cluster[];
  /** Sectors that are missing of the last cluster of the disk. */
  missing?: number;
  /** Numbers by which the order in the file is mixed. Default: the order of the disk. */
  order?: readonly number[];
}

export interface Written {
  file: Buffer;
  /** The disk. */
  disk: Buffer;
  /** Where the tables are. */
  table: number;
  tables: readonly number[];
}

interface Unit {
  bytes: Buffer;
  at: number;
}

export function writeQcow2(options: Qcow2): Written {
  const { version = 3, clusterBits = 16, compression = 'deflate', hasSubclusters = false, clusters } = options;
  const clusterBytes = 2 ** clusterBits;
  const entryBytes = hasSubclusters ? 16 : 8;
  const perTable = clusterBytes / entryBytes;
  const units: Unit[] = [];
  const unit = (bytes: Buffer): Unit => {
    const made = { bytes, at: 0 };
    units.push(made);
    return made;
  };
  const first = unit(Buffer.alloc(8 * Math.ceil(clusters.length / perTable)));
  const tables = Array.from({ length: first.bytes.length / 8 }, (_, index) => {
    const covered = clusters.slice(index * perTable, (index + 1) * perTable);
    return covered.every((cluster) => cluster === 'absent') ? undefined : unit(Buffer.alloc(clusterBytes));
  });
  const placed = clusters.map((cluster, index) => place(cluster, index));

  function place(cluster: Cluster, index: number): Placed & { plain: Buffer } {
    const plain = contentOf(index, clusterBytes, cluster !== 'data');
    if (cluster === 'absent' || cluster === 'zeros') return { plain: Buffer.alloc(clusterBytes), where: undefined };
    if (cluster === 'packed') {
      const packed = compression === 'deflate' ? deflateRawSync(plain) : zstdCompressSync(plain);
      const before = index % 3;
      if (before + packed.length > clusterBytes) return { plain, where: unit(plain) };
      return { plain, where: unit(Buffer.concat([Buffer.alloc(before, 0xaa), packed])), before, packed };
    }
    if (cluster === 'data') return { plain, where: unit(plain) };
    const shown = Buffer.from(plain);
    for (let part = 0; part < 32; part++) {
      if (((cluster.stored >>> part) & 1) !== 0) continue;
      shown.fill(0, (part * clusterBytes) / 32, ((part + 1) * clusterBytes) / 32);
    }
    return { plain: shown, where: cluster.stored === 0 ? undefined : unit(plain) };
  }

  let end = clusterBytes;
  for (const each of mixed(units, options.order ?? [])) {
    each.at = end;
    end += Math.ceil(each.bytes.length / clusterBytes) * clusterBytes;
  }
  for (const [index, table] of tables.entries()) first.bytes.writeBigUInt64BE(BigInt(table?.at ?? 0), 8 * index);
  for (const [index, cluster] of clusters.entries()) {
    const table = tables[Math.floor(index / perTable)]?.bytes;
    const words = entryOf(cluster, placed[index], { clusterBits, hasSubclusters });
    for (const [word, value] of words.entries())
      table?.writeBigUInt64BE(value, (index % perTable) * entryBytes + 8 * word);
  }
  const disk = Buffer.concat(placed.map(({ plain }) => plain));
  const size = disk.length - 512 * (options.missing ?? 0);
  const file = Buffer.alloc(end);
  header({ version, clusterBits, compression, hasSubclusters, size, first }).copy(file);
  for (const { bytes, at } of units) bytes.copy(file, at);
  return { file, disk: disk.subarray(0, size), table: first.at, tables: tables.flatMap((table) => table?.at ?? []) };
}

interface Header {
  version: number;
  clusterBits: number;
  compression: 'deflate' | 'zstd';
  hasSubclusters: boolean;
  size: number;
  first: Unit;
}

function header({ version, clusterBits, compression, hasSubclusters, size, first }: Header): Buffer {
  const bytes = Buffer.alloc(112);
  bytes.write('QFI\xfb', 'latin1');
  bytes.writeUInt32BE(version, 4);
  bytes.writeUInt32BE(clusterBits, 20);
  bytes.writeBigUInt64BE(BigInt(size), 24);
  bytes.writeUInt32BE(first.bytes.length / 8, 36);
  bytes.writeBigUInt64BE(BigInt(first.at), 40);
  if (version === 2) return bytes;
  bytes.writeBigUInt64BE((compression === 'zstd' ? 8n : 0n) | (hasSubclusters ? 16n : 0n), 72);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(112, 100);
  bytes.writeUInt8(compression === 'zstd' ? 1 : 0, 104);
  return bytes;
}

interface Placed {
  where: Unit | undefined;
  /** What is before the compressed data in its unit, and the data. */
  before?: number;
  packed?: Buffer;
}

function entryOf(
  cluster: Cluster,
  { where, before = 0, packed }: Placed = { where: undefined },
  { clusterBits, hasSubclusters }: Pick<Header, 'clusterBits' | 'hasSubclusters'>,
): bigint[] {
  const at = where?.at ?? 0;
  if (packed !== undefined)
    return [packedEntry(at + before, packed.length, clusterBits), ...(hasSubclusters ? [0n] : [])];
  if (!hasSubclusters) return [BigInt(at) | (cluster === 'zeros' ? 1n : 0n)];
  const all = 0xffff_ffff;
  const stored = typeof cluster === 'object' ? cluster.stored : where === undefined ? 0 : all;
  const zeros = typeof cluster === 'object' ? cluster.zeros : cluster === 'zeros' ? all : 0;
  return [BigInt(at), (BigInt(zeros >>> 0) << 32n) | BigInt(stored >>> 0)];
}

function packedEntry(at: number, length: number, clusterBits: number): bigint {
  const sectors = Math.ceil(((at % 512) + length) / 512) - 1;
  return (1n << 62n) | (BigInt(sectors) << BigInt(70 - clusterBits)) | BigInt(at);
}

/** Bytes that differ for each cluster; `simple` ones can be compressed. */
function contentOf(index: number, length: number, simple: boolean): Buffer {
  const bytes = Buffer.alloc(length, `cluster ${index} `);
  if (simple) return bytes;
  for (let at = 0, state = index + 1; at + 4 <= length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
}

function mixed<T>(items: readonly T[], order: readonly number[]): T[] {
  const keyed = items.map((item, index) => ({
    item,
    key: order.length === 0 ? index : (order[index % order.length] ?? 0),
  }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

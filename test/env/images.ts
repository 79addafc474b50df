/**
 * Small disk images that real tools accept, made by the specifications of their formats.
 *
 * Invariant: equal arguments give equal bytes.
 */
import { crc32 } from 'node:zlib';
import { generated } from './content.ts';

const mib = 1024 ** 2;

export interface Qcow2Options {
  /** The name of a backing file, which makes the image unsafe. */
  backingFile?: string;
  /** The name of an external data file, which makes the image unsafe. */
  dataFile?: string;
  /** How many clusters of 64 KiB hold data; it makes the file larger. Default 0, at most 8192. */
  dataClusters?: number;
  seed?: string;
}

/** A qcow2 image, version 3, of `virtualSize` bytes: header, refcounts, L1 table, and data in its first clusters. */
export function qcow2(virtualSize: number, options: Qcow2Options = {}): Buffer {
  const { backingFile = '', dataFile = '', dataClusters = 0, seed = 'qcow2' } = options;
  const clusterBits = 16;
  const cluster = 1 << clusterBits;
  const l2Entries = cluster / 8;
  const l1Size = Math.max(1, Math.ceil(virtualSize / (cluster * l2Entries)));
  const l1Clusters = Math.ceil((l1Size * 8) / cluster);
  const refcountTable = 1;
  const refcountBlock = 2;
  const l1Table = 3;
  const l2Table = l1Table + l1Clusters;
  const firstData = l2Table + 1;
  const clusters = dataClusters === 0 ? l2Table : firstData + dataClusters;
  const image = Buffer.alloc(clusters * cluster);

  const headerLength = 104;
  image.write('QFI\xfb', 0, 'latin1');
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(clusterBits, 20);
  image.writeBigUInt64BE(BigInt(virtualSize), 24);
  image.writeUInt32BE(l1Size, 36);
  image.writeBigUInt64BE(BigInt(l1Table * cluster), 40);
  image.writeBigUInt64BE(BigInt(refcountTable * cluster), 48);
  image.writeUInt32BE(1, 56);
  // Incompatible feature bit 2: the guest's data lies in another file.
  if (dataFile !== '') image.writeBigUInt64BE(1n << 2n, 72);
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(headerLength, 100);
  let at = headerLength;
  if (dataFile !== '') {
    image.writeUInt32BE(0x44415441, at);
    image.writeUInt32BE(dataFile.length, at + 4);
    image.write(dataFile, at + 8, 'latin1');
    at += 8 + Math.ceil(dataFile.length / 8) * 8;
  }
  // A header extension of type 0 ends their list.
  at += 8;
  if (backingFile !== '') {
    image.writeBigUInt64BE(BigInt(at), 8);
    image.writeUInt32BE(backingFile.length, 16);
    image.write(backingFile, at, 'latin1');
  }

  image.writeBigUInt64BE(BigInt(refcountBlock * cluster), refcountTable * cluster);
  for (let used = 0; used < clusters; used++) image.writeUInt16BE(1, refcountBlock * cluster + used * 2);
  if (dataClusters > 0) {
    // Bit 63: exactly one reference, so it may be written in place.
    const owned = 1n << 63n;
    image.writeBigUInt64BE(BigInt(l2Table * cluster) | owned, l1Table * cluster);
    for (let index = 0; index < dataClusters; index++) {
      image.writeBigUInt64BE(BigInt((firstData + index) * cluster) | owned, l2Table * cluster + index * 8);
    }
    generated(dataClusters * cluster, seed)
      .slice(0, dataClusters * cluster)
      .copy(image, firstData * cluster);
  }
  return image;
}

/** `size` bytes that are no format but raw. The first bytes are zero, so that chance makes no magic number of them. */
export function raw(size: number, seed = 'raw'): Buffer {
  const image = Buffer.from(generated(size, seed).slice(0, size));
  image.fill(0, 0, Math.min(size, 4096));
  return image;
}

/** A raw disk with a master boot record and one Linux partition. */
export function mbr(size = 2 * mib): Buffer {
  const image = Buffer.alloc(size);
  writePartition(image, { type: 0x83, start: 2048, sectors: size / 512 - 2048 });
  return image;
}

/** A raw disk with a GUID partition table: protective MBR, primary and backup header, one Linux partition. */
export function gpt(size = 4 * mib): Buffer {
  const image = Buffer.alloc(size);
  const sectors = size / 512;
  writePartition(image, { type: 0xee, start: 1, sectors: sectors - 1 });
  const entries = Buffer.alloc(128 * 128);
  // The type: Linux filesystem data, 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
  Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex').copy(entries, 0);
  Buffer.from('00112233445566778899aabbccddeeff', 'hex').copy(entries, 16);
  entries.writeBigUInt64LE(2048n, 32);
  entries.writeBigUInt64LE(BigInt(sectors - 34), 40);
  entries.write('root', 56, 'utf16le');
  const header = (own: number, other: number, table: number): Buffer => {
    const bytes = Buffer.alloc(512);
    bytes.write('EFI PART', 0, 'latin1');
    bytes.writeUInt32LE(0x00010000, 8);
    bytes.writeUInt32LE(92, 12);
    bytes.writeBigUInt64LE(BigInt(own), 24);
    bytes.writeBigUInt64LE(BigInt(other), 32);
    bytes.writeBigUInt64LE(34n, 40);
    bytes.writeBigUInt64LE(BigInt(sectors - 34), 48);
    Buffer.from('ffeeddccbbaa99887766554433221100', 'hex').copy(bytes, 56);
    bytes.writeBigUInt64LE(BigInt(table), 72);
    bytes.writeUInt32LE(128, 80);
    bytes.writeUInt32LE(128, 84);
    bytes.writeUInt32LE(crc32(entries), 88);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 92)), 16);
    return bytes;
  };
  const last = sectors - 1;
  header(1, last, 2).copy(image, 512);
  entries.copy(image, 2 * 512);
  entries.copy(image, (last - 32) * 512);
  header(last, 1, last - 32).copy(image, last * 512);
  return image;
}

function writePartition(image: Buffer, entry: { type: number; start: number; sectors: number }): void {
  const at = 446;
  image.writeUInt8(entry.type === 0xee ? 0 : 0x80, at);
  image.writeUInt8(2, at + 2);
  image.writeUInt8(entry.type, at + 4);
  image.fill(0xff, at + 5, at + 8);
  image.writeUInt32LE(entry.start, at + 8);
  image.writeUInt32LE(entry.sectors, at + 12);
  image.writeUInt16LE(0xaa55, 510);
}

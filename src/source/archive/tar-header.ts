/**
 * The headers of a tar archive: v7, ustar, GNU and pax (POSIX.1-2024, pax; GNU tar manual, "Basic Tar Format").
 *
 * Guarantees: a field has one meaning or is rejected, because programs that read the same header differently are how one archive
 * becomes two (CVE-2025-62518).
 */
import { type ArchiveJob, damagedArchive, rejectedArchive } from './errors.ts';

export const blockBytes = 512;

export interface TarHeader {
  /** As the header itself has it. */
  name: Buffer;
  size: number;
  type: string;
  format: 'posix' | 'gnu' | 'other';
}

/** The largest size that the field has room for in octal digits. */
const mostOctal = 8 ** 11 - 1;

/** `at`: the byte of the archive where the block begins. */
export function parseHeader(block: Buffer, job: ArchiveJob, at: number): TarHeader {
  const stated = octal(block.subarray(148, 156));
  if (stated === undefined || stated !== checksum(block))
    throw damagedArchive(job, 'has a header with a wrong checksum', at);
  const size = sizeIn(block.subarray(124, 136));
  if (size === undefined) throw damagedArchive(job, 'has a file whose size cannot be read', at);
  const format = formatOf(block);
  // Only POSIX has a prefix there. GNU has other fields.
  const prefix = format === 'posix' ? text(block.subarray(345, 500)) : Buffer.alloc(0);
  const name = text(block.subarray(0, 100));
  const type = String.fromCharCode(block[156] ?? 0);
  return { name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]), size, type, format };
}

function formatOf(block: Buffer): TarHeader['format'] {
  if (block.toString('latin1', 257, 263) === 'ustar\0') return 'posix';
  return block.toString('latin1', 257, 265) === 'ustar  \0' ? 'gnu' : 'other';
}

/** `head`: the first block of a file, or all if there are fewer bytes. */
export function isTar(head: Uint8Array): boolean {
  const block = Buffer.from(head);
  if (block.toString('latin1', 257, 262) === 'ustar') return true;
  // The oldest format has no signature, but a checksum.
  const stated = octal(block.subarray(148, 156));
  return block.length >= blockBytes && stated !== undefined && stated === checksum(block.subarray(0, blockBytes));
}

export function isZero(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

function text(field: Buffer): Buffer {
  const end = field.indexOf(0);
  return end < 0 ? field : field.subarray(0, end);
}

function checksum(block: Buffer): number {
  let sum = 0;
  // The field of the sum itself counts as blanks.
  for (const [at, byte] of block.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  return sum;
}

function octal(field: Buffer): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(field.toString('latin1'))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

/** In octal digits, or in binary after a byte 0x80, from 8 GiB on. A negative size begins with 0xff. */
export function sizeIn(field: Buffer): number | undefined {
  if (field[0] !== 0x80) return field.every((byte) => byte === 0) ? 0 : octal(field);
  if (field.subarray(1, 4).some((byte) => byte !== 0)) return undefined;
  const size = field.readBigUInt64BE(4);
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : undefined;
}

/** The fields of an extended header, which is about the next file. */
export interface Extension {
  name?: Buffer;
  size?: number;
  /** With its holes, of a file that is packed with them. */
  realSize?: number;
}

/** Keywords that change what a file is. The others are about times, owners and attributes. */
const sparse = /^(?:GNU\.sparse\.|SCHILY\.realsize$)/;
/** Of the only version that is read. In others the map of the file is in its pax header. */
const sparseVersion: Readonly<Record<string, string>> = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' };

/** The records of a pax header: `<length> <keyword>=<value>\n`. */
export function parsePax(data: Buffer, job: ArchiveJob, at: number): Extension {
  const found: Extension = {};
  const sparseFields = new Map<string, Buffer>();
  for (let from = 0; from < data.length; ) {
    const record = recordAt(data, from);
    if (record === undefined) throw damagedArchive(job, 'has an unreadable pax header', at);
    const { keyword, value, end } = record;
    if (sparse.test(keyword)) {
      if (sparseFields.has(keyword)) throw sparseFile(job);
      sparseFields.set(keyword, value);
    }
    if (keyword === 'path') {
      if (found.name !== undefined || value.includes(0))
        throw damagedArchive(job, 'has a pax header with two names for one file', at);
      found.name = value;
    }
    if (keyword === 'size') {
      const digits = value.toString('latin1');
      const size = /^[0-9]{1,16}$/.test(digits) ? Number(digits) : undefined;
      if (found.size !== undefined || size === undefined || size > Number.MAX_SAFE_INTEGER)
        throw damagedArchive(job, 'has a pax header with a size that cannot be read', at);
      found.size = size;
    }
    from = end;
  }
  return sparseFields.size === 0 ? found : { ...found, ...sparseIn(sparseFields, job) };
}

/** The name of the header and of `path` is that of a file in which other programs put the data with its map. */
function sparseIn(fields: ReadonlyMap<string, Buffer>, job: ArchiveJob): Extension {
  const name = fields.get('GNU.sparse.name');
  const size = fields.get('GNU.sparse.realsize')?.toString('latin1') ?? '';
  const isKnown = Object.entries(sparseVersion).every(([key, value]) => fields.get(key)?.toString('latin1') === value);
  const realSize = /^[0-9]{1,16}$/.test(size) ? Number(size) : undefined;
  if (!isKnown || fields.size !== 4 || name === undefined || name.includes(0)) throw sparseFile(job);
  if (realSize === undefined || realSize > Number.MAX_SAFE_INTEGER) throw sparseFile(job);
  return { name, realSize };
}

function recordAt(data: Buffer, from: number): { keyword: string; value: Buffer; end: number } | undefined {
  const blank = data.indexOf(0x20, from);
  if (blank < 0 || blank - from > 8) return undefined;
  const digits = data.toString('latin1', from, blank);
  const end = from + (/^[1-9][0-9]*$/.test(digits) ? Number(digits) : 0);
  const equals = data.indexOf(0x3d, blank);
  if (end > data.length || equals < 0 || equals >= end || data[end - 1] !== 0x0a) return undefined;
  return { keyword: data.toString('utf8', blank + 1, equals), value: data.subarray(equals + 1, end - 1), end };
}

/** The size of a file by its header and by the pax header before it. */
export function sizeOf(header: TarHeader, { size }: Extension, job: ArchiveJob, at: number): number {
  if (size === undefined || size === header.size) return header.size;
  // The header has no room for a larger one.
  if (size > mostOctal) return size;
  throw damagedArchive(job, `has a file with two sizes, ${header.size} and ${size}`, at);
}

export function sparseFile(job: ArchiveJob): Error {
  return rejectedArchive(
    job,
    'has a sparse file of a version that is not read',
    'have it packed by GNU tar with --format=gnu or --sparse-version=1.0, or without --sparse (-S), as the compression removes holes anyway',
  );
}

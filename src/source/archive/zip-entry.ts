/**
 * The headers of a zip archive in front of its files (APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.5).
 *
 * Guarantees: a header that programs could read in two ways is rejected.
 */
import { type ArchiveJob, damagedArchive, rejectedArchive } from './errors.ts';

export const signatures = {
  file: 0x04034b50,
  descriptor: 0x08074b50,
  directory: 0x02014b50,
  zip64End: 0x06064b50,
  zip64Locator: 0x07064b50,
  end: 0x06054b50,
} as const;

export const localBytes = 30;

export interface LocalHeader {
  method: 'stored' | 'deflated';
  /** The sizes and the sum follow the data. */
  hasDescriptor: boolean;
  crc: number;
  compressed: number;
  size: number;
  nameBytes: number;
  extraBytes: number;
}

const flag = { encrypted: 0x0001, descriptor: 0x0008, strong: 0x0040, masked: 0x2000 };
/** Levels of deflate, and the encoding of the name. */
const harmless = 0x0806;
const methods: Partial<Record<number, string>> = {
  1: 'shrink',
  6: 'implode',
  9: 'deflate64',
  12: 'bzip2',
  14: 'lzma',
  93: 'zstd',
  95: 'xz',
  99: 'AES',
};

/** Of the fixed part, without the signature check. */
export function parseLocal(fixed: Buffer, job: ArchiveJob, at: number): LocalHeader {
  const flags = fixed.readUInt16LE(6);
  if ((flags & (flag.encrypted | flag.strong | flag.masked)) !== 0)
    throw rejectedArchive(job, 'has an encrypted file', 'have the publisher pack it without a password');
  const hasDescriptor = (flags & flag.descriptor) !== 0;
  if ((flags & ~(harmless | flag.descriptor)) !== 0)
    throw damagedArchive(job, `has a file with the unknown flags 0x${flags.toString(16)}`, at);
  const number = fixed.readUInt16LE(8);
  if (number !== 0 && number !== 8)
    throw rejectedArchive(
      job,
      `has a file that is compressed with ${methods[number] ?? `method ${number}`}`,
      'have the publisher pack it with deflate, which is the default of zip',
    );
  const method = number === 0 ? 'stored' : 'deflated';
  if (hasDescriptor && method === 'stored')
    throw rejectedArchive(
      job,
      'has a file that is stored without its length in front, so its end cannot be found',
      'have the publisher compress it, or pack it from a file instead of a pipe',
    );
  return {
    method,
    hasDescriptor,
    crc: fixed.readUInt32LE(14),
    compressed: fixed.readUInt32LE(18),
    size: fixed.readUInt32LE(22),
    nameBytes: fixed.readUInt16LE(26),
    extraBytes: fixed.readUInt16LE(28),
  };
}

export const saturated = 0xffffffff;
const zip64ID = 0x0001;
const unicodePathID = 0x7075;

/** The fields of an extra field, by their IDs. Throws if one is there twice, or if they do not fill it. */
export function parseExtra(extra: Buffer, job: ArchiveJob, at: number): ReadonlyMap<number, Buffer> {
  const fields = new Map<number, Buffer>();
  for (let from = 0; from < extra.length; ) {
    // Padding, to align the data.
    if (extra.subarray(from).every((byte) => byte === 0)) break;
    const end = from + 4 <= extra.length ? from + 4 + extra.readUInt16LE(from + 2) : Number.POSITIVE_INFINITY;
    if (end > extra.length) throw damagedArchive(job, 'has an unreadable extra field', at);
    const id = extra.readUInt16LE(from);
    if (fields.has(id)) throw damagedArchive(job, 'has an extra field twice', at);
    fields.set(id, extra.subarray(from + 4, end));
    from = end;
  }
  return fields;
}

/** The values of 64 bits for those that are saturated in the header, in their order there. */
export function zip64Values(
  values: readonly number[],
  fields: ReadonlyMap<number, Buffer>,
  job: ArchiveJob,
  at: number,
): number[] {
  const field = fields.get(zip64ID);
  let from = 0;
  return values.map((value) => {
    if (value !== saturated) return value;
    if (field === undefined || from + 8 > field.length) throw damagedArchive(job, 'lacks a size of 64 bits', at);
    const large = field.readBigUInt64LE(from);
    from += 8;
    if (large > BigInt(Number.MAX_SAFE_INTEGER)) throw damagedArchive(job, 'has a size that cannot be true', at);
    return Number(large);
  });
}

/** A second name of the file, which some programs prefer, must be the same. */
export function checkUnicodePath(name: Buffer, fields: ReadonlyMap<number, Buffer>, job: ArchiveJob, at: number): void {
  const field = fields.get(unicodePathID);
  if (field !== undefined && !field.subarray(5).equals(name))
    throw damagedArchive(job, 'has a file with two names', at);
}

/**
 * Sparse files in a tar archive, as GNU tar packs them with --sparse: in its own format, as raw disks of Google's cloud are packed, and
 * in version 1.0 of pax (GNU tar manual, "Storing Sparse Files"). Holes become zeros.
 *
 * Guarantees: memory is constant, as the number of parts has a limit; parts are in order, inside of the file, and as long together as
 * the data in the archive; a file that grows like no disk is rejected before a byte of it is passed on.
 */
import { headStart } from '../decompress/bounds.ts';
import type { Input } from '../decompress/input.ts';
import { type ArchiveJob, cutOffArchive, damagedArchive, rejectedArchive } from './errors.ts';
import { blockBytes, isZero, sizeIn } from './tar-header.ts';

/** A disk of 100 GiB with a hole after each MiB has fewer. Each costs 16 bytes of memory. */
const mostParts = 131_072;
const digitsOfMost = 16;
const zeros = Buffer.alloc(64 * 1024);

export interface SparseFile {
  /** With its holes. */
  size: number;
  /** Of its data in the archive. */
  storedBytes: number;
  parts: readonly Part[];
}

interface Part {
  offset: number;
  length: number;
}

const [oldEntries, oldContinues, oldSize, nextContinues] = [386, 482, 483, 504] as const;
const entryBytes = 24;

/** Of an entry of the type S. Its map begins in the header, and goes on in blocks behind it. */
export async function readOldMap(
  header: Buffer,
  storedBytes: number,
  input: Input,
  job: ArchiveJob,
  at: number,
): Promise<SparseFile> {
  const size = sizeIn(header.subarray(oldSize, oldSize + 12));
  if (size === undefined) throw damagedMap(job, at);
  const parts = partsIn(header.subarray(oldEntries, oldContinues), job, at);
  let [isFull, continues] = [parts.length === 4, flagAt(header, oldContinues)];
  while (continues === true) {
    if (!isFull) throw damagedMap(job, at);
    const block = await input.take(blockBytes);
    if (block.length < blockBytes) throw cutOffArchive(job, input.taken);
    const more = partsIn(block.subarray(0, nextContinues), job, at);
    parts.push(...more);
    if (parts.length > mostParts) throw tooManyParts(job);
    [isFull, continues] = [more.length === 21, flagAt(block, nextContinues)];
  }
  if (continues === undefined) throw damagedMap(job, at);
  return checked({ size, storedBytes, parts }, job, at);
}

/** Of a file with `GNU.sparse.major=1`. Its map is in front of its data, in lines of decimal digits. */
export async function readPaxMap(
  size: number,
  bytes: number,
  input: Input,
  job: ArchiveJob,
  at: number,
): Promise<SparseFile> {
  const begin = input.taken;
  let text = '';
  const line = async (): Promise<number> => {
    for (;;) {
      const end = text.indexOf('\n');
      if (end > digitsOfMost || (end === -1 && text.length > digitsOfMost)) throw damagedMap(job, at);
      if (end !== -1) {
        const digits = text.slice(0, end);
        text = text.slice(end + 1);
        const value = /^(?:0|[1-9][0-9]*)$/.test(digits) ? Number(digits) : Number.NaN;
        if (!Number.isSafeInteger(value)) throw damagedMap(job, at);
        return value;
      }
      if (input.taken - begin + blockBytes > bytes) throw damagedMap(job, at);
      const block = await input.take(blockBytes);
      if (block.length < blockBytes) throw cutOffArchive(job, input.taken);
      text += block.toString('latin1');
    }
  };
  const count = await line();
  if (count > mostParts) throw tooManyParts(job);
  const parts: Part[] = [];
  for (let read = 0; read < count; read++) parts.push({ offset: await line(), length: await line() });
  if (!isZero(Buffer.from(text, 'latin1'))) throw damagedMap(job, at);
  return checked({ size, storedBytes: bytes - (input.taken - begin), parts }, job, at);
}

function partsIn(entries: Buffer, job: ArchiveJob, at: number): Part[] {
  const parts: Part[] = [];
  for (let from = 0; from < entries.length; from += entryBytes) {
    const entry = entries.subarray(from, from + entryBytes);
    // Nothing follows the first one that is not used.
    if (entry[12] === 0) {
      if (!isZero(entries.subarray(from))) throw damagedMap(job, at);
      break;
    }
    const [offset, length] = [sizeIn(entry.subarray(0, 12)), sizeIn(entry.subarray(12))];
    if (offset === undefined || length === undefined) throw damagedMap(job, at);
    parts.push({ offset, length });
  }
  return parts;
}

function flagAt(block: Buffer, at: number): boolean | undefined {
  return block[at] === 0 ? false : block[at] === 1 ? true : undefined;
}

function checked(file: SparseFile, job: ArchiveJob, at: number): SparseFile {
  const { size, storedBytes, parts } = file;
  let [end, sum] = [0, 0];
  for (const { offset, length } of parts) {
    if (offset < end || offset + length > size) throw damagedMap(job, at);
    end = offset + length;
    sum += length;
  }
  if (sum !== storedBytes) throw damagedMap(job, at);
  if (size > headStart + job.maxRatio * storedBytes)
    throw rejectedArchive(
      job,
      `has a sparse file of ${size} bytes with ${storedBytes} bytes of data`,
      'have a disk with smaller holes packed, or declare a qcow2 file',
    );
  return file;
}

/** The data of a file with its holes. `take` passes on so many bytes of the archive. */
export async function* filled(
  { size, parts }: SparseFile,
  take: (bytes: number) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for (const { offset, length } of [...parts, { offset: size, length: 0 }]) {
    for (; at < offset; at += Math.min(zeros.length, offset - at)) yield zeros.subarray(0, offset - at);
    yield* take(length);
    at = offset + length;
  }
}

function damagedMap(job: ArchiveJob, at: number): Error {
  return damagedArchive(job, 'has a sparse file whose parts do not fit it', at);
}

function tooManyParts(job: ArchiveJob): Error {
  return rejectedArchive(
    job,
    `has a sparse file of more than ${mostParts} parts`,
    'have it packed without --sparse (-S), as the compression removes holes anyway',
  );
}

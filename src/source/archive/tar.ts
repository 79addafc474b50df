/**
 * Reads a tar archive while it streams.
 *
 * Guarantees: only regular files and directories are accepted, so nothing refers to another file; the end of the archive is there, and
 * nothing follows it; memory is constant.
 *
 * No library is used: tar-stream holds extended headers of any length, ignores checks that matter here (the end of the archive, a size
 * that is stated twice, the parts of sparse files), and node-tar is made to write files.
 */
import { type Input, pieceBytes } from '../decompress/input.ts';
import { tooLong } from '../errors.ts';
import type { MemberChoice } from './choice.ts';
import { type ArchiveJob, cutOffArchive, damagedArchive, rejectedArchive, shownName } from './errors.ts';
import { blockBytes, type Extension, isZero, parseHeader, parsePax, sizeOf, type TarHeader } from './tar-header.ts';

import { filled, readOldMap, readPaxMap, type SparseFile } from './tar-sparse.ts';

/** Of names and pax headers. */
const longestExtension = 64 * 1024;

/** Yields the chosen file, whose size `onSize` gets before. */
export async function* untar(
  input: Input,
  job: ArchiveJob,
  choice: MemberChoice,
  onSize: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let extension: Extension = {};
  for (;;) {
    const at = input.taken;
    const block = await input.take(blockBytes);
    if (block.length < blockBytes) throw cutOffArchive(job, input.taken);
    if (isZero(block)) {
      if (Object.keys(extension).length > 0) throw damagedArchive(job, 'has an extended header without a file', at);
      return await readEnd(input, job);
    }
    choice.countEntry();
    const header = parseHeader(block, job, at);
    const name = extension.name ?? header.name;
    const kind = kindOf(header.type, name, job, choice, at);
    if (kind === 'extension') {
      extension = await extended(extension, header, input, job, choice, at);
      continue;
    }
    const stored = sizeOf(header, extension, job, at);
    const { realSize } = extension;
    extension = {};
    if (kind === 'directory') {
      checkDirectory(name, stored, choice, job, at);
      continue;
    }
    const file = await fileAt(kind, stored, realSize, header.format, { block, input, job, at });
    if (file.size > job.maxBytes)
      throw tooLong(job.url, `is a tar archive with a file of ${file.size} bytes`, job.maxBytes);
    const isTaken = choice.takes(name, at);
    if (isTaken) onSize(file.size);
    const data = (bytes: number) => dataOf(input, bytes, job);
    if (isTaken) yield* filled(file, data);
    else for await (const _ of data(file.storedBytes));
    // The rest of the last block.
    await input.take(-stored & (blockBytes - 1));
  }
}

function checkDirectory(name: Buffer, stored: number, choice: MemberChoice, job: ArchiveJob, at: number): void {
  choice.checkName(name, at);
  if (stored > 0) throw damagedArchive(job, 'has a directory with data', at);
}

interface Place {
  block: Buffer;
  input: Input;
  job: ArchiveJob;
  at: number;
}

/** `realSize`: of a file that pax calls sparse. A program that takes the header for one of another format takes the map for data. */
async function fileAt(
  kind: 'file' | 'sparse',
  size: number,
  realSize: number | undefined,
  format: TarHeader['format'],
  { block, input, job, at }: Place,
): Promise<SparseFile> {
  if (kind === 'file' && realSize === undefined)
    return { size, storedBytes: size, parts: [{ offset: 0, length: size }] };
  if (kind === 'sparse' && realSize !== undefined) throw damagedArchive(job, 'has a sparse file of two versions', at);
  if (format !== (realSize === undefined ? 'gnu' : 'posix'))
    throw damagedArchive(job, 'has a sparse file whose header is of another format', at);
  if (realSize !== undefined) return readPaxMap(realSize, size, input, job, at);
  return readOldMap(block, size, input, job, at);
}

function kindOf(
  type: string,
  name: Buffer,
  job: ArchiveJob,
  choice: MemberChoice,
  at: number,
): 'file' | 'sparse' | 'directory' | 'extension' {
  const reject = (what: string) =>
    rejectedArchive(
      job,
      `has ${what}, ${shownName(job, choice.checkName(name, at))}, and only files and directories are accepted`,
    );
  switch (type) {
    case '0':
    case '\0':
    case '7':
      // The oldest format has no other sign of a directory.
      return name.at(-1) === 0x2f ? 'directory' : 'file';
    case '5':
      return 'directory';
    case 'x':
    case 'g':
    case 'L':
    case 'K':
      return 'extension';
    case '1':
    case '2':
      throw reject('a link');
    case '3':
    case '4':
    case '6':
      throw reject('a device or a pipe');
    case 'S':
      return 'sparse';
    default:
      throw damagedArchive(job, `has an entry of the unknown type ${JSON.stringify(type)}`, at);
  }
}

/** Reads an extended header, which is about the next file. */
async function extended(
  before: Extension,
  { type, size }: TarHeader,
  input: Input,
  job: ArchiveJob,
  choice: MemberChoice,
  at: number,
): Promise<Extension> {
  if (size > longestExtension) throw rejectedArchive(job, `has an extended header of ${size} bytes`);
  const padded = size + (-size & (blockBytes - 1));
  choice.countHeader(padded);
  const block = await input.take(padded);
  if (block.length < padded) throw cutOffArchive(job, input.taken);
  const data = block.subarray(0, size);
  switch (type) {
    case 'L':
      return merged(before, { name: withoutEnd(data) }, job, at);
    case 'x':
      return merged(before, parsePax(data, job, at), job, at);
    case 'g':
      // It is about all files that follow, and only its times and comments make sense for all of them.
      if (Object.keys(parsePax(data, job, at)).length > 0)
        throw damagedArchive(job, 'has one name or size for all files', at);
      return before;
    default:
      // The target of a link, whose entry is rejected.
      return before;
  }
}

/** Programs differ in which of two names counts. */
function merged(before: Extension, next: Extension, job: ArchiveJob, at: number): Extension {
  for (const key of ['name', 'size'] as const)
    if (before[key] !== undefined && next[key] !== undefined)
      throw damagedArchive(job, 'has two extended headers for one file', at);
  return { ...before, ...next };
}

function withoutEnd(name: Buffer): Buffer {
  const end = name.indexOf(0);
  return end < 0 ? name : name.subarray(0, end);
}

async function* dataOf(input: Input, size: number, job: ArchiveJob): AsyncGenerator<Uint8Array, void, undefined> {
  for (let left = size; left > 0; ) {
    const piece = await input.next(left);
    if (piece === undefined) throw cutOffArchive(job, input.taken);
    left -= piece.length;
    yield piece;
  }
}

/** Only zeros follow the first block of zeros. Anything else is a second archive, which some programs read. */
async function readEnd(input: Input, job: ArchiveJob): Promise<void> {
  for (;;) {
    const piece = await input.next(pieceBytes);
    if (piece === undefined) return;
    if (!isZero(piece)) throw damagedArchive(job, 'has other data after its end', input.taken - piece.length);
  }
}

/**
 * Reads a zip archive while it streams, by the headers in front of its files, and compares them with the directory at its end.
 *
 * Guarantees: a file is complete only if its length and checksum are right and the directory says the same of it; memory is that of one
 * decoder of deflate.
 *
 * No library is used: yauzl and zip.js begin with the directory, which needs the whole file; unzipper and fflate read the headers in
 * front and ignore the directory.
 */
import { crc32, createInflateRaw } from 'node:zlib';
import { describe } from '../../lib/errors.ts';
import type { MemoryShare } from '../../lib/memory-budget.ts';
import { checkDictionary, checkSize, memoryGranted } from '../decompress/bounds.ts';
import { chunkSize, Engine } from '../decompress/engine.ts';
import { type DecompressLimits, damagedStream, type Job } from '../decompress/errors.ts';
import { type Input, pieceBytes } from '../decompress/input.ts';
import type { MemberChoice } from './choice.ts';
import { type ArchiveJob, cutOffArchive, damagedArchive } from './errors.ts';
import { checkDirectory, exactly, nextSignature, type ReadFile } from './zip-directory.ts';
import { checkUnicodePath, localBytes, parseExtra, parseLocal, signatures, zip64Values } from './zip-entry.ts';

export interface ZipOptions {
  limits: DecompressLimits;
  memory?: MemoryShare | undefined;
}

/** Yields the chosen file, whose size `onSize` gets before if the archive states it there. */
export async function* unzip(
  input: Input,
  job: ArchiveJob,
  choice: MemberChoice,
  { limits, memory }: ZipOptions,
  onSize: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const decoding: Job = { compression: 'zip', url: job.url, limits, memory };
  checkDictionary(decoding, 0);
  await memoryGranted(decoding);
  const files = new Map<number, ReadFile>();
  while ((await nextSignature(input)) === signatures.file) {
    choice.countEntry();
    const at = input.taken;
    const entry = await readHeader(input, job, choice);
    const isDirectory = entry.name.at(-1) === 0x2f;
    if (isDirectory) choice.checkName(entry.name, at);
    const isTaken = !isDirectory && choice.takes(entry.name, at);
    if (isTaken && !entry.hasDescriptor) onSize(entry.size);
    if (!isTaken && !entry.hasDescriptor && !isDirectory) {
      // Its length is known, so it is skipped as it is.
      for await (const _ of stored(input, job, entry.compressed));
      files.set(at, entry);
      continue;
    }
    const found = { compressed: 0, size: 0, crc: 0 };
    for await (const piece of dataOf(input, job, decoding, entry, found)) {
      if (isDirectory) throw damagedArchive(job, 'has a directory with data', at);
      if (isTaken) yield piece;
    }
    await checkFound(input, job, entry, found, at);
    files.set(at, { ...entry, ...found });
  }
  await checkDirectory(input, job, choice, files);
}

/** By the header in front. Without a descriptor its values are complete. */
interface Entry extends ReadFile {
  hasDescriptor: boolean;
}

/** As its data is. */
type Found = Pick<ReadFile, 'compressed' | 'size' | 'crc'>;

async function readHeader(input: Input, job: ArchiveJob, choice: MemberChoice): Promise<Entry> {
  const at = input.taken;
  const local = parseLocal(await exactly(localBytes, input, job), job, at);
  const { method, hasDescriptor, crc, nameBytes, extraBytes } = local;
  choice.countHeader(localBytes + nameBytes + extraBytes);
  const name = await exactly(nameBytes, input, job);
  const extra = parseExtra(await exactly(extraBytes, input, job), job, at);
  checkUnicodePath(name, extra, job, at);
  const [size = 0, compressed = 0] = zip64Values([local.size, local.compressed], extra, job, at);
  if (method === 'stored' && size !== compressed)
    throw damagedArchive(job, `has a stored file with two sizes, ${size} and ${compressed}`, at);
  return { name, method, hasDescriptor, crc, compressed, size };
}

/** The data of a file, which is counted in `found`. */
async function* dataOf(
  input: Input,
  job: ArchiveJob,
  decoding: Job,
  entry: Entry,
  found: Found,
): AsyncGenerator<Uint8Array, void, undefined> {
  const isStored = entry.method === 'stored';
  for await (const piece of isStored ? stored(input, job, entry.compressed) : inflated(input, decoding, entry, found)) {
    found.size += piece.length;
    found.crc = crc32(piece, found.crc);
    checkSize(decoding, found.size, input.taken);
    yield piece;
  }
  if (isStored) found.compressed = found.size;
}

async function* stored(input: Input, job: ArchiveJob, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let left = bytes; left > 0; ) {
    const piece = await input.next(left);
    if (piece === undefined) throw cutOffArchive(job, input.taken);
    left -= piece.length;
    yield piece;
  }
}

/** Deflated data has an end of its own, where it is read until then. Counts its bytes in `found`. */
async function* inflated(
  input: Input,
  decoding: Job,
  { compressed, hasDescriptor }: Entry,
  found: Found,
): AsyncGenerator<Uint8Array, void, undefined> {
  const engine = new Engine(createInflateRaw({ chunkSize }), (error) =>
    damagedStream(decoding, describe(error), input.taken, error),
  );
  const most = hasDescriptor ? Number.POSITIVE_INFINITY : compressed;
  try {
    while (found.compressed < most) {
      const piece = await input.next(Math.min(most - found.compressed, pieceBytes));
      if (piece === undefined) break;
      found.compressed += piece.length;
      yield* engine.write(piece);
      const { unused } = engine;
      if (unused === 0) continue;
      input.putBack(piece.subarray(piece.length - unused));
      found.compressed -= unused;
      return;
    }
    yield* engine.end();
  } finally {
    engine.close();
  }
}

/** Compares the data with its header, or with the descriptor after it. */
async function checkFound(input: Input, job: ArchiveJob, entry: Entry, found: Found, at: number): Promise<void> {
  const { compressed, size, crc } = found;
  const isSame = (stated: number, real: number) => stated === real || (entry.hasDescriptor && stated === 0);
  if (!isSame(entry.compressed, compressed) || !isSame(entry.size, size))
    throw damagedArchive(
      job,
      `has a file of ${compressed} bytes, uncompressed ${size}, where its header states ${entry.compressed} and ${entry.size}`,
      at,
    );
  if (!isSame(entry.crc, crc)) throw damagedArchive(job, 'has a file with a wrong checksum', at);
  if (!entry.hasDescriptor) return;
  const next = Buffer.from(await input.peek(longestDescriptor + 4));
  const forms = [8, 4].flatMap((width) => descriptorsOf(found, width));
  const right = forms.find((form) => form.equals(next.subarray(0, form.length)) && beginsHeader(next, form.length));
  if (right === undefined)
    throw damagedArchive(job, 'has a file whose length and checksum do not follow it', input.taken);
  await input.take(right.length);
}

const longestDescriptor = 24;

/** With and without a signature. Larger sizes than fit have no form of that width. */
function descriptorsOf({ compressed, size, crc }: Found, width: number): Buffer[] {
  if (Math.max(compressed, size) >= 2 ** (8 * width)) return [];
  const fields = Buffer.alloc(8 + 2 * width);
  fields.writeUInt32LE(signatures.descriptor, 0);
  fields.writeUInt32LE(crc, 4);
  for (const [index, value] of [compressed, size].entries()) {
    const at = 8 + width * index;
    if (width === 8) fields.writeBigUInt64LE(BigInt(value), at);
    else fields.writeUInt32LE(value, at);
  }
  return [fields, fields.subarray(4)];
}

function beginsHeader(bytes: Buffer, at: number): boolean {
  const signature = at + 4 > bytes.length ? undefined : bytes.readUInt32LE(at);
  return signature === signatures.file || signature === signatures.directory;
}

/**
 * The directory at the end of a zip archive (APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16).
 *
 * Guarantees: it lists exactly the files that came before it, with the same names, sizes and checksums at the same offsets, so that a
 * program that reads only the directory finds the same files; nothing follows it. Otherwise the archive is rejected.
 */
import type { Input } from '../decompress/input.ts';
import type { MemberChoice } from './choice.ts';
import { type ArchiveJob, cutOffArchive, damagedArchive, rejectedArchive, shownName } from './errors.ts';
import { checkUnicodePath, parseExtra, saturated, signatures, zip64Values } from './zip-entry.ts';

/** What was read of a file in front of the directory. */
export interface ReadFile {
  name: Buffer;
  method: 'stored' | 'deflated';
  compressed: number;
  size: number;
  crc: number;
}

const entryBytes = 46;
const fileTypes = { mask: 0o170000, file: 0o100000, directory: 0o040000, link: 0o120000 };
/** Systems whose attributes have the type of the file. */
const unix: ReadonlySet<number> = new Set([3, 19]);

/** Reads the rest of the archive after the last of `files`, which are by offset. */
export async function checkDirectory(
  input: Input,
  job: ArchiveJob,
  choice: MemberChoice,
  files: ReadonlyMap<number, ReadFile>,
): Promise<void> {
  const start = input.taken;
  const left = new Map(files);
  while ((await nextSignature(input)) === signatures.directory) {
    const at = input.taken;
    const fixed = await exactly(entryBytes, input, job);
    const lengths = [28, 30, 32].map((offset) => fixed.readUInt16LE(offset));
    const [nameBytes = 0, extraBytes = 0, commentBytes = 0] = lengths;
    choice.countHeader(entryBytes + nameBytes + extraBytes + commentBytes);
    const name = await exactly(nameBytes, input, job);
    const extra = parseExtra(await exactly(extraBytes, input, job), job, at);
    await exactly(commentBytes, input, job);
    const values = [fixed.readUInt32LE(24), fixed.readUInt32LE(20), fixed.readUInt32LE(42)];
    const [size = 0, compressed = 0, offset = 0] = zip64Values(values, extra, job, at);
    const file = left.get(offset);
    left.delete(offset);
    checkUnicodePath(name, extra, job, at);
    const isSame =
      file?.name.equals(name) &&
      file.method === methodIn(fixed) &&
      file.compressed === compressed &&
      file.size === size &&
      file.crc === fixed.readUInt32LE(16) &&
      (fixed.readUInt16LE(8) & 1) === 0 &&
      fixed.readUInt16LE(34) === 0;
    if (!isSame)
      throw damagedArchive(
        job,
        `lists a file in its directory that is another one in front of it, ${shownName(job, choice.checkName(name, at))}`,
        at,
      );
    checkType(fixed, name, job, choice, at);
  }
  if (left.size > 0) throw damagedArchive(job, 'has a file that its directory does not list', start);
  await checkEnd(input, job, choice, { start, bytes: input.taken - start, count: files.size });
}

function methodIn(fixed: Buffer): ReadFile['method'] | undefined {
  const method = fixed.readUInt16LE(10);
  return method === 0 ? 'stored' : method === 8 ? 'deflated' : undefined;
}

function checkType(fixed: Buffer, name: Buffer, job: ArchiveJob, choice: MemberChoice, at: number): void {
  if (!unix.has(fixed.readUInt8(5))) return;
  const type = fixed.readUInt16LE(40) & fileTypes.mask;
  if (type === 0 || type === fileTypes.file || type === fileTypes.directory) return;
  const what = type === fileTypes.link ? 'a link' : 'a device or a pipe';
  throw rejectedArchive(
    job,
    `has ${what}, ${shownName(job, choice.checkName(name, at))}, and only files and directories are accepted`,
  );
}

interface Directory {
  start: number;
  bytes: number;
  count: number;
}

/** The records after the directory, which state where it is. */
async function checkEnd(input: Input, job: ArchiveJob, choice: MemberChoice, directory: Directory): Promise<void> {
  const { start, bytes, count } = directory;
  const at = input.taken;
  const lies = () => damagedArchive(job, 'states another place or length of its directory', at);
  const has64 = (await nextSignature(input)) === signatures.zip64End;
  if (has64) {
    const record = await exactly(56, input, job);
    const locator = await exactly(20, input, job);
    const isRight =
      record.readBigUInt64LE(4) === 44n &&
      record.readBigUInt64LE(16) === 0n &&
      record.readBigUInt64LE(24) === BigInt(count) &&
      record.readBigUInt64LE(32) === BigInt(count) &&
      record.readBigUInt64LE(40) === BigInt(bytes) &&
      record.readBigUInt64LE(48) === BigInt(start) &&
      locator.readUInt32LE(0) === signatures.zip64Locator &&
      locator.readUInt32LE(4) === 0 &&
      locator.readBigUInt64LE(8) === BigInt(at) &&
      locator.readUInt32LE(16) <= 1;
    if (!isRight) throw lies();
  }
  if ((await nextSignature(input)) !== signatures.end)
    throw damagedArchive(job, 'has something other than a file or its directory', input.taken);
  const end = await exactly(22, input, job);
  const fits = (found: number, full: number, right: number) => found === right || (has64 && found === full);
  const isRight =
    [4, 6].every((offset) => fits(end.readUInt16LE(offset), 0xffff, 0)) &&
    [8, 10].every((offset) => fits(end.readUInt16LE(offset), 0xffff, count)) &&
    fits(end.readUInt32LE(12), saturated, bytes) &&
    fits(end.readUInt32LE(16), saturated, start);
  if (!isRight) throw lies();
  const commentBytes = end.readUInt16LE(20);
  choice.countHeader(commentBytes);
  await exactly(commentBytes, input, job);
  if ((await input.take(1)).length > 0) throw damagedArchive(job, 'has other data after its end', input.taken - 1);
}

/** The next four bytes, which stay; undefined at the end. */
export async function nextSignature(input: Input): Promise<number | undefined> {
  const next = Buffer.from(await input.peek(4));
  return next.length < 4 ? undefined : next.readUInt32LE();
}

export async function exactly(bytes: number, input: Input, job: ArchiveJob): Promise<Buffer> {
  const taken = await input.take(bytes);
  if (taken.length < bytes) throw cutOffArchive(job, input.taken);
  return taken;
}

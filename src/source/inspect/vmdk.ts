/**
 * VMDK, the format of VMware: the sparse kinds that are one file.
 *
 * Invariant: references to other files are searched for wherever a reader would find them: in the descriptor, in a footer that
 * overrides the header, and in a file that is only a descriptor.
 */
import { descriptorProblem } from './descriptor.ts';
import * as read from './reader.ts';

const sector = 512;
const headerLength = 64;
const descriptorOffset = sector;
/** Glance and QEMU read no more of a descriptor than this. */
const maxDescriptor = 2 ** 20 - 1;
/** QEMU reads this much for the parent, regardless of the length in the header. */
const qemuDescriptor = 20 * sector;
/** In place of the position of the grain directory: the footer has it. */
const atEnd = 2n ** 64n - 1n;

export function* inspectVmdk(): read.Inspection<read.FormatVerdict> {
  const head = yield* read.bytes(0, sector);
  const header = head.subarray(0, headerLength);
  if (read.hasAt(head, 0, 'KDMV')) return yield* inspectSparse(header);
  if (read.hasAt(head, 0, 'COWD')) return yield* onlyReferences('is of the old kind for ESX, which no server can use');
  if (isDescriptorToQemu(head)) return yield* onlyReferences(descriptorOnly);
  if (header.length === headerLength && header.every(isText)) return yield* inspectText(head);
  return read.other;
}

const descriptorOnly = 'has no disk in itself, only a descriptor of other files';

function* onlyReferences(how: string): read.Inspection<read.FormatVerdict> {
  yield read.recognised;
  return read.unsafe(how);
}

/**
 * QEMU opens any file as a VMDK that has, after comments and blank lines, a line with a version of the descriptor (vmdk_probe in
 * block/vmdk.c), whatever follows. So do readers that detect the format.
 */
function isDescriptorToQemu(head: Buffer): boolean {
  return /^(?:#[^\n]*\n|[ \t\r]*\n)*[ \t]*version=[123]/.test(head.toString('latin1'));
}

function* inspectSparse(header: Buffer): read.Inspection<read.FormatVerdict> {
  yield read.recognised;
  if (header.length < headerLength) return read.damaged('is cut off in its header');
  const { version, capacity, descriptorSector, descriptorSectors, grainDirectory } = parseHeader(header);
  if (version < 1 || version > 3) return read.damaged(`has version ${version}; known are 1 to 3`);
  if (descriptorSector !== 1n) return read.damaged('does not have its descriptor in the second sector');
  // QEMU would read it as a descriptor only, and open the files that it names.
  if (capacity === 0) return read.unsafe(descriptorOnly);
  yield read.virtualSize(capacity * sector);

  const stated = Math.min(Number(descriptorSectors) * sector, maxDescriptor);
  const problem = descriptorProblem(stated === 0 ? Buffer.alloc(0) : yield* readDescriptor(stated));
  if (problem !== undefined) return read.unsafe(problem);
  const { bytes: footer, length } = yield* read.end(grainDirectory === atEnd ? 3 * sector : 0);
  if (length < descriptorOffset + stated) return read.damaged('is cut off in its descriptor');
  return grainDirectory === atEnd ? checkFooter(header, footer) : read.sound;
}

function parseHeader(header: Buffer) {
  return {
    version: header.readUInt32LE(4),
    capacity: Number(header.readBigUInt64LE(12)),
    descriptorSector: header.readBigUInt64LE(28),
    descriptorSectors: header.readBigUInt64LE(36),
    grainDirectory: header.readBigUInt64LE(56),
  };
}

/** The text up to its first NUL. Without a NUL it continues beyond its stated length, as it does for QEMU. */
function* readDescriptor(stated: number): read.Inspection<Buffer> {
  const parts: Buffer[] = [];
  const limit = Math.max(stated, qemuDescriptor);
  for (let at = 0; at < limit; at += sector) {
    const part = yield* read.bytes(descriptorOffset + at, Math.min(sector, limit - at));
    const nul = part.indexOf(0);
    parts.push(nul < 0 ? part : part.subarray(0, nul));
    if (nul >= 0 || part.length === 0) break;
  }
  return Buffer.concat(parts);
}

/** The last three sectors: a marker, the header again with the position of the grain directory, and an end marker. */
function checkFooter(header: Buffer, footer: Buffer): read.FormatVerdict {
  if (footer.length < 3 * sector) return read.damaged('is cut off before its footer');
  const copy = footer.subarray(sector, sector + headerLength);
  const [ours, theirs] = [parseHeader(header), parseHeader(copy)];
  if (
    !read.hasAt(copy, 0, 'KDMV') ||
    theirs.version !== ours.version ||
    theirs.capacity !== ours.capacity ||
    theirs.descriptorSector !== ours.descriptorSector ||
    theirs.descriptorSectors !== ours.descriptorSectors ||
    theirs.grainDirectory === atEnd
  )
    return read.unsafe('has a footer that contradicts its header, or is cut off');
  const marker = footer.subarray(0, sector);
  const isZero = (data: Buffer) => data.every((byte) => byte === 0);
  if (marker.readUInt32LE(8) !== 0 || marker.readUInt32LE(12) !== 3 || !isZero(marker.subarray(16)))
    return read.unsafe('has a footer without its marker');
  if (!isZero(footer.subarray(2 * sector))) return read.unsafe('has no end marker');
  return read.sound;
}

/** Glance recognises a descriptor by this key. Only a possible beginning of it is kept. */
function* inspectText(start: Buffer): read.Inspection<read.FormatVerdict> {
  const sought = 'createtype="';
  const step = 4096;
  const firstNul = start.indexOf(0);
  let text = start.toString('latin1', 0, firstNul < 0 ? start.length : firstNul).toLowerCase();
  let at = firstNul < 0 && start.length === sector ? sector : maxDescriptor;
  while (!text.includes(sought)) {
    const part = at < maxDescriptor ? yield* read.bytes(at, step) : Buffer.alloc(0);
    const nul = part.indexOf(0);
    if (part.length === 0 || nul === 0) return read.other;
    text = text.slice(1 - sought.length) + part.toString('latin1', 0, nul < 0 ? part.length : nul).toLowerCase();
    at = nul < 0 && part.length === step ? at + step : maxDescriptor;
  }
  return yield* onlyReferences(descriptorOnly);
}

/** Printable or white space in ASCII, as Python defines it. */
function isText(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x1c && byte <= 0x1f);
}

/**
 * VMDK, the format of VMware: the sparse kinds that are one file. Law: what a reader could be led to open beside the file is
 * looked for wherever a reader would look, in the descriptor, in a footer that overrules the header, and in a file that is
 * nothing but a descriptor.
 */
import { descriptorProblem } from './descriptor.ts';
import {
  bytes,
  damaged,
  end,
  type FormatVerdict,
  hasAt,
  type Inspection,
  other,
  recognised,
  sound,
  unsafe,
  virtualSize,
} from './reader.ts';

const sector = 512;
const headerLength = 64;
const descriptorOffset = sector;
/** Glance and QEMU read no more of a descriptor than this. */
const maxDescriptor = 2 ** 20 - 1;
/** QEMU reads this much for the parent, whatever length the header states. */
const qemuDescriptor = 20 * sector;
/** Instead of the position of the grain directory: it is in the footer. */
const atEnd = 2n ** 64n - 1n;

export function* inspectVmdk(): Inspection<FormatVerdict> {
  const header = yield* bytes(0, headerLength);
  if (hasAt(header, 0, 'KDMV')) return yield* inspectSparse(header);
  if (header.length === headerLength && header.every(isText)) return yield* inspectText(header);
  return other;
}

function* inspectSparse(header: Buffer): Inspection<FormatVerdict> {
  yield recognised;
  if (header.length < headerLength) return damaged('is cut off in its header');
  const { version, capacity, descriptorSector, descriptorSectors, grainDirectory } = parseHeader(header);
  if (version < 1 || version > 3) return damaged(`has version ${version}; known are 1 to 3`);
  if (descriptorSector !== 1n) return damaged('does not have its descriptor in the second sector');
  // QEMU would take it for a mere descriptor then, and open what that names.
  if (capacity === 0) return unsafe('has no disk in itself, only a descriptor of other files');
  yield virtualSize(capacity * sector);

  const stated = Math.min(Number(descriptorSectors) * sector, maxDescriptor);
  const problem = descriptorProblem(stated === 0 ? Buffer.alloc(0) : yield* readDescriptor(stated));
  if (problem !== undefined) return unsafe(problem);
  const { bytes: footer, length } = yield* end(grainDirectory === atEnd ? 3 * sector : 0);
  if (length < descriptorOffset + stated) return damaged('is cut off in its descriptor');
  return grainDirectory === atEnd ? judgeFooter(header, footer) : sound;
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

/** The text up to its first NUL. One without any goes on beyond its stated length for QEMU, and so it does here. */
function* readDescriptor(stated: number): Inspection<Buffer> {
  const parts: Buffer[] = [];
  const limit = Math.max(stated, qemuDescriptor);
  for (let at = 0; at < limit; at += sector) {
    const part = yield* bytes(descriptorOffset + at, Math.min(sector, limit - at));
    const nul = part.indexOf(0);
    parts.push(nul < 0 ? part : part.subarray(0, nul));
    if (nul >= 0 || part.length === 0) break;
  }
  return Buffer.concat(parts);
}

/** The last three sectors: a marker, the header again with the position of the grain directory, and an end marker. */
function judgeFooter(header: Buffer, footer: Buffer): FormatVerdict {
  if (footer.length < 3 * sector) return damaged('is cut off before its footer');
  const copy = footer.subarray(sector, sector + headerLength);
  const [ours, theirs] = [parseHeader(header), parseHeader(copy)];
  if (
    !hasAt(copy, 0, 'KDMV') ||
    theirs.version !== ours.version ||
    theirs.capacity !== ours.capacity ||
    theirs.descriptorSector !== ours.descriptorSector ||
    theirs.descriptorSectors !== ours.descriptorSectors ||
    theirs.grainDirectory === atEnd
  )
    return unsafe('has a footer that contradicts its header, or is cut off');
  const marker = footer.subarray(0, sector);
  const isZero = (data: Buffer) => data.every((byte) => byte === 0);
  if (marker.readUInt32LE(8) !== 0 || marker.readUInt32LE(12) !== 3 || !isZero(marker.subarray(16)))
    return unsafe('has a footer without its marker');
  if (!isZero(footer.subarray(2 * sector))) return unsafe('does not end with the marker of its end');
  return sound;
}

/** A text is a descriptor by what both Glance and QEMU look for. Nothing is kept but what might be the beginning of it. */
function* inspectText(start: Buffer): Inspection<FormatVerdict> {
  const sought = 'createtype="';
  const step = 4096;
  let text = start.toString('latin1').toLowerCase();
  let at = start.length;
  while (!text.includes(sought)) {
    const part = at < maxDescriptor ? yield* bytes(at, step) : Buffer.alloc(0);
    const nul = part.indexOf(0);
    if (part.length === 0 || nul === 0) return other;
    text = text.slice(1 - sought.length) + part.toString('latin1', 0, nul < 0 ? part.length : nul).toLowerCase();
    at = nul < 0 && part.length === step ? at + step : maxDescriptor;
  }
  yield recognised;
  return unsafe('has no disk in itself, only a descriptor of other files');
}

/** What Python calls printable or white space, of ASCII. */
function isText(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x1c && byte <= 0x1f);
}

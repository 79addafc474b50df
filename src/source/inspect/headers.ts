/**
 * Formats that a header identifies: QED, ISO 9660 and UDF, LUKS, VDI, and dynamic VHD.
 *
 * Invariant: an image that needs a parent image is unsafe, and so is a format or version that Glance never accepts.
 */
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

/** QED, a former format of QEMU. No cloud accepts it. */
export function* inspectQed(): Inspection<FormatVerdict> {
  if (!hasAt(yield* bytes(0, 4), 0, 'QED\0')) return other;
  yield recognised;
  return unsafe('is in a format that Glance never takes');
}

/** The volume descriptor type of a primary volume in ISO 9660. */
const primaryVolume = 1;

/** ISO 9660 and UDF. A signature at the place where Glance reads it counts, whatever the file begins with. */
export function* inspectIso(): Inspection<FormatVerdict> {
  const descriptor = yield* bytes(32 * 1024, 2 * 1024);
  if (!['CD001', 'NSR02', 'NSR03'].some((signature) => hasAt(descriptor, 1, signature))) return other;
  yield recognised;
  if (descriptor.length < 2 * 1024) return damaged('is cut off in its first descriptor');
  // Glance says that the volume is the size; the disk is the file, as everybody sees who attaches it.
  if (descriptor[0] === primaryVolume) yield virtualSize(descriptor.readUInt32LE(80) * descriptor.readUInt16LE(128));
  return sound;
}

const luksHeaderBytes = 592;
const luksSectorBytes = 512;

/** LUKS, an encrypted volume: version 1 only, as Glance and Nova require. Its content cannot be inspected. */
export function* inspectLuks(): Inspection<FormatVerdict> {
  const header = yield* bytes(0, luksHeaderBytes);
  if (!hasAt(header, 0, 'LUKS\xba\xbe')) return other;
  yield recognised;
  if (header.length < luksHeaderBytes) return damaged('is cut off in its header');
  const version = header.readUInt16BE(6);
  if (version !== 1) return unsafe(`has version ${version}; Glance takes only version 1`);
  const payload = header.readUInt32BE(104) * luksSectorBytes;
  const { length } = yield* end();
  if (length < payload) return damaged('is cut off before its data');
  yield virtualSize(length - payload);
  return sound;
}

const vdiKinds = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 };

/** VDI, the format of VirtualBox. */
export function* inspectVdi(): Inspection<FormatVerdict> {
  const header = yield* bytes(0, 512);
  if (!hasAt(header, 0x40, '\x7f\x10\xda\xbe')) return other;
  yield recognised;
  if (header.length < 512) return damaged('is cut off in its header');
  const kind = header.readUInt32LE(0x4c);
  const parent = header.subarray(0x1a8, 0x1b8);
  if (kind === vdiKinds.undo || kind === vdiKinds.differencing || parent.some((byte) => byte !== 0))
    return unsafe('is only the difference to a parent image');
  if (kind !== vdiKinds.dynamic && kind !== vdiKinds.fixed) return damaged(`is of an unknown kind, ${kind}`);
  yield virtualSize(Number(header.readBigUInt64LE(0x170)));
  return sound;
}

const differencingVhd = 4;

/**
 * Dynamic VHD, which begins with a copy of its footer. A fixed VHD, a raw disk with a footer, is raw here, as it is in Glance.
 */
export function* inspectVhd(): Inspection<FormatVerdict> {
  const footer = yield* bytes(0, 512);
  if (!hasAt(footer, 0, 'conectix')) return other;
  yield recognised;
  if (footer.length < 512) return damaged('is cut off in its first sector');
  if (footer.readUInt32BE(60) === differencingVhd) return unsafe('is only the difference to a parent image');
  const [original, current] = [Number(footer.readBigUInt64BE(40)), Number(footer.readBigUInt64BE(48))];
  // Glance looks at the size that the disk once had. Who resizes it changes the other.
  yield virtualSize(original, Math.max(original, current));
  return sound;
}

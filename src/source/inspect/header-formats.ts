/**
 * Formats that their header alone decides: ISO 9660 and UDF, LUKS, VDI, dynamic VHD and QED.
 *
 * Invariant: an image that needs a parent is unsafe.
 */
import * as read from './reader.ts';

const sector = 512;

const isoDescriptor = { offset: 32 * 1024, length: 2 * 1024 };
const primaryVolume = 1;

/** A signature at the offset where Glance expects it counts, whatever else is in the file. */
export function* inspectIso(): read.Inspection<read.FormatVerdict> {
  const descriptor = yield* read.bytes(isoDescriptor.offset, isoDescriptor.length);
  if (!['CD001', 'NSR02', 'NSR03'].some((signature) => read.hasAt(descriptor, 1, signature))) return read.other;
  yield read.recognised;
  if (descriptor.length < isoDescriptor.length) return read.damaged('is cut off in its first descriptor');
  // Glance reports the size of the volume. The disk that a server sees is the file.
  if (descriptor[0] === primaryVolume)
    yield read.virtualSize(descriptor.readUInt32LE(80) * descriptor.readUInt16LE(128));
  return read.sound;
}

const luksHeaderLength = 592;

/** Version 1 only, as Glance and Nova require. The encrypted content cannot be inspected. */
export function* inspectLuks(): read.Inspection<read.FormatVerdict> {
  const header = yield* read.bytes(0, luksHeaderLength);
  if (!read.hasAt(header, 0, 'LUKS\xba\xbe')) return read.other;
  yield read.recognised;
  if (header.length < luksHeaderLength) return read.damaged('is cut off in its header');
  const version = header.readUInt16BE(6);
  if (version !== 1) return read.unsafe(`has version ${version}; Glance takes only version 1`);
  const payload = header.readUInt32BE(104) * sector;
  const { length } = yield* read.end();
  if (length < payload) return read.damaged('is cut off before its data');
  yield read.virtualSize(length - payload);
  return read.sound;
}

const vdiKinds = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 };

/** VDI, the format of VirtualBox. */
export function* inspectVdi(): read.Inspection<read.FormatVerdict> {
  const header = yield* read.bytes(0, sector);
  if (!read.hasAt(header, 0x40, '\x7f\x10\xda\xbe')) return read.other;
  yield read.recognised;
  if (header.length < sector) return read.damaged('is cut off in its header');
  const kind = header.readUInt32LE(0x4c);
  const parent = header.subarray(0x1a8, 0x1b8);
  if (kind === vdiKinds.undo || kind === vdiKinds.differencing || parent.some((byte) => byte !== 0))
    return read.unsafe('is only the difference to a parent image');
  if (kind !== vdiKinds.dynamic && kind !== vdiKinds.fixed) return read.damaged(`is of an unknown kind, ${kind}`);
  yield read.virtualSize(Number(header.readBigUInt64LE(0x170)));
  return read.sound;
}

const differencingVhd = 4;

/**
 * Dynamic VHD, which begins with a copy of its footer. A fixed VHD is a raw disk followed by a footer, and counts as raw, as it
 * does in Glance.
 */
export function* inspectVhd(): read.Inspection<read.FormatVerdict> {
  const footer = yield* read.bytes(0, sector);
  if (!read.hasAt(footer, 0, 'conectix')) return read.other;
  yield read.recognised;
  if (footer.length < sector) return read.damaged('is cut off in its first sector');
  if (footer.readUInt32BE(60) === differencingVhd) return read.unsafe('is only the difference to a parent image');
  const [original, current] = [Number(footer.readBigUInt64BE(40)), Number(footer.readBigUInt64BE(48))];
  // Glance reads the original size. A resize changes the current one.
  yield read.virtualSize(original, Math.max(original, current));
  return read.sound;
}

/** QED, a former format of QEMU. No cloud takes it; it is recognised in order to be rejected. */
export function* inspectQed(): read.Inspection<read.FormatVerdict> {
  if (!read.hasAt(yield* read.bytes(0, 4), 0, 'QED\0')) return read.other;
  yield read.recognised;
  return read.unsafe('is in a format that Glance never takes');
}

/** ISO 9660 and UDF. Law: a signature where Glance looks for it is one, whatever else the file begins with. */
import {
  bytes,
  damaged,
  type FormatVerdict,
  hasAt,
  type Inspection,
  other,
  recognised,
  sound,
  virtualSize,
} from './reader.ts';

const primaryVolume = 1;

export function* inspectIso(): Inspection<FormatVerdict> {
  const descriptor = yield* bytes(32 * 1024, 2 * 1024);
  if (!['CD001', 'NSR02', 'NSR03'].some((signature) => hasAt(descriptor, 1, signature))) return other;
  yield recognised;
  if (descriptor.length < 2 * 1024) return damaged('is cut off in its first descriptor');
  // Glance says that the volume is the size; the disk is the file, as everybody sees who attaches it.
  if (descriptor[0] === primaryVolume) yield virtualSize(descriptor.readUInt32LE(80) * descriptor.readUInt16LE(128));
  return sound;
}

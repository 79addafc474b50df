/**
 * Dynamic VHD, which begins with a copy of its footer. Laws: a fixed VHD, a raw disk with nothing but a footer, is raw here, as
 * it is to Glance; and a differencing one needs its parent, so it is unsafe.
 */
import {
  bytes,
  damaged,
  type FormatVerdict,
  hasAt,
  type Inspection,
  other,
  recognised,
  sound,
  unsafe,
  virtualSize,
} from './reader.ts';

const differencing = 4;

export function* inspectVhd(): Inspection<FormatVerdict> {
  const footer = yield* bytes(0, 512);
  if (!hasAt(footer, 0, 'conectix')) return other;
  yield recognised;
  if (footer.length < 512) return damaged('is cut off in its first sector');
  if (footer.readUInt32BE(60) === differencing) return unsafe('is only the difference to a parent image');
  const [original, current] = [Number(footer.readBigUInt64BE(40)), Number(footer.readBigUInt64BE(48))];
  // Glance looks at the size that the disk once had. Who resizes it changes the other.
  yield virtualSize(original, Math.max(original, current));
  return sound;
}

/** LUKS, an encrypted volume. Law: version 1 only, as Glance and Nova want it; what is inside nobody can see. */
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

const headerLength = 592;
const sector = 512;

export function* inspectLuks(): Inspection<FormatVerdict> {
  const header = yield* bytes(0, headerLength);
  if (!hasAt(header, 0, 'LUKS\xba\xbe')) return other;
  yield recognised;
  if (header.length < headerLength) return damaged('is cut off in its header');
  const version = header.readUInt16BE(6);
  if (version !== 1) return unsafe(`has version ${version}; Glance takes only version 1`);
  const payload = header.readUInt32BE(104) * sector;
  const { length } = yield* end();
  if (length < payload) return damaged('is cut off before its data');
  yield virtualSize(length - payload);
  return sound;
}

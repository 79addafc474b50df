/** VDI, the format of VirtualBox. Law: an image that needs a parent is unsafe. */
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

const kinds = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 };

export function* inspectVdi(): Inspection<FormatVerdict> {
  const header = yield* bytes(0, 512);
  if (!hasAt(header, 0x40, '\x7f\x10\xda\xbe')) return other;
  yield recognised;
  if (header.length < 512) return damaged('is cut off in its header');
  const kind = header.readUInt32LE(0x4c);
  const parent = header.subarray(0x1a8, 0x1b8);
  if (kind === kinds.undo || kind === kinds.differencing || parent.some((byte) => byte !== 0))
    return unsafe('is only the difference to a parent image');
  if (kind !== kinds.dynamic && kind !== kinds.fixed) return damaged(`is of an unknown kind, ${kind}`);
  yield virtualSize(Number(header.readBigUInt64LE(0x170)));
  return sound;
}

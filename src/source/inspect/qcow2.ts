/**
 * qcow2, the format of QEMU. Laws: an image that names another file is unsafe, by whichever of the places where it can; and one
 * with a feature that Glance does not know is as unsafe to us as to Glance.
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

const featureBits = { dirty: 1n << 0n, corrupt: 1n << 1n, dataFile: 1n << 2n, unknown: ~0b1111n };
/** Glance takes less than this for no qcow2 at all. */
const leastLength = 512;
const cutOff = damaged('is cut off in its header');

export function* inspectQcow2(): Inspection<FormatVerdict> {
  const header = yield* bytes(0, 72);
  if (!hasAt(header, 0, 'QFI\xfb')) return other;
  yield recognised;
  if (header.length < 72) return cutOff;
  const version = header.readUInt32BE(4);
  const backingFileOffset = header.readBigUInt64BE(8);
  const clusterBits = header.readUInt32BE(20);
  if (version !== 2 && version !== 3) return unsafe(`has version ${version}; only 2 and 3 can be checked`);
  if (backingFileOffset !== 0n) return unsafe('has a backing file, which could expose files of a hypervisor');

  // Version 3 has feature bits here. Version 2 has the first header extension, but Glance looks at the bit all the same.
  const next = yield* bytes(72, 8);
  if (next.length < 8) return cutOff;
  const verdict = judgeFeatures(version, next.readBigUInt64BE());
  if (verdict !== sound) return verdict;
  yield virtualSize(Number(header.readBigUInt64BE(24)));
  if (clusterBits < 9 || clusterBits > 21) return damaged('has clusters of an impossible size');
  return version === 2
    ? yield* inspectExtensions(80, next, 1 << clusterBits)
    : yield* inspectVersion3(1 << clusterBits);
}

function judgeFeatures(version: number, features: bigint): FormatVerdict {
  if ((features & featureBits.dataFile) !== 0n)
    return unsafe('has an external data file, which could expose files of a hypervisor');
  if (version === 2) return sound;
  if ((features & featureBits.unknown) !== 0n)
    return unsafe('needs features that Glance does not know (qemu-img convert makes a plain image of it)');
  if ((features & featureBits.corrupt) !== 0n)
    return damaged('is marked as corrupt (qemu-img check -r all may repair it)');
  if ((features & featureBits.dirty) !== 0n)
    return damaged('is marked as dirty: it was in use when it was copied (qemu-img check -r all repairs it)');
  return sound;
}

function* inspectVersion3(clusterSize: number): Inspection<FormatVerdict> {
  const rest = yield* bytes(80, 24);
  if (rest.length < 24) return cutOff;
  const headerLength = rest.readUInt32BE(20);
  if (headerLength < 104 || headerLength > clusterSize) return damaged('has a header of an impossible length');
  return yield* inspectExtensions(headerLength, undefined, clusterSize);
}

/** `first` is the head of the first extension where it was read already; the extensions go on at `at`. */
function* inspectExtensions(at: number, first: Buffer | undefined, clusterSize: number): Inspection<FormatVerdict> {
  let head = first;
  while (head !== undefined || at < clusterSize) {
    if (head === undefined) {
      head = yield* bytes(at, 8);
      if (head.length < 8) return cutOff;
      at += 8;
    }
    const [type, length] = [head.readUInt32BE(0), head.readUInt32BE(4)];
    head = undefined;
    if (at + length > clusterSize) return damaged('has a header extension that does not fit into its header');
    if (type === 0) break;
    // QEMU takes it only together with its feature bit; what does not is hardly innocent.
    if (type === 0x44415441) return unsafe('names an external data file, which could expose files of a hypervisor');
    at += Math.ceil(length / 8) * 8;
  }
  if (at < leastLength && (yield* bytes(leastLength - 1, 1)).length === 0) return cutOff;
  return sound;
}

/**
 * qcow2, the format of QEMU.
 *
 * Invariant: an image that names another file, in any place of the format, is unsafe; so is one with a feature that Glance does not
 * know.
 */
import * as read from './reader.ts';

const featureBits = {
  dirty: 1n << 0n,
  corrupt: 1n << 1n,
  dataFile: 1n << 2n,
  subclusters: 1n << 4n,
  unknown: ~0b11111n,
};
/** Glance does not recognise shorter files as qcow2. */
const leastLength = 512;
const cutOff = read.damaged('is cut off in its header');

/** `convert`: the image is read here and not by Glance, so two features are allowed that do not matter to a reader. */
type Purpose = 'store' | 'convert';

export function* inspectQcow2(purpose: Purpose = 'store'): read.Inspection<read.FormatVerdict> {
  const header = yield* read.bytes(0, 72);
  if (!read.hasAt(header, 0, 'QFI\xfb')) return read.other;
  yield read.recognised;
  if (header.length < 72) return cutOff;
  const version = header.readUInt32BE(4);
  const backingFileOffset = header.readBigUInt64BE(8);
  const clusterBits = header.readUInt32BE(20);
  if (version !== 2 && version !== 3) return read.unsafe(`has version ${version}; only 2 and 3 can be checked`);
  if (backingFileOffset !== 0n) return read.unsafe('has a backing file, which could expose files of a hypervisor');

  // Version 3 has feature bits here. Version 2 has the first header extension, but Glance checks the bit all the same.
  const next = yield* read.bytes(72, 8);
  if (next.length < 8) return cutOff;
  const verdict = checkFeatures(version, next.readBigUInt64BE(), purpose);
  if (verdict !== read.sound) return verdict;
  yield read.virtualSize(Number(header.readBigUInt64BE(24)));
  if (clusterBits < 9 || clusterBits > 21) return read.damaged('has clusters of an impossible size');
  return version === 2
    ? yield* inspectExtensions(80, next, 1 << clusterBits)
    : yield* inspectVersion3(1 << clusterBits);
}

function checkFeatures(version: number, features: bigint, purpose: Purpose): read.FormatVerdict {
  if ((features & featureBits.dataFile) !== 0n)
    return read.unsafe('has an external data file, which could expose files of a hypervisor');
  if (version === 2) return read.sound;
  if ((features & featureBits.unknown) !== 0n && purpose === 'convert')
    return read.unsafe('needs features that are not known (qemu-img convert makes a plain image of it)');
  if ((features & (featureBits.unknown | featureBits.subclusters)) !== 0n && purpose === 'store')
    return read.unsafe('needs features that Glance does not know (qemu-img convert makes a plain image of it)');
  if ((features & featureBits.corrupt) !== 0n)
    return read.damaged('is marked as corrupt (qemu-img check -r all may repair it)');
  // A dirty image has wrong reference counts, which a reader does not use.
  if ((features & featureBits.dirty) !== 0n && purpose === 'store')
    return read.damaged('is marked as dirty: it was in use when it was copied (qemu-img check -r all repairs it)');
  return read.sound;
}

function* inspectVersion3(clusterSize: number): read.Inspection<read.FormatVerdict> {
  const rest = yield* read.bytes(80, 24);
  if (rest.length < 24) return cutOff;
  const headerLength = rest.readUInt32BE(20);
  if (headerLength < 104 || headerLength > clusterSize) return read.damaged('has a header of an impossible length');
  return yield* inspectExtensions(headerLength, undefined, clusterSize);
}

/** `first`: the head of the first extension if it was read already; the extensions continue at `at`. */
function* inspectExtensions(
  at: number,
  first: Buffer | undefined,
  clusterSize: number,
): read.Inspection<read.FormatVerdict> {
  let head = first;
  while (head !== undefined || at < clusterSize) {
    if (head === undefined) {
      head = yield* read.bytes(at, 8);
      if (head.length < 8) return cutOff;
      at += 8;
    }
    const [type, length] = [head.readUInt32BE(0), head.readUInt32BE(4)];
    head = undefined;
    if (at + length > clusterSize) return read.damaged('has a header extension that does not fit into its header');
    if (type === 0) break;
    // QEMU uses it only together with its feature bit. Without the bit it is suspicious.
    if (type === 0x44415441)
      return read.unsafe('names an external data file, which could expose files of a hypervisor');
    at += Math.ceil(length / 8) * 8;
  }
  if (at < leastLength && (yield* read.bytes(leastLength - 1, 1)).length === 0) return cutOff;
  return read.sound;
}

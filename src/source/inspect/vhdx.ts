/**
 * VHDX, the format of Hyper-V. The region table points to the metadata region, which has the size of the disk, each found by GUID.
 *
 * Invariant: the file is read forwards only, in the order of the specification; a value that appears twice is rejected; an image
 * that needs a parent is unsafe.
 */
import * as read from './reader.ts';

const kib = 1024;
const regionTable = { offset: 192 * kib, length: 64 * kib };
/** Both tables have entries of this length, and fewer than 2048 of them. */
const entryLength = 32;
const maxEntries = 2047;
const ids = {
  metadata: guid('8b7ca206-4790-4b9a-b8fe-575f050f886e'),
  diskSize: guid('2fa54224-cd1b-4876-b211-5dbed83bf4b8'),
  fileParameters: guid('caa16737-fa36-4d43-b3b6-33f0aa44e76b'),
};
const hasParent = 1 << 1;

/** `at` is relative to the metadata region. Both items are eight bytes long. */
interface Item {
  id: Buffer;
  at: number;
}
const itemLength = 8;

export function* inspectVhdx(): read.Inspection<read.FormatVerdict> {
  if (!read.hasAt(yield* read.bytes(0, 8), 0, 'vhdxfile')) return read.other;
  yield read.recognised;
  const table = yield* read.bytes(regionTable.offset, regionTable.length);
  if (table.length < regionTable.length) return read.damaged('is cut off in its region table');
  const count = table.readUInt32LE(8);
  if (!read.hasAt(table, 0, 'regi') || count > maxEntries) return read.damaged('has no valid region table');
  const [region, ...others] = entries(table.subarray(16), count, ids.metadata);
  if (region === undefined || others.length > 0) return read.damaged('does not have one metadata region');
  const at = Number(region.readBigUInt64LE(16));
  // Regions are aligned to 1 MiB and are not in the header.
  if (at === 0 || at % 2 ** 20 !== 0 || !Number.isSafeInteger(at))
    return read.damaged('has its metadata region in an impossible place');
  return yield* inspectMetadata(at);
}

function* inspectMetadata(at: number): read.Inspection<read.FormatVerdict> {
  const head = yield* read.bytes(at, entryLength);
  if (head.length < entryLength) return read.damaged('is cut off before its metadata');
  const count = head.readUInt16LE(10);
  if (!read.hasAt(head, 0, 'metadata') || count > maxEntries) return read.damaged('has no valid metadata table');
  const table = yield* read.bytes(at + entryLength, count * entryLength);
  if (table.length < count * entryLength) return read.damaged('is cut off in its metadata');
  const items: Item[] = [];
  for (const id of [ids.diskSize, ids.fileParameters]) {
    const found = entries(table, count, id);
    for (const entry of found) items.push({ id, at: entry.readUInt32LE(16) });
    if (found.length !== 1 || found[0]?.readUInt32LE(20) !== itemLength)
      return read.damaged('does not have its size and parameters exactly once');
  }
  return yield* inspectItems(
    at,
    items.sort((a, b) => a.at - b.at),
  );
}

function* inspectItems(region: number, items: Item[]): read.Inspection<read.FormatVerdict> {
  // Items follow the table.
  let free = regionTable.length;
  let parent = false;
  for (const { id, at } of items) {
    if (at < free) return read.damaged('has metadata that overlap');
    const item = yield* read.bytes(region + at, itemLength);
    if (item.length < itemLength) return read.damaged('is cut off in its metadata');
    if (id === ids.diskSize) yield read.virtualSize(Number(item.readBigUInt64LE()));
    else parent = (item.readUInt32LE(4) & hasParent) !== 0;
    free = at + itemLength;
  }
  return parent ? read.unsafe('is only the difference to a parent image') : read.sound;
}

function entries(table: Buffer, count: number, id: Buffer): Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    table.subarray(index * entryLength, (index + 1) * entryLength),
  ).filter((entry) => entry.subarray(0, id.length).equals(id));
}

/** As stored in the file: the first three groups are little-endian numbers. */
function guid(text: string): Buffer {
  const [a = '', b = '', c = '', ...rest] = text.split('-');
  const reversed = [a, b, c].map((group) => Buffer.from(group, 'hex').reverse());
  return Buffer.concat([...reversed, Buffer.from(rest.join(''), 'hex')]);
}

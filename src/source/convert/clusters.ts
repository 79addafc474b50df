/**
 * Where the bytes of a disk are in its qcow2 image, in the order of the disk.
 *
 * Guarantees: the pieces cover the disk exactly, each byte once, whatever the tables say; every piece is in the file; a table is
 * held only while it is read, and no larger than a cluster.
 */
import type { SeenFile } from './blocks.ts';
import type { ConversionErrors } from './errors.ts';
import { type Layout, sectorBytes } from './layout.ts';

/** `bytes` of the disk. `packed`: a compressed cluster, in at most `length` bytes of the file. */
export type Piece =
  | { kind: 'zeros'; bytes: number }
  | { kind: 'data'; bytes: number; at: number }
  | { kind: 'packed'; bytes: number; at: number; length: number };

const masks = { offset: 0x00fffffffffffe00n, compressed: 1n << 62n, zero: 1n };
const subclusters = 32;
/** Zeros that are joined. More of them would be looked through without a pause, and other transfers would wait. */
const mostZeros = 16 * 2 ** 20;
/** Entries of the first table that are read at once. */
const atOnce = 4096;

/** Adjacent pieces of zeros, and those that are adjacent in the file as well, are one. */
export async function* piecesOf(
  layout: Layout,
  file: SeenFile,
  errors: ConversionErrors,
): AsyncGenerator<Piece, void, undefined> {
  let last: Piece | undefined;
  for await (const table of tablesOf(layout, file, errors)) {
    for (const piece of table) {
      const joined = last === undefined ? undefined : join(last, piece);
      if (last !== undefined && joined === undefined) yield last;
      last = joined ?? piece;
    }
  }
  if (last !== undefined) yield last;
}

function join(one: Piece, next: Piece): Piece | undefined {
  if (one.kind === 'zeros' && next.kind === 'zeros' && one.bytes < mostZeros)
    return { kind: 'zeros', bytes: one.bytes + next.bytes };
  const isOn = one.kind === 'data' && next.kind === 'data' && one.at + one.bytes === next.at;
  return isOn ? { kind: 'data', at: one.at, bytes: one.bytes + next.bytes } : undefined;
}

/** The pieces of each part of the disk that one entry of the first table covers. */
async function* tablesOf(
  layout: Layout,
  file: SeenFile,
  errors: ConversionErrors,
): AsyncGenerator<Iterable<Piece>, void, undefined> {
  const { size, clusterBytes, table, hasSubclusters } = layout;
  const entryBytes = hasSubclusters ? 16 : 8;
  const covered = (clusterBytes / entryBytes) * clusterBytes;
  for (let from = 0; from < table.entries; from += atOnce) {
    const count = Math.min(atOnce, table.entries - from);
    const entries = await file.bytes(table.at + 8 * from, 8 * count);
    for (let index = 0; index < count; index++) {
      const bytes = Math.min(covered, size - (from + index) * covered);
      const at = Number(entries.readBigUInt64BE(8 * index) & masks.offset);
      if (at === 0) {
        yield [{ kind: 'zeros', bytes }];
        continue;
      }
      const length = Math.ceil(bytes / clusterBytes) * entryBytes;
      if (at % clusterBytes !== 0) throw errors.damaged('has a table in an impossible place');
      if (at + length > file.size) throw errors.damaged('is cut off before one of its tables');
      yield piecesIn(await file.bytes(at, length), bytes, layout, file.size, errors);
    }
  }
}

function* piecesIn(
  table: Buffer,
  bytes: number,
  layout: Layout,
  fileBytes: number,
  errors: ConversionErrors,
): Generator<Piece, void, undefined> {
  const { clusterBytes, hasSubclusters } = layout;
  for (let done = 0, at = 0; done < bytes; done += clusterBytes, at += hasSubclusters ? 16 : 8) {
    const most = Math.min(clusterBytes, bytes - done);
    const entry = table.readBigUInt64BE(at);
    if ((entry & masks.compressed) !== 0n) yield packed(entry, most, layout, fileBytes, errors);
    else if (hasSubclusters) yield* partsOf(entry, table.readBigUInt64BE(at + 8), most, layout, fileBytes, errors);
    else yield* cluster(entry, most, layout, fileBytes, errors);
  }
}

/** A cluster without compression and without subclusters. */
function* cluster(
  entry: bigint,
  bytes: number,
  { clusterBytes, hasZeroClusters }: Layout,
  fileBytes: number,
  errors: ConversionErrors,
): Generator<Piece, void, undefined> {
  const isZero = (entry & masks.zero) !== 0n;
  if (isZero && !hasZeroClusters) throw errors.damaged('has a cluster of zeros, which version 2 does not have');
  const at = hostOf(entry, clusterBytes, errors);
  if (isZero || at === 0) yield { kind: 'zeros', bytes };
  else yield* stored(at, bytes, fileBytes, errors);
}

/** A cluster with subclusters. `map`: a bit for each that is stored, and in the upper half one for each of zeros. */
function* partsOf(
  entry: bigint,
  map: bigint,
  bytes: number,
  { clusterBytes }: Layout,
  fileBytes: number,
  errors: ConversionErrors,
): Generator<Piece, void, undefined> {
  const at = hostOf(entry, clusterBytes, errors);
  const [areStored, areZeros] = [Number(map & 0xffff_ffffn), Number(map >> 32n)];
  if ((areStored & areZeros) !== 0) throw errors.damaged('has a subcluster that is both stored and zeros');
  if (at === 0 && areStored !== 0) throw errors.damaged('has a subcluster that is stored nowhere');
  const partBytes = clusterBytes / subclusters;
  for (let index = 0; index * partBytes < bytes; index++) {
    const most = Math.min(partBytes, bytes - index * partBytes);
    const isStored = (areStored & (1 << index)) !== 0;
    if (isStored) yield* stored(at + index * partBytes, most, fileBytes, errors);
    else yield { kind: 'zeros', bytes: most };
  }
}

function hostOf(entry: bigint, clusterBytes: number, errors: ConversionErrors): number {
  const at = Number(entry & masks.offset);
  if (at % clusterBytes !== 0) throw errors.damaged('has a cluster in an impossible place');
  return at;
}

/** The file may end within its last cluster: the rest of that is zeros. */
function* stored(
  at: number,
  bytes: number,
  fileBytes: number,
  errors: ConversionErrors,
): Generator<Piece, void, undefined> {
  if (at >= fileBytes) throw errors.damaged('is cut off before the end of its data');
  const there = Math.min(bytes, fileBytes - at);
  yield { kind: 'data', at, bytes: there };
  if (there < bytes) yield { kind: 'zeros', bytes: bytes - there };
}

function packed(
  entry: bigint,
  bytes: number,
  { clusterBits }: Layout,
  fileBytes: number,
  errors: ConversionErrors,
): Piece {
  const offsetBits = BigInt(70 - clusterBits);
  const at = Number(entry & ((1n << offsetBits) - 1n));
  const sectors = Number((entry >> offsetBits) & ((1n << BigInt(clusterBits - 8)) - 1n)) + 1;
  if (at >= fileBytes) throw errors.damaged('is cut off before the end of its data');
  const length = Math.min(sectors * sectorBytes - (at % sectorBytes), fileBytes - at);
  return { kind: 'packed', bytes, at, length };
}

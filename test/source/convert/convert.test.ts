import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memoryOf } from '../../../src/source/convert/blocks.ts';
import { convert, rangesOf } from './converting.ts';
import { type Cluster, type Qcow2, writeQcow2 } from './qcow2.ts';

const simple: fc.Arbitrary<Cluster> = fc.constantFrom('absent', 'zeros', 'data', 'packed');
const parts: fc.Arbitrary<Cluster> = fc
  .tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff))
  .map(([stored, zeros]) => ({ stored, zeros: (zeros & ~stored) >>> 0 }));

const plain: fc.Arbitrary<Qcow2> = fc.record({
  version: fc.constant<3>(3),
  clusterBits: fc.integer({ min: 9, max: 17 }),
  compression: fc.constantFrom('deflate', 'zstd'),
  clusters: fc.array(simple, { minLength: 1, maxLength: 150 }),
  missing: fc.constant(0),
  order: fc.array(fc.nat(), { maxLength: 20 }),
});
const old: fc.Arbitrary<Qcow2> = plain.map((layout) => ({
  ...layout,
  version: 2,
  compression: 'deflate',
  clusters: layout.clusters.map((cluster) => (cluster === 'zeros' ? 'absent' : cluster)),
}));
const withParts: fc.Arbitrary<Qcow2> = fc.record({
  hasSubclusters: fc.constant(true),
  clusterBits: fc.integer({ min: 14, max: 17 }),
  compression: fc.constantFrom('deflate', 'zstd'),
  clusters: fc.array(fc.oneof(simple, parts), { minLength: 1, maxLength: 30 }),
  missing: fc.integer({ min: 0, max: 31 }),
  order: fc.array(fc.nat(), { maxLength: 20 }),
});

test('a qcow2 image of any layout is converted to the disk that it describes, however its bytes arrive', async () => {
  const chunkBytes = fc.integer({ min: 100, max: 100_000 });
  await fc.assert(
    fc.asyncProperty(fc.oneof(plain, old, withParts), chunkBytes, async (layout, chunks) => {
      const { file, disk } = writeQcow2(layout);
      const converted = await convert(file, { chunkBytes: chunks });
      assert.ok(converted.equals(disk), 'another disk');
    }),
    { numRuns: 60 },
  );
});

test('the clusters of a file in the order of its disk are requested with few requests, each byte about once', async () => {
  const clusters = Array.from({ length: 400 }, (): Cluster => 'data');
  const { file, disk } = writeQcow2({ clusters });
  const ranges = rangesOf(file);
  assert.ok((await convert(file, { ranges })).equals(disk));
  assert.ok(ranges.ranges.length < 15, `${ranges.ranges.length} requests`);
  assert.ok(ranges.bytes() < file.length + 2 ** 20, `${ranges.bytes()} of ${file.length} bytes`);
});

test('clusters that a disk has in reverse order are read again less often than the limit', async () => {
  const clusters = Array.from({ length: 300 }, (): Cluster => 'data');
  const { file, disk } = writeQcow2({ clusters, order: clusters.map((_, index) => -index) });
  assert.ok((await convert(file)).equals(disk));
});

test('the memory of a conversion is at most 52 MiB for a file of any length', () => {
  for (const bytes of [1, 2 ** 20, 2 ** 33, 2 ** 33 + 1, 2 ** 37, 2 ** 40 - 1, 2 ** 40])
    assert.ok(memoryOf(bytes) <= 52 * 2 ** 20, `${memoryOf(bytes)} for ${bytes}`);
  assert.ok(memoryOf(2 ** 30) < 21 * 2 ** 20);
});

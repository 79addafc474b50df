/** Files that must not be converted, or that try to cost more than they are worth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { piecesOf } from '../../../src/source/convert/clusters.ts';
import { conversionErrors } from '../../../src/source/convert/errors.ts';
import type { ConvertOptions } from '../../../src/source/convert/index.ts';
import { readHead } from '../../../src/source/convert/layout.ts';
import { failsWith } from '../server.ts';
import { convert, limits, rangesOf } from './converting.ts';
import { type Cluster, type Written, writeQcow2 } from './qcow2.ts';

const errors = conversionErrors('https://example.com/disk.qcow2');
const clusters: Cluster[] = ['data', 'packed', 'absent', 'data'];
const written = writeQcow2({ clusters });
const withParts = writeQcow2({ hasSubclusters: true, clusters: [{ stored: 1, zeros: 2 }, 'data'] });

/** The image with something changed in it. */
function changed(change: (file: Buffer, image: Written) => void, image = written): Buffer {
  const file = Buffer.from(image.file);
  change(file, { ...image, file });
  return file;
}
const firstTable = ({ tables }: Written) => tables[0] ?? 0;
const withFeature = (bits: bigint) => changed((file) => file.writeBigUInt64BE(bits, 72));

const refused: [what: string, file: Buffer, code: string, message: RegExp][] = [
  [
    'a file of another format',
    Buffer.alloc(100_000),
    'FormatMismatch',
    /^content\.convert reads qcow2 images only, and .* is not one: correct the URL/,
  ],
  ['an HTML page', Buffer.from(`<!doctype html>${' '.repeat(4000)}`), 'PageReceived', /an HTML page/],
  ['a compressed image', gzipSync(written.file), 'ConversionNeedsRanges', /it is a file compressed with gzip/],
  ['a header that is cut off', written.file.subarray(0, 90), 'FormatMismatch', /cut off/],
  ['version 4', changed((file) => file.writeUInt32BE(4, 4)), 'UnsafeImage', /has version 4/],
  ['a backing file', changed((file) => file.writeBigUInt64BE(104n, 8)), 'UnsafeImage', /has a backing file/],
  ['an external data file', withFeature(4n), 'UnsafeImage', /has an external data file/],
  [
    'the name of an external data file',
    changed((file) => {
      file.writeUInt32BE(0x44415441, 112);
      file.writeUInt32BE(8, 116);
    }),
    'UnsafeImage',
    /names an external data file/,
  ],
  ['an unknown feature', withFeature(32n), 'UnsafeImage', /needs features that are not known/],
  ['the mark of a corrupt image', withFeature(2n), 'FormatMismatch', /marked as corrupt/],
  ['AES encryption', changed((file) => file.writeUInt32BE(1, 32)), 'FormatMismatch', /is encrypted/],
  ['LUKS encryption', changed((file) => file.writeUInt32BE(2, 32)), 'FormatMismatch', /is encrypted/],
  ['clusters of 256 bytes', changed((file) => file.writeUInt32BE(8, 20)), 'FormatMismatch', /impossible size/],
  ['clusters of 4 MiB', changed((file) => file.writeUInt32BE(22, 20)), 'FormatMismatch', /impossible size/],
  ['a disk of no bytes', changed((file) => file.writeBigUInt64BE(0n, 24)), 'FormatMismatch', /no bytes/],
  [
    'a disk with half a sector',
    changed((file) => file.writeBigUInt64BE(1000n, 24)),
    'FormatMismatch',
    /multiple of 512/,
  ],
  [
    'a disk of 2^60 bytes',
    changed((file) => file.writeBigUInt64BE(2n ** 60n, 24)),
    'VirtualSizeExceeded',
    /a disk of at least 1024Pi, and this operator allows 1Ti/,
  ],
  ['a disk of 2^63 bytes', changed((file) => file.writeBigUInt64BE(2n ** 63n, 24)), 'VirtualSizeExceeded', /allows/],
  [
    'a disk of 1 TiB in a small file',
    changed((file) => file.writeBigUInt64BE(2n ** 40n, 24)),
    'CompressionBomb',
    /grows to 1Ti as raw; the limit is 1100 times its size and 256Mi/,
  ],
  [
    'a first table that is shorter than the disk',
    changed((file) => file.writeBigUInt64BE(2n ** 29n + 512n, 24)),
    'FormatMismatch',
    /first table that is too short/,
  ],
  [
    'a first table between clusters',
    changed((file) => file.writeBigUInt64BE(1000n, 40)),
    'FormatMismatch',
    /first table in an impossible place/,
  ],
  [
    'a first table behind the end',
    changed((file) => file.writeBigUInt64BE(2n ** 63n, 40)),
    'FormatMismatch',
    /cut off in its first table/,
  ],
  [
    'a table between clusters',
    changed((file, { table }) => file.writeBigUInt64BE(512n, table)),
    'FormatMismatch',
    /a table in an impossible place/,
  ],
  [
    'a table behind the end',
    changed((file, { table }) => file.writeBigUInt64BE(2n ** 50n, table)),
    'FormatMismatch',
    /cut off before one of its tables/,
  ],
  [
    'a cluster between clusters',
    changed((file, image) => file.writeBigUInt64BE(512n, firstTable(image))),
    'FormatMismatch',
    /a cluster in an impossible place/,
  ],
  [
    'a cluster behind the end',
    changed((file, image) => file.writeBigUInt64BE(2n ** 55n, firstTable(image))),
    'FormatMismatch',
    /cut off before the end of its data/,
  ],
  [
    'a compressed cluster behind the end',
    changed((file, image) => file.writeBigUInt64BE(2n ** 62n + 2n ** 50n, firstTable(image) + 8)),
    'FormatMismatch',
    /cut off before the end of its data/,
  ],
  [
    'a compressed cluster of other data',
    changed((file, image) => file.writeBigUInt64BE(2n ** 62n + 100n, firstTable(image) + 8)),
    'FormatMismatch',
    /damaged compressed cluster at byte 100 /,
  ],
  [
    'a cluster of zeros in version 2',
    changed((file, image) => {
      file.writeUInt32BE(2, 4);
      file.fill(0, 72, 112);
      file.writeBigUInt64BE(1n, firstTable(image));
    }),
    'FormatMismatch',
    /which version 2 does not have/,
  ],
  [
    'a compression that is not known',
    changed((file) => {
      file.writeBigUInt64BE(8n, 72);
      file.writeUInt8(7, 104);
    }),
    'FormatMismatch',
    /compressed in a way that is not known \(type 7\)/,
  ],
  ['two kinds of compression', withFeature(8n), 'FormatMismatch', /does not say clearly/],
  [
    'zstd clusters and no feature for them',
    changed((file) => file.writeUInt8(1, 104)),
    'FormatMismatch',
    /does not say clearly/,
  ],
  [
    'subclusters of less than a sector',
    changed((file) => {
      file.writeBigUInt64BE(16n, 72);
      file.writeUInt32BE(13, 20);
    }),
    'FormatMismatch',
    /too small for its subclusters/,
  ],
  [
    'a subcluster that is both stored and zeros',
    changed((file, image) => file.writeBigUInt64BE(2n ** 32n + 1n, firstTable(image) + 8), withParts),
    'FormatMismatch',
    /both stored and zeros/,
  ],
  [
    'a subcluster that is stored nowhere',
    changed((file, image) => file.writeBigUInt64BE(0n, firstTable(image)), withParts),
    'FormatMismatch',
    /stored nowhere/,
  ],
];

for (const [what, file, code, message] of refused)
  test(`a file with ${what} is not converted`, async () => {
    await assert.rejects(convert(file), failsWith(code, message));
  });

test('a compressed cluster that becomes more or less than a cluster is damaged', async () => {
  for (const compression of ['deflate', 'zstd'] as const) {
    const large = writeQcow2({ clusters: ['packed'], clusterBits: 17, compression });
    const entry = large.file.readBigUInt64BE(large.tables[0] ?? 0);
    for (const clusterBits of [16, 18]) {
      const other = writeQcow2({ clusters: ['packed'], clusterBits, compression });
      const data = Number(entry & 0xffff_ffffn);
      const file = Buffer.concat([other.file, Buffer.alloc(2 ** 18)]);
      large.file.copy(file, file.length - 2 ** 18, data, data + 2 ** 16);
      const at = BigInt(file.length - 2 ** 18) + 2n ** 62n + (100n << BigInt(70 - clusterBits));
      file.writeBigUInt64BE(at, other.tables[0]);
      await assert.rejects(convert(file), failsWith('FormatMismatch', /damaged compressed cluster/));
    }
  }
});

test('no byte of the disk is released before the whole file was accepted', async () => {
  const onPassed = () => {
    throw new Error('not the declared file');
  };
  const ranges = rangesOf(written.file);
  await assert.rejects(convert(written.file, { onPassed, ranges }), { message: 'not the declared file' });
  assert.deepEqual(ranges.ranges, []);
});

test('a file that changes between the two passes is not converted', async () => {
  const at = written.file.length - 1;
  const other = changed((file) => file.writeUInt8(file.readUInt8(at) ^ 1, at));
  await assert.rejects(convert(written.file, { ranges: rangesOf(other) }), failsWith('SourceChanged', /has changed/));
  const shorter: ConvertOptions['ranges'] = {
    size: () => written.file.length,
    read: (from, to) => rangesOf(written.file).read(from, Math.min(to, 70_000)),
  };
  await assert.rejects(convert(written.file, { ranges: shorter }), failsWith('SourceChanged', /has changed/));
});

test('a source without ranges is rejected before the file is read', async () => {
  await assert.rejects(
    convert(written.file, { ranges: undefined }),
    failsWith('ConversionNeedsRanges', /whole files only/),
  );
  const sizeless = { ...rangesOf(written.file), size: () => undefined };
  await assert.rejects(
    convert(written.file, { ranges: sizeless }),
    failsWith('ConversionNeedsRanges', /length of the file/),
  );
});

test('a disk that does not fit is rejected with the first bytes of the file', async () => {
  const large = changed((file) => file.writeBigUInt64BE(3n * 2n ** 29n, 24));
  await assert.rejects(convert(large, { minDiskGiB: 1 }), failsWith('MinDiskTooSmall', /set it to 2/));
  const small = { ...limits, maxVirtualBytes: 2 ** 20 };
  await assert.rejects(
    convert(large, { limits: small }),
    failsWith('VirtualSizeExceeded', /a disk of at least 1.5Gi, and this operator allows 1Mi/),
  );
});

test('tables that overlap, and entries that all name one cluster, are read as they are', async () => {
  const { file, table, tables } = writeQcow2({
    clusterBits: 9,
    clusters: Array.from({ length: 200 }, (): Cluster => 'data'),
  });
  const [first = 0] = tables;
  // Every entry of the first table is the same second table, and that names the first table as data.
  for (let at = 0; at < 8 * tables.length; at += 8) file.writeBigUInt64BE(BigInt(first), table + at);
  for (let at = 0; at < 512; at += 8) file.writeBigUInt64BE(BigInt(table), first + at);
  const disk = await convert(file);
  assert.ok(disk.equals(Buffer.concat(Array.from({ length: 200 }, () => file.subarray(table, table + 512)))));
});

test('a disk whose clusters jump through the file again and again is given up at the limit', async () => {
  // More blocks than are kept, each of which is named many times in turn.
  const count = 2400;
  const { file, tables } = writeQcow2({
    clusterBits: 14,
    clusters: Array.from({ length: count }, (): Cluster => 'data'),
  });
  const places = tables.flatMap((at) => Array.from({ length: 2048 }, (_, index) => at + 8 * index)).slice(0, count);
  const hosts = places.map((at) => file.readBigUInt64BE(at));
  for (const [index, at] of places.entries()) file.writeBigUInt64BE(hosts[(index * 577) % hosts.length] ?? 0n, at);
  const ranges = rangesOf(file, 65_536);
  await assert.rejects(convert(file, { ranges }), failsWith('FormatMismatch', /read it more than 16 times/));
  assert.ok(ranges.bytes() <= 16 * file.length + 2 ** 27, `${ranges.bytes()} bytes of ${file.length}`);
});

test('a file that is longer or shorter than its parts say is not converted', async () => {
  // Clusters that are larger than the blocks of which digests are kept.
  const { file } = writeQcow2({ clusters: ['data', 'data'], clusterBits: 21 });
  for (const size of [file.length - 65_536, file.length - 2 ** 20, file.length + 512, file.length + 65_536]) {
    const ranges = { ...rangesOf(file), size: () => size };
    await assert.rejects(convert(file, { ranges }), failsWith('SourceChanged', /the file has changed/));
  }
});

test('a long stretch of zeros is released in parts, so that other transfers continue meanwhile', async () => {
  const { file, disk } = writeQcow2({ clusters: Array.from({ length: 40 }, () => 'zeros'), clusterBits: 20 });
  const layout = readHead({ errors, fileBytes: file.length, checkSize: () => {} });
  layout.update(file);
  const seen = {
    ...{ size: file.length, close: async () => {} },
    bytes: async (from: number, length: number) => file.subarray(from, from + length),
    async *slices() {},
  };
  const parts: number[] = [];
  for await (const { bytes } of piecesOf(layout.finish(), seen, errors)) parts.push(bytes);
  assert.deepEqual(parts, [2 ** 24, 2 ** 24, 2 ** 23]);
  assert.ok((await convert(file)).equals(disk));
});

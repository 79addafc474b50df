import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import { sizeAhead } from '../../../src/source/decompress/size-ahead.ts';
import { SourceError } from '../../../src/source/errors.ts';
import type { RangeReader } from '../../../src/source/source.ts';
import { generated } from '../../env/content.ts';
import { rangesOf } from '../convert/converting.ts';
import { compressors, tool, xzStream, zstdSkippable } from './files.ts';

const mib = 2 ** 20;
const data = generated(3 * mib).slice(0, 3 * mib);
const single = tool('xz -c -0', data);
const blocks = tool('xz -c -0 --block-size=300000', data);
const sized = zstdCompressSync(data);
const unsized = tool('zstd -q -c --no-content-size', data);

const of = (compression: 'xz' | 'zstd' | 'gzip' | 'bzip2', file: Buffer, ranges: RangeReader = rangesOf(file)) =>
  sizeAhead(compression, ranges, file.length);

test('the length of xz data is read from the index at the end of the file, with two short requests for each stream', async () => {
  for (const file of [single, blocks]) {
    const ranges = rangesOf(file);
    assert.equal(await of('xz', file, ranges), data.length);
    assert.equal(ranges.ranges.length, 2);
    assert.ok(ranges.bytes() < 1000, `${ranges.bytes()} bytes`);
  }
  assert.equal(await of('xz', Buffer.concat([single, blocks, single])), 3 * data.length);
});

test('an xz file whose end is something else, or whose index does not fit, has no known length', async () => {
  const cut = single.subarray(0, -4);
  const padded = Buffer.concat([single, Buffer.alloc(8)]);
  const damaged = Buffer.from(single);
  damaged.writeUInt8(damaged.readUInt8(single.length - 14) ^ 1, single.length - 14);
  const large = Array.from({ length: 40 }, () => ({ data: data.subarray(0, 65_536) }));
  const shifted = xzStream(large, { records: ([first = [0, 0], ...rest]) => [[first[0] + 4, first[1]], ...rest] });
  const overlong = xzStream(large, { backwardSize: 2 ** 31 });
  for (const file of [cut, padded, damaged, shifted, overlong]) assert.equal(await of('xz', file), undefined);
});

test('the length of zstd data is that in the header of its first frame', async () => {
  assert.equal(await of('zstd', sized), data.length);
  for (const level of ['-1', '-19 --long=27'])
    assert.equal(await of('zstd', tool(`zstd -q -c ${level} --stream-size=${data.length}`, data)), data.length);
  assert.equal(
    await of('zstd', zstdCompressSync(data, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })),
    undefined,
  );
  for (const file of [unsized, Buffer.concat([zstdSkippable(Buffer.alloc(4)), sized])])
    assert.equal(await of('zstd', file), undefined);
});

test('gzip and bzip2 files state no length that holds, so no request is made', async () => {
  for (const compression of ['gzip', 'bzip2'] as const) {
    const file = compressors[compression](data);
    const ranges = rangesOf(file);
    assert.equal(await of(compression, file, ranges), undefined);
    assert.deepEqual(ranges.ranges, []);
  }
});

test('a length is not read of small files, without ranges, and from a server that fails', async () => {
  assert.equal(await sizeAhead('xz', undefined, 2 * mib), undefined);
  assert.equal(await sizeAhead('xz', rangesOf(single), undefined), undefined);
  assert.equal(await of('zstd', sized.subarray(0, 2 * mib - 1)), undefined);
  const broken: RangeReader = {
    size: () => single.length,
    // biome-ignore lint/correctness/useYield: it fails before its first byte.
    async *read() {
      throw new SourceError('SourceUnavailable', 'no');
    },
  };
  assert.equal(await of('xz', single, broken), undefined);
});

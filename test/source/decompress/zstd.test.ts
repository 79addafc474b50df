import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { OperatorError } from '../../../src/lib/errors.ts';
import { createMemoryBudget } from '../../../src/lib/memory-budget.ts';
import { decompress } from '../../../src/source/decompress/index.ts';
import { defaultLimits } from '../../../src/transfer/plan.ts';
import { compressors, mixed, tool, zstdFrame, zstdSkippable } from './files.ts';
import { body, explodes, outcome, refuses, unpacked } from './reading.ts';

const data = mixed(400_000);
const small = compressors.zstd(Buffer.from('small'));
const er = zstdCompressSync(Buffer.from('er'));
const skippable = zstdSkippable(Buffer.from('skip this'), 7);

const cuts = [[], [1], [small.length, 1e9], [small.length - 1, 1e9], [small.length + 3, 1e9]];

describe('zstd', () => {
  for (const flags of ['-1', '-19', '--no-check', '--long=27', '--ultra -22', '--no-content-size', '-3 -B20000'])
    test(`zstd data written with ${flags} is decompressed`, async () => {
      const file = tool(`zstd -q -c ${flags}`, data);
      for (const lengths of [[], [1000]]) assert.ok((await unpacked(file, lengths)).equals(data));
    });

  test('zstd data is read to the end of its last frame, for any chunks', async () => {
    for (const lengths of cuts)
      assert.equal(
        (await unpacked(Buffer.concat([small, er, compressors.zstd(Buffer.alloc(0))]), lengths)).toString(),
        'smaller',
      );
  });

  test('zstd data may have skippable frames in any place', async () => {
    const file = Buffer.concat([skippable, zstdSkippable(Buffer.alloc(0)), small, skippable, er, skippable]);
    for (const lengths of cuts) {
      const { bytes, compression } = await outcome(body(file, lengths));
      assert.deepEqual([bytes.toString(), compression], ['smaller', 'zstd']);
    }
  });

  test('a skippable zstd frame may be larger than any buffer', async () => {
    const file = Buffer.concat([zstdSkippable(Buffer.alloc(3_000_000, 1)), small]);
    assert.equal((await unpacked(file, [100_000])).toString(), 'small');
  });

  test('zstd frames that hold next to nothing are limited in number, skippable ones too', async () => {
    const empty = compressors.zstd(Buffer.alloc(0));
    for (const frame of [zstdSkippable(Buffer.alloc(0)), empty]) {
      const file = Buffer.concat([...Array<Buffer>(200_000).fill(frame), small]);
      await explodes(file, /consists of 1\d{4} parts with next to no data/);
    }
    const many = Buffer.concat([...Array<Buffer>(9000).fill(zstdSkippable(Buffer.alloc(0))), small]);
    for (const lengths of [[], [1000], [5]]) assert.equal((await unpacked(many, lengths)).toString(), 'small');
  });

  test('skippable zstd frames alone are an empty file', async () => {
    assert.equal((await unpacked(Buffer.concat([skippable, skippable]), [3])).length, 0);
  });

  test('a zstd file may need the window of zstd --long by the limits of the operator', async () => {
    const file = zstdFrame([{ raw: Buffer.from('x') }], (27 - 10) << 3);
    const { bytes, error } = await outcome(body(file), defaultLimits);
    assert.deepEqual([bytes.toString(), error], ['x', undefined]);
    const larger = await outcome(body(zstdFrame([{ raw: Buffer.from('x') }], (28 - 10) << 3)), defaultLimits);
    assert.match(
      larger.error?.message ?? '',
      /needs 256Mi of memory .* the limit is 128Mi: have it compressed with a smaller window/,
    );
  });

  test('zstd data may have thousands of frames', async () => {
    const file = Buffer.concat(Array.from({ length: 3000 }, () => er));
    assert.equal((await unpacked(file, [1000])).toString(), 'er'.repeat(3000));
  });

  test('zstd data may have raw or repeated blocks', async () => {
    const file = zstdFrame([{ raw: Buffer.from('raw') }, { byte: 0x41, times: 1000 }, { raw: Buffer.alloc(0) }]);
    assert.ok(zstdDecompressSync(file).equals(await unpacked(file, [1])));
    assert.equal((await unpacked(file)).toString(), `raw${'A'.repeat(1000)}`);
  });

  test('zstd data followed by garbage is rejected with the offset', async () => {
    assert.equal(small.length, 18);
    for (const lengths of cuts)
      for (const garbage of ['garbage', '\0\0\0\0', '\x1f\x8b\x08\0']) {
        const file = Buffer.concat([small, Buffer.from(garbage, 'latin1')]);
        await refuses(file, /near byte 18: there is something other than a frame/, lengths);
      }
  });

  test('zstd data with a wrong checksum is rejected', async () => {
    const wrong = Buffer.from(small);
    wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
    await refuses(wrong, /checksum/);
    await refuses(Buffer.concat([wrong, small]), /checksum/);
  });

  test('zstd data with another length than in its header is rejected', async () => {
    // Single segment, no checksum, content size 5; then a raw block of 4 bytes.
    await refuses(Buffer.from(`28b52ffd2005${'210000'}61626364`, 'hex'), /damaged/);
  });

  test('truncated zstd data is rejected, except between frames, which is undetectable', async () => {
    const file = Buffer.concat([small, skippable, er]);
    const ends = [small.length, small.length + skippable.length];
    for (let length = 4; length < file.length; length++) {
      const { bytes, error } = await outcome(body(file.subarray(0, length), [7]));
      if (ends.includes(length)) assert.deepEqual([bytes.toString(), error], ['small', undefined]);
      else assert.match(error?.message ?? '', new RegExp(`cut off after ${length} bytes`));
    }
  });

  test('zstd data with reserved bits, a reserved block or an external dictionary is rejected', async () => {
    await refuses(Buffer.from('28b52ffd0838010000', 'hex'), /reserved bit/);
    await refuses(Buffer.from('28b52ffd0038070000', 'hex'), /reserved type/);
    await refuses(Buffer.from('28b52ffd013805010000', 'hex'), /dictionary that is not part of it/);
    // A dictionary with the number 0 is none.
    assert.equal((await unpacked(Buffer.from('28b52ffd013800010000', 'hex'))).length, 0);
  });
});

describe('the window of zstd', () => {
  test('a zstd window above the limit is rejected before decoding, in any frame', async () => {
    // 0x98: 2^29 bytes.
    const large = zstdFrame([{ raw: Buffer.from('x') }], 0x98);
    await explodes(large, /needs 512Mi of memory to be decompressed; the limit is 128Mi/);
    await explodes(Buffer.concat([skippable, small, large]), /512Mi/);
    assert.equal(zstdDecompressSync(zstdFrame([{ raw: Buffer.from('x') }], 0x88)).toString(), 'x');
  });

  test('a zstd window up to the limit is accepted, also beyond the default of the decoder', async () => {
    // 0x89: 144 MiB.
    const file = zstdFrame([{ raw: Buffer.from('x') }], 0x89);
    assert.throws(() => zstdDecompressSync(file), /memory/);
    const { bytes, error } = await outcome(body(file), { maxDictionaryBytes: 2 ** 29 });
    assert.deepEqual([bytes.toString(), error], ['x', undefined]);
  });

  test('a zstd window size has eighths of a power of two', async () => {
    const file = zstdFrame([{ raw: Buffer.from('x') }], 0x39);
    await explodes(file, /needs 144Ki of memory to be decompressed; the limit is 128Ki/, {
      maxDictionaryBytes: 2 ** 17,
    });
  });

  test('a single-segment zstd frame has its content size as window', async () => {
    const file = zstdCompressSync(data, {
      params: { [constants.ZSTD_c_contentSizeFlag]: 1 },
      pledgedSrcSize: data.length,
    });
    await explodes(file, /needs 391Ki of memory to be decompressed/, { maxDictionaryBytes: 300_000 });
  });

  test('a later zstd frame that needs memory which other transfers use ends the transfer with a reason of its own', async () => {
    const mib = 2 ** 20;
    const budget = createMemoryBudget(180 * mib);
    const { signal } = new AbortController();
    using other = budget.share(signal);
    other.want(100 * mib);
    await other.granted();
    // The second frame has a window of 128 MiB.
    const file = Buffer.concat([small, zstdFrame([{ raw: Buffer.from('x') }], 0x88)]);
    using memory = budget.share(signal);
    const options = { mode: 'Auto', url: 'https://example.com/disk.zst', limits: defaultLimits, memory } as const;
    await assert.rejects(buffer(decompress(body(file), options).body), (error) => {
      assert.ok(error instanceof OperatorError);
      assert.equal(error.code, 'DecoderMemoryInUse');
      assert.deepEqual(error.retry, { kind: 'backoff' });
      assert.match(error.message, /disk\.zst needs more memory than its first part, and other transfers use it/);
      return true;
    });
    other[Symbol.dispose]();
    using next = budget.share(signal);
    assert.equal((await buffer(decompress(body(file), { ...options, memory: next }).body)).toString(), 'smallx');
  });
});

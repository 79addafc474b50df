import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { generated } from '../../env/content.ts';
import { mixed, tool } from './files.ts';
import { body, outcome, refuses, unpacked } from './reading.ts';

const data = mixed(1_200_000);
const small = tool('bzip2 -c', Buffer.from('small'));
const empty = tool('bzip2 -c', Buffer.alloc(0));

/** The number that stands in the bits from `at`, written over. */
function patched(file: Uint8Array, at: number, bits: number, value: number): Buffer {
  const copy = Buffer.from(file);
  for (let bit = 0; bit < bits; bit++) {
    const [byte, mask] = [(at + bit) >> 3, 0x80 >> ((at + bit) & 7)];
    const isSet = ((value >>> (bits - 1 - bit)) & 1) !== 0;
    copy[byte] = isSet ? (copy[byte] ?? 0) | mask : (copy[byte] ?? 0) & ~mask;
  }
  return copy;
}
// Where the fields of the first block are, in bits: level, signature, checksum, then these.
const randomised = 32 + 48 + 32;
const origin = randomised + 1;

describe('bzip2', () => {
  for (const level of [1, 2, 9])
    test(`bzip2 data of several blocks written with -${level} is decompressed`, async () => {
      const file = tool(`bzip2 -c -${level}`, data);
      for (const lengths of [[], [1000], [100_000, 1]]) assert.ok((await unpacked(file, lengths)).equals(data));
    });

  const contents: Record<string, Buffer> = {
    noise: generated(1_000_000).slice(0, 1_000_000),
    zeros: Buffer.alloc(1_000_000),
    'one byte': Buffer.from('x'),
    'all values': Buffer.from(Array.from({ length: 256 }, (_, value) => value)),
    'runs of 3 to 5, 254 to 260': Buffer.concat(
      [3, 4, 5, 254, 255, 256, 258, 259, 260].map((times, index) => Buffer.alloc(times, index)),
    ),
    'a run that ends the block': Buffer.concat([generated(5000).slice(0, 5000), Buffer.alloc(255 * 20, 7)]),
    periods: Buffer.alloc(300_000, 'ab'),
    // Fibonacci weights make the longest codes.
    'unequal counts': Buffer.concat(
      Array.from({ length: 24 }, (_, index) => Buffer.alloc(Math.round(1.6 ** index), index)).reverse(),
    ),
  };
  for (const [name, content] of Object.entries(contents))
    test(`bzip2 data gives back ${name}`, async () => {
      assert.ok((await unpacked(tool('bzip2 -c', content), [10_000])).equals(content));
    });

  test('the bzip2 decoder agrees with the tool on arbitrary input', async () => {
    const parts = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 700 })).map(([byte, times]) => Buffer.alloc(times, byte)),
        fc.constantFrom('the same words, ', 'other words, ').map((words) => Buffer.from(words)),
      ),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(parts, async (list) => {
        const content = Buffer.concat(list);
        assert.ok((await unpacked(tool('bzip2 -c -1', content), [999])).equals(content));
      }),
      { seed: 2, numRuns: 100 },
    );
  });

  test('bzip2 data is read to the end of its last stream, with any levels', async () => {
    const file = Buffer.concat([small, empty, tool('bzip2 -c -1', data), empty, tool('bzip2 -c -9', data), small]);
    const whole = Buffer.concat([Buffer.from('small'), data, data, Buffer.from('small')]);
    for (const lengths of [[], [small.length, 1e9], [777]]) assert.ok((await unpacked(file, lengths)).equals(whole));
  });

  test('bzip2 data may decompress to nothing, but a file of no bytes is an error', async () => {
    assert.equal((await unpacked(empty)).length, 0);
    await refuses(Buffer.from('BZh9'), /cut off after 4 bytes/);
  });

  test('bzip2 data followed by garbage is rejected with the offset', async () => {
    for (const garbage of ['g', 'garbage', '\0\0\0\0', 'BZh0', 'BZ', '\x1f\x8b\x08\0']) {
      const { bytes, error } = await outcome(body(Buffer.concat([small, Buffer.from(garbage, 'latin1')]), [9]));
      assert.equal(bytes.toString(), 'small');
      assert.match(error?.message ?? '', /there is something other than a stream|is cut off/);
    }
  });

  test('truncated bzip2 data is rejected, except between streams, which is undetectable', async () => {
    const file = Buffer.concat([small, small]);
    for (let length = 4; length < file.length; length++) {
      const { bytes, error } = await outcome(body(file.subarray(0, length), [7]));
      if (length === small.length) assert.deepEqual([bytes.toString(), error], ['small', undefined]);
      else assert.match(error?.message ?? '', new RegExp(`cut off after ${length} bytes`));
    }
  });

  test('bzip2 data with a wrong checksum of a block or stream is rejected', async () => {
    await refuses(patched(small, 32 + 48, 1, (((small[10] ?? 0) >> 7) ^ 1) & 1), /checksum of a block/);
    // The checksum of an empty stream is 0, and stands behind its signature.
    await refuses(patched(empty, 32 + 48, 32, 1), /checksum of a stream/);
  });

  test('randomised bzip2 data, an obsolete format, is rejected', async () => {
    await refuses(patched(small, randomised, 1, 1), /randomised/);
  });

  test('bzip2 data with an impossible field value is rejected', async () => {
    await refuses(patched(small, origin, 24, 5), /has an invalid start position/);
    await refuses(patched(small, origin + 24, 16, 0), /uses no values/);
    await refuses(patched(small, 32, 8, 0), /something other than a block/);
    // `small` has five values in two rows of the map; behind them: the number of codes, and of selectors.
    const codes = origin + 24 + 16 + 2 * 16;
    await refuses(patched(small, codes, 3, 1), /too few or too many/);
    await refuses(patched(small, codes, 3, 7), /too few or too many/);
    await refuses(patched(small, codes + 3, 15, 0), /no selectors/);
    await refuses(patched(small, codes + 18, 6, 63), /selector is out of range/);
  });

  test('a bzip2 block longer than its level allows is rejected', async () => {
    await refuses(patched(tool('bzip2 -c -2', data), 24, 8, 0x31), /longer than its level allows|should/);
  });

  test('a bzip2 block longer than the maximum is rejected', async () => {
    // The lengths of the codes rise and fall without end.
    const file = patched(
      Buffer.concat([small, Buffer.alloc(3_000_000, 0xaa)]),
      origin + 24 + 16 + 2 * 16 + 3 + 15 + 1,
      5,
      5,
    );
    const { error } = await outcome(body(Buffer.concat([file.subarray(0, 40), Buffer.alloc(3_000_000, 0xb3)])));
    assert.equal(error?.code, 'CompressionInvalid');
  });
});

/** Files that are small and would become large. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { checkSize } from '../../../src/source/decompress/bounds.ts';
import type { Compression } from '../../../src/source/decompress/index.ts';
import { compressions, mixed, tool, xzStream, zstdFrame } from './files.ts';
import type { Measured, Task } from './memory-child.ts';
import { body, explodes, outcome, url } from './reading.ts';

const mib = 2 ** 20;
/** The most zeros that one block of bzip2 holds: 45 899 235. */
const unit = 45_000_000;
const zeros = Buffer.alloc(unit);
const repeat = (file: Uint8Array, times: number) => Buffer.concat(Array.from({ length: times }, () => file));
const units: Record<Compression, Buffer> = {
  gzip: gzipSync(zeros),
  zstd: zstdFrame(Array.from({ length: Math.floor(unit / 131_072) }, () => ({ byte: 0, times: 131_072 }))),
  xz: tool('xz -c', zeros),
  bzip2: tool('bzip2 -c', zeros),
};

function measure(file: Uint8Array, task: Task): Measured {
  const child = join(import.meta.dirname, 'memory-child.ts');
  // As in the transfer thread: a small young generation frees the buffers and the decoders that are no longer used.
  const args = ['--max-semi-space-size=1', child, JSON.stringify(task)];
  const out = execFileSync(process.execPath, args, { input: file, timeout: 900_000 });
  return JSON.parse(out.toString());
}

for (const name of compressions)
  describe(`a bomb of ${name}`, () => {
    // 360 MB out of a few KiB, in one piece.
    const file = repeat(units[name], 8);

    test('a bomb is rejected by its ratio, after an allowance', async () => {
      const given = await explodes(file, /grows from \S+ to 2[56]\dMi; the limit is 10 times its size and 256Mi/, {
        maxRatio: 10,
        maxBytes: 2 ** 40,
      });
      assert.ok(given <= 256 * mib + 10 * file.length);
    });

    test('a bomb is rejected at the size limit, without a byte beyond it', async () => {
      for (const maxBytes of [0, 1, 1000, 300_000, 100 * mib]) {
        const given = await explodes(file, /holds more than .*, the limit for an image/, { maxBytes, maxRatio: 1e9 });
        assert.ok(given <= maxBytes);
      }
    });

    test('a file within the limits is decompressed', async () => {
      const { bytes, error } = await outcome(body(units[name]), { maxBytes: unit, maxRatio: 1 });
      assert.equal(error, undefined);
      assert.ok(bytes.length > unit - 131_072);
    });

    test('a bomb takes little memory, however far one piece of it expands', () => {
      const { bytes, largestPiece, code, grownMiB } = measure(file, { maxBytes: 2 ** 40, maxRatio: 1e9 });
      assert.equal(code, undefined);
      assert.ok(bytes > 350_000_000);
      assert.ok(largestPiece <= 256 * 1024);
      assert.ok(grownMiB < 100, `${grownMiB} MiB`);
    });

    test('a bomb is stopped within little memory', () => {
      const { code, grownMiB } = measure(file, { maxBytes: 2 ** 40, maxRatio: 10 });
      assert.equal(code, 'CompressionBomb');
      assert.ok(grownMiB < 100, `${grownMiB} MiB`);
    });

    test('repeated aborts of a bomb leave nothing behind', () => {
      const { code, grownMiB, threads } = measure(file, { maxBytes: 2 ** 40, maxRatio: 10, abandon: 100 });
      assert.equal(code, 'CompressionBomb');
      // A hundred decoders of bzip2, xz or zstd would hold more than 340 MiB. A busy machine collects the garbage later.
      assert.ok(grownMiB < 250, `${grownMiB} MiB`);
      // Those of a pool, which end after ten idle seconds.
      assert.ok(threads < 20, `${threads} threads`);
    });
  });

test('the xz thread ends on an abort while it waits for a stalled body', () => {
  const file = tool('xz -c', mixed(500_000));
  const { bytes, threads } = measure(file, { maxBytes: 2 ** 40, maxRatio: 10, abandon: 100, stalls: true });
  assert.equal(bytes, 500_000);
  assert.ok(threads < 20, `${threads} threads`);
});

describe('a file of very many parts that hold next to nothing', () => {
  const empty = tool('bzip2 -c', Buffer.alloc(0));
  const many: [what: string, of: (count: number) => Buffer][] = [
    [
      'streams of bzip2',
      (count) => Buffer.concat([...Array<Buffer>(count).fill(tool('bzip2 -c', Buffer.of(1))), empty]),
    ],
    ['blocks of a stream of bzip2', blocksOfBzip2],
    ['streams of xz', (count) => Buffer.concat(Array<Buffer>(count).fill(xzStream([])))],
    ['blocks of a stream of xz', (count) => xzStream(Array(count).fill({ data: Buffer.of(1) }))],
  ];
  for (const [what, of] of many)
    test(`${what} are limited in number, because each costs as much time as some KiB of data`, async () => {
      await explodes(of(20_000), /consists of 1\d{4} parts with next to no data/);
      assert.equal((await outcome(body(of(4000)))).error, undefined);
    });
});

/** Blocks of one byte each, which begin at any bit. */
function blocksOfBzip2(count: number): Buffer {
  const bits = [...tool('bzip2 -c', Buffer.of(1))].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const end = bits.lastIndexOf(0x177245385090n.toString(2).padStart(48, '0'));
  const block = bits.slice(32, end);
  const checksum = Number.parseInt(block.slice(48, 80), 2) | 0;
  let combined = 0;
  for (let index = 0; index < count; index++) combined = (combined << 1) ^ (combined >>> 31) ^ checksum;
  const sum = (combined >>> 0).toString(2).padStart(32, '0');
  const stream = bits.slice(0, 32) + block.repeat(count) + bits.slice(end, end + 48) + sum;
  const bytes = stream.padEnd(Math.ceil(stream.length / 8) * 8, '0').match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}

describe('the size in a header', () => {
  test('the size in a header is checked before anything is decoded', async () => {
    const data = mixed(200_000);
    for (const file of [zstdCompressSync(data), tool('xz -c', data)])
      assert.equal(await explodes(file, /holds more than 195Ki/, { maxBytes: 199_999 }), 0);
    const frames = Buffer.concat([zstdCompressSync(data), zstdCompressSync(data)]);
    assert.ok((await explodes(frames, /holds more than/, { maxBytes: 399_999 })) <= 200_000);
  });
});

describe('the size that a file may grow to', () => {
  const job = {
    compression: 'gzip',
    url,
    limits: { maxBytes: 2 ** 40, maxRatio: 100, maxDictionaryBytes: 0 },
  } as const;
  const isAllowed = (given: number, taken: number) => {
    try {
      checkSize(job, given, taken);
      return true;
    } catch {
      return false;
    }
  };

  test('a file may grow by a ratio and 256 MiB', () => {
    assert.ok(isAllowed(256 * mib, 0));
    assert.ok(!isAllowed(256 * mib + 1, 0));
    assert.ok(isAllowed(356 * mib, mib));
    assert.ok(!isAllowed(356 * mib + 1, mib));
  });

  test('a file may never grow beyond the size limit', () => {
    assert.ok(isAllowed(2 ** 40, 2 ** 39));
    assert.ok(!isAllowed(2 ** 40 + 1, 2 ** 39));
  });
});

test('eight files of xz -9 at once fit into a container of 512 MiB with the budget that they share', () => {
  const file = tool('xz -c -9 -T1', Buffer.alloc(80 * mib));
  const generous = { maxBytes: 2 ** 40, maxRatio: 1e9 };
  const bound = measure(file, { ...generous, atOnce: { count: 8, budget: 180 * mib } });
  const free = measure(file, { ...generous, atOnce: { count: 8, budget: 4096 * mib } });
  assert.deepEqual([bound.bytes, free.bytes], [640 * mib, 640 * mib]);
  // The operator itself needs about 200 MiB. A decoder that has ended keeps its memory until the next collection.
  assert.ok(bound.grownMiB < 220, `${bound.grownMiB} MiB`);
  assert.ok(bound.grownMiB + 60 < free.grownMiB, `${bound.grownMiB} MiB, ${free.grownMiB} MiB without a bound`);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { CompressionError } from '../../../src/source/decompress/errors.ts';
import type { Helpers } from '../../../src/source/decompress/index.ts';
import { decompress } from '../../../src/source/decompress/index.ts';
import { Input } from '../../../src/source/decompress/input.ts';
import { unzstd } from '../../../src/source/decompress/zstd.ts';
import { startZstd } from '../../../src/source/decompress/zstd-decoder.ts';
import { generated } from '../../env/content.ts';
import { mixed, zstdFrame, zstdSkippable } from './files.ts';
import { countedHelpers, stillClock, withLateThird } from './helpers.ts';
import { body, limits, outcome, pieces, url } from './reading.ts';

const mib = 2 ** 20;
const frame = (data: Uint8Array) =>
  zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_contentSizeFlag]: 0 } });
/** Data in frames of so many bytes each, as pzstd writes them: behind a skippable frame each, and without their length. */
const framed = (data: Uint8Array, length: number) =>
  Buffer.concat([...pieces(data, [length])].flatMap((part) => [zstdSkippable(Buffer.alloc(4)), frame(part)]));

const data = mixed(12 * mib);
/** 12 frames. */
const file = framed(data, mib);

/** Decoders, of which none goes on until as many work at once as a test expects. */
function counted(t: TestContext, expected: number) {
  const seen = { open: 0, most: 0 };
  const full = Promise.withResolvers<void>();
  t.after(() => full.resolve());
  const start: typeof startZstd = (job, chunkBytes) => {
    const decoder = startZstd(job, chunkBytes);
    let works = false;
    return {
      async *decode(part) {
        // The first frame is decoded alone.
        if (part.bytes.length > 0 && part.count > 2) {
          if (!works) seen.most = Math.max(seen.most, ++seen.open);
          works = true;
          if (seen.open === expected) full.resolve();
          await full.promise;
        }
        yield* decoder.decode(part);
      },
      end: () => decoder.end(),
      close() {
        if (works) seen.open--;
        decoder.close();
      },
    };
  };
  return { start, seen };
}

for (const most of [1, 2, 3])
  test(`a zstd file of several frames is decompressed ${most + 1} at once if ${most} cores are free, to the same bytes`, async (t) => {
    const { start, seen } = counted(t, most + 1);
    const helpers = countedHelpers(most);
    const chunks: Uint8Array[] = [];
    const job = { compression: 'zstd', url, limits, helpers } as const;
    for await (const chunk of unzstd(new Input(body(file, [50_000])), job, start)) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(data));
    assert.deepEqual(seen, { open: 0, most: most + 1 });
    assert.deepEqual([helpers.taken, helpers.returned], [most, most]);
  });

const kinds = fc.record({
  /** Of the data in frames, in KiB. */
  lengths: fc.array(fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 500, max: 6000 })), {
    minLength: 2,
    maxLength: 12,
  }),
  skips: fc.integer({ min: 0, max: 3 }),
  /** Where the file is damaged, cut off or goes on with something else, in thousandths of its length. */
  damage: fc.option(
    fc.record({ at: fc.integer({ min: 0, max: 1000 }), kind: fc.constantFrom('byte', 'cut', 'other') }),
  ),
  source: fc.array(fc.integer({ min: 1000, max: 200_000 }), { minLength: 1, maxLength: 4 }),
  cores: fc.integer({ min: 1, max: 3 }),
  maxBytes: fc.constantFrom(2 ** 30, 5 * mib),
});

test('the data and the error of a zstd file are the same whether other cores help or not', async () => {
  await fc.assert(
    fc.asyncProperty(kinds, async ({ lengths, skips, damage, source, cores, maxBytes }) => {
      const frames = lengths.flatMap((length, index) => {
        const content = data.subarray(index * 1000, index * 1000 + length * 1024);
        return [...Array<Buffer>(index % (skips + 1)).fill(zstdSkippable(Buffer.alloc(7))), frame(content)];
      });
      const damaged = broken(Buffer.concat(frames), damage ?? undefined);
      const helpers = countedHelpers(cores);
      const alone = await outcome(body(damaged, source), { maxBytes });
      const helped = await outcome(body(damaged, source), { maxBytes }, false, helpers);
      assert.equal(helped.error?.message, alone.error?.message);
      // A decoder that finds an error loses the chunk that it was filling.
      const most = helped.error === undefined ? 1 : 120 * 1024 + 1;
      const [shorter, longer] = [helped.bytes, alone.bytes].sort((one, other) => one.length - other.length);
      assert(shorter !== undefined && longer !== undefined);
      assert.ok(longer.subarray(0, shorter.length).equals(shorter));
      assert.ok(longer.length - shorter.length < most);
      assert.equal(helpers.taken, helpers.returned);
    }),
    { seed: 5, numRuns: 60 },
  );
});

function broken(bytes: Buffer, damage?: { at: number; kind: string }): Buffer {
  if (damage === undefined) return bytes;
  const at = Math.floor(4 + (damage.at / 1000) * (bytes.length - 5));
  if (damage.kind === 'cut') return bytes.subarray(0, at);
  const changed = Buffer.from(bytes);
  if (damage.kind === 'byte') changed[at] = (changed[at] ?? 0) ^ 0x10;
  else changed.fill(0x2a, at);
  return changed;
}

test('a zstd file that is cut off, not sent to its end or followed by other data fails after the same data when other cores help', async () => {
  const end = file.length - 100_000;
  async function* broken() {
    yield* pieces(file.subarray(0, end), [65_536]);
    throw new CompressionError('the connection breaks', { code: 'CompressionCutOff' });
  }
  const garbage = Buffer.concat([file, Buffer.from('other')]);
  for (const source of [() => body(file.subarray(0, end), [65_536]), broken, () => body(garbage, [65_536])]) {
    const alone = await outcome(source());
    const helpers = countedHelpers(2);
    const helped = await outcome(source(), {}, false, helpers);
    assert.ok(alone.error !== undefined && helpers.taken > 0);
    assert.equal(helped.error?.message, alone.error.message);
    assert.ok(helped.bytes.equals(alone.bytes));
  }
});

test('a zstd file whose frames grow like a bomb is rejected at the same byte when other cores help', async () => {
  const zeros = zstdFrame(Array.from({ length: 64 }, () => ({ byte: 0, times: 131_072 })));
  const bomb = Buffer.concat(Array<Buffer>(60).fill(zeros));
  const changed = { maxRatio: 10 };
  const alone = await outcome(body(bomb, [1000]), changed);
  const helped = await outcome(body(bomb, [1000]), changed, false, countedHelpers(3));
  assert.equal(alone.error?.code, 'CompressionBomb');
  assert.equal(helped.error?.message, alone.error?.message);
  assert.ok(Math.abs(helped.bytes.length - alone.bytes.length) <= 65_536);
});

test('a file of zstd frames that hold next to nothing is rejected when other cores help', async () => {
  const nothing = frame(Buffer.alloc(0));
  for (const part of [zstdSkippable(Buffer.alloc(0)), nothing]) {
    const flood = Buffer.concat([file, ...Array<Buffer>(200_000).fill(part)]);
    const { error, bytes } = await outcome(body(flood, [65_536]), {}, false, countedHelpers(3));
    assert.match(error?.message ?? '', /parts with next to no data/);
    assert.ok(bytes.equals(data));
  }
});

test('frames of zstd that wait are not changed when the memory that they were received in is used again', async () => {
  const memory = Buffer.alloc(65_536);
  async function* source() {
    for (const piece of pieces(file, [65_536])) {
      memory.set(piece);
      yield memory.subarray(0, piece.length);
      memory.fill(0);
    }
  }
  const { bytes, error } = await outcome(source(), {}, false, countedHelpers(3));
  assert.equal(error, undefined);
  assert.ok(bytes.equals(data));
});

test('a reader of zstd frames that stops gives cores and memory back when the decoders have ended', async () => {
  const helpers = countedHelpers(2);
  const { body: decompressed } = decompress(body(file, [65_536]), { mode: 'Auto', url, limits, helpers });
  let given = 0;
  for await (const chunk of decompressed) {
    given += chunk.length;
    if (given > 3 * mib) break;
  }
  assert.equal(helpers.taken, helpers.returned);
  assert(helpers.taken > 0);
});

test('a core that is granted after the reader of zstd frames has stopped is given back', async () => {
  const helpers = countedHelpers(3);
  const late = withLateThird(helpers);
  const options = { mode: 'Auto', url, limits, helpers: late.helpers } as const;
  const { body: decompressed } = decompress(body(file, [65_536]), options);
  for await (const _ of decompressed) if (helpers.taken === 2) break;
  await late.isAsked;
  late.release();
  await setImmediate();
  assert.deepEqual([helpers.taken, helpers.returned], [3, 3]);
});

test('a team for zstd frames asks for the memory of all that it holds, and each time that none is free doubles the data before the next question', async () => {
  const asked: number[] = [];
  const helpers: Helpers = {
    clock: stillClock,
    async take(bytes) {
      asked.push(bytes);
      return undefined;
    },
  };
  for (const { length, window, times } of [
    { length: mib, window: mib, times: 4 },
    { length: 3000, window: 4096, times: 4 },
    { length: 5 * mib, window: 2 * mib, times: 3 },
  ]) {
    asked.length = 0;
    const { bytes } = await outcome(body(framed(data, length)), {}, false, helpers);
    assert.ok(bytes.equals(data));
    // After 1, 2, 4 and 8 MiB at the earliest. Three frames, half as much that is not decoded, and three decoders with a chunk of 120 KiB each.
    assert.deepEqual(
      asked,
      Array(times).fill(Math.ceil(3 * (mib + 120 * 1024 + 1.2 * window + 1.5 * Math.max(length, mib)))),
    );
  }
});

test('frames of zstd are decompressed at once only while their decoder takes most of the time', async () => {
  for (const { where, isHelped } of [
    { where: 'in the decoder', isHelped: true },
    { where: 'at the reader', isHelped: false },
    { where: 'at the source', isHelped: false },
  ]) {
    let now = 0;
    const pass = (place: string) => {
      now += place === where ? 100 : 1;
    };
    const helpers = countedHelpers(3);
    const job = { compression: 'zstd', url, limits, helpers: { ...helpers, clock: { monotonic: () => now } } } as const;
    const source = async function* () {
      for (const piece of pieces(file, [65_536])) {
        pass('at the source');
        yield piece;
      }
    };
    const start: typeof startZstd = (...options) => {
      const decoder = startZstd(...options);
      return {
        ...decoder,
        decode(part) {
          pass('in the decoder');
          return decoder.decode(part);
        },
      };
    };
    for await (const _ of unzstd(new Input(source()), job, start)) pass('at the reader');
    assert.equal(helpers.taken > 0, isHelped, `the time passes ${where}`);
  }
});

for (const [what, first, long] of [
  ['longer', frame(data.subarray(0, mib)), frame(generated(12 * mib).slice(0, 12 * mib))],
  [
    'of a larger window',
    frame(data.subarray(0, mib)),
    zstdCompressSync(data, { params: { [constants.ZSTD_c_windowLog]: 24 } }),
  ],
] as const)
  test(`a zstd frame that is ${what} than those before leaves cores and memory to others`, async () => {
    const packed = Buffer.concat([first, first, first, long, first]);
    const helpers = countedHelpers(2);
    const heldAt: number[] = [];
    const { body: decompressed } = decompress(body(packed, [65_536]), { mode: 'Auto', url, limits, helpers });
    let given = 0;
    for await (const chunk of decompressed) {
      given += chunk.length;
      heldAt.push(given > 8 * mib && given < 14 * mib ? helpers.taken - helpers.returned : 0);
    }
    assert.equal(given, 16 * mib);
    assert.ok(helpers.taken > 0);
    assert.deepEqual([Math.max(...heldAt), helpers.taken - helpers.returned], [0, 0]);
  });

test('a zstd frame is decoded while it arrives, also when other cores help', async () => {
  const helpers = countedHelpers(2);
  const start = framed(data.subarray(0, 3 * mib), mib);
  const last = frame(generated(mib).slice(0, mib));
  const arrived = Promise.withResolvers<void>();
  async function* source() {
    yield* pieces(start, [65_536]);
    yield last.subarray(0, mib / 2);
    await arrived.promise;
    yield last.subarray(mib / 2);
  }
  const { body: decompressed } = decompress(source(), { mode: 'Auto', url, limits, helpers });
  let given = 0;
  for await (const chunk of decompressed) {
    given += chunk.length;
    if (given > 3 * mib + 200_000) arrived.resolve();
  }
  assert.equal(given, 4 * mib);
  assert.ok(helpers.taken > 0);
});

test('no more of a zstd file is read ahead than its team may hold', async () => {
  const noise = framed(generated(40 * mib).slice(0, 40 * mib), mib);
  for (const [what, packed] of [
    ['frames', noise],
    [
      'skippable frames',
      Buffer.concat([framed(data, mib), ...Array<Buffer>(40).fill(zstdSkippable(Buffer.alloc(mib)))]),
    ],
  ] as const) {
    let read = 0;
    const source = async function* () {
      for (const piece of pieces(packed, [65_536])) {
        read += piece.length;
        yield piece;
      }
    };
    const helpers = countedHelpers(2);
    const { body: decompressed } = decompress(source(), { mode: 'Auto', url, limits, helpers });
    for await (const _ of decompressed) {
      if (helpers.taken < 2) continue;
      for (let turn = 0; turn < 2000; turn++) await setImmediate();
      break;
    }
    assert.ok(read < 12 * mib, `${read} bytes of ${what} were read`);
  }
});

/** What decoders of zstd that work at once need: memory, decoders, and messages to the main thread. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createMemoryBudget } from '../../../src/lib/memory-budget.ts';
import { bytesOfDecoder } from '../../../src/source/decompress/bounds.ts';
import { Input } from '../../../src/source/decompress/input.ts';
import { unzstd } from '../../../src/source/decompress/zstd.ts';
import { startZstd } from '../../../src/source/decompress/zstd-decoder.ts';
import { type ZstdBlock, zstdFrame } from './files.ts';
import { type CountedHelpers, countedHelpers } from './helpers.ts';
import { body, limits, url } from './reading.ts';

const mib = 2 ** 20;
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** So much data, of one byte. `window`: the byte in the header. */
function zeros(bytes: number, window = 0x38): Buffer {
  const blocks = Array<ZstdBlock>(bytes / 131_072).fill({ byte: 0, times: 131_072 });
  return zstdFrame(blocks.length > 0 ? blocks : [{ raw: Buffer.alloc(0) }], window);
}

/** So much data, as it is. */
function stored(bytes: number, window?: number): Buffer {
  return zstdFrame(Array<ZstdBlock>(bytes / 131_072).fill({ raw: Buffer.alloc(131_072, 1) }), window);
}

/** Decoders, and how many of them are open. */
function watched() {
  const seen = { started: 0, open: 0 };
  const start: typeof startZstd = (job, chunkBytes) => {
    const decoder = startZstd(job, chunkBytes);
    seen.started++;
    seen.open++;
    let isOpen = true;
    return {
      ...decoder,
      close() {
        if (isOpen) seen.open--;
        isOpen = false;
        decoder.close();
      },
    };
  };
  return { start, seen };
}

/** Frames with half a mebibyte of data, and 7 MiB of blocks of which a decoder makes nothing. */
function withEmptyBlocks(): Buffer {
  const half = zeros(mib / 2);
  // Its last block is not the last one any more.
  half.writeUInt8(half.readUInt8(half.length - 4) & ~1, half.length - 4);
  const frame = Buffer.concat([half, Buffer.alloc(7 * mib), Buffer.of(1, 0, 0)]);
  return Buffer.concat([zeros(mib), ...Array<Buffer>(5).fill(frame)]);
}

/** The state of a decoder whose reader pauses when `isTime`, once nothing more happens. */
async function pausedAt(file: Buffer, isTime: (helpers: CountedHelpers) => boolean) {
  const helpers = countedHelpers(3);
  const seen = { read: 0, parts: 0, decoded: 0, given: 0 };
  const happened = () => seen.read + seen.parts + seen.decoded;
  async function* source() {
    for await (const piece of body(file, [65_536])) {
      seen.read += piece.length;
      yield piece;
    }
  }
  const start: typeof startZstd = (job, chunkBytes) => {
    const decoder = startZstd(job, chunkBytes);
    return {
      ...decoder,
      async *decode(part) {
        seen.parts++;
        for await (const chunk of decoder.decode(part)) {
          seen.decoded += chunk.length;
          yield chunk;
        }
      },
    };
  };
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const job = { compression: 'zstd', url, limits, helpers } as const;
  for await (const chunk of unzstd(new Input(source()), job, start)) {
    seen.given += chunk.length;
    if (!isTime(helpers)) continue;
    for (let [sum, turns] = [0, 0]; turns < 3000; turns++) {
      if (happened() > sum) [sum, turns] = [happened(), 0];
      await setImmediate();
    }
    collect();
    const held = process.memoryUsage().arrayBuffers - before;
    return {
      held,
      granted: helpers.bytes,
      decoded: seen.decoded - seen.given,
      packed: seen.read - seen.decoded,
      read: seen.read,
    };
  }
  assert.fail('it was never time');
}

const isFormed = ({ taken }: CountedHelpers) => taken > 0;
const isDissolved = ({ taken, returned }: CountedHelpers) => taken > 0 && taken === returned;

test('a team for zstd frames holds no more memory than it was granted, also of blocks without data', async () => {
  const { held, granted } = await pausedAt(withEmptyBlocks(), isFormed);
  assert.ok(held < granted, `${held} bytes are held, ${granted} were granted`);
});

test('a team for zstd frames holds no more memory than it was granted, also of frames that grow by far', async () => {
  const file = Buffer.concat([zeros(mib), ...Array<Buffer>(5).fill(zeros(100 * mib))]);
  const { held, decoded, granted } = await pausedAt(file, isFormed);
  assert.ok(decoded < granted, `${decoded} bytes are decoded, ${granted} were granted`);
  assert.ok(held < granted, `${held} bytes are held, ${granted} were granted`);
});

test('a team for zstd frames does not read far ahead where frames have no data', async () => {
  const file = Buffer.concat([zeros(mib), zeros(mib), ...Array<Buffer>(100_000).fill(zeros(0))]);
  const { read } = await pausedAt(file, isFormed);
  assert.ok(read < 200_000, `${read} bytes are read`);
});

test('next to nothing is held of a zstd frame that is longer than those before when the memory is returned', async () => {
  const file = Buffer.concat([stored(mib), stored(mib), stored(12 * mib)]);
  const { decoded, packed } = await pausedAt(file, isDissolved);
  assert.ok(decoded < 200_000, `${decoded} bytes are decoded`);
  assert.ok(packed < 200_000, `${packed} bytes are not decoded`);
});

test('while a zstd frame is longer than those before, and cores and memory are returned, no other decoder is open', async () => {
  const file = Buffer.concat([stored(mib), stored(mib), stored(12 * mib)]);
  const { start, seen } = watched();
  const helpers = countedHelpers(2);
  const job = { compression: 'zstd', url, limits, helpers } as const;
  const after: number[] = [];
  for await (const _ of unzstd(new Input(body(file, [65_536])), job, start))
    if (helpers.taken > 0 && helpers.taken === helpers.returned) after.push(seen.open);
  assert.ok(after.length > 0);
  assert.equal(Math.max(...after), 1);
});

test('several zstd frames are decoded at once again after a longer one', async () => {
  const short = Array<Buffer>(4).fill(stored(mib));
  const helpers = countedHelpers(1);
  const job = { compression: 'zstd', url, limits, helpers } as const;
  const file = Buffer.concat([...short, stored(14 * mib), ...short]);
  for await (const _ of unzstd(new Input(body(file, [65_536])), job));
  assert.deepEqual([helpers.taken, helpers.returned], [2, 2]);
});

test('no team is asked for after a zstd frame that is too long for one', async () => {
  const helpers = countedHelpers(1);
  const job = { compression: 'zstd', url, limits, helpers } as const;
  const file = Buffer.concat([zeros(17 * mib), ...Array<Buffer>(4).fill(zeros(mib))]);
  for await (const _ of unzstd(new Input(body(file)), job));
  assert.equal(helpers.asked, 0);
});

test('a zstd frame of a larger window than those before gets the memory for it', async () => {
  // Windows of 1.125, 1.125 and 1.75 MiB.
  const file = Buffer.concat([zeros(mib, 0x51), zeros(mib, 0x51), zeros(12 * mib, 0x56)]);
  const helpers = countedHelpers(2);
  const memory = createMemoryBudget(2 ** 30);
  using share = memory.share(new AbortController().signal);
  const job = { compression: 'zstd', url, limits, helpers, memory: share } as const;
  let given = 0;
  for await (const chunk of unzstd(new Input(body(file, [50])), job)) {
    given += chunk.length;
    if (given > 10 * mib) assert.equal(memory.used, Math.ceil(bytesOfDecoder('zstd', 1.75 * mib)));
  }
  assert.ok(helpers.taken > 0);
});

test('zstd frames that hold next to nothing cost neither a decoder nor a message each', async () => {
  // Blocks of one byte each, which may have 128 KiB each as far as their headers state: literals that are repeated once.
  const compressed = Buffer.of(1 | (1 << 3), 0x41, 0);
  const header = (isLast: boolean) => Buffer.of((isLast ? 1 : 0) | (2 << 1) | (compressed.length << 3), 0, 0);
  const blocks = Array.from({ length: 8 }, (_, index) => [header(index === 7), compressed]).flat();
  const small = Buffer.concat([zeros(0).subarray(0, 6), ...blocks]);
  const file = Buffer.concat([zeros(2 * mib), ...Array<Buffer>(3000).fill(small)]);
  for (const most of [1, 3]) {
    const { start, seen } = watched();
    const helpers = countedHelpers(most);
    const job = { compression: 'zstd', url, limits, helpers } as const;
    let given = 0;
    for await (const chunk of unzstd(new Input(body(file, [10_000])), job, start)) given += chunk.length;
    assert.equal(given, 2 * mib + 8 * 3000);
    assert.ok(helpers.asked <= most + 2, `${helpers.asked} messages`);
    // Those of the team, and one before and one after it.
    assert.ok(seen.started <= most + 3, `${seen.started} decoders`);
    assert.equal(seen.open, 0);
  }
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import * as lzma from '@napi-rs/lzma/xz';
import type { Helpers } from '../../../src/source/decompress/index.ts';
import { decompress } from '../../../src/source/decompress/index.ts';
import { Input } from '../../../src/source/decompress/input.ts';
import { formXzTeam, unxzBlocks, type XzDecoder } from '../../../src/source/decompress/xz-blocks.ts';
import { generated } from '../../env/content.ts';
import { mixed, tool } from './files.ts';
import { countedHelpers, stillClock, withLateThird } from './helpers.ts';
import { body, limits, outcome, pieces, url } from './reading.ts';

const data = mixed(3_000_000);
/** 12 blocks, with their sizes in their headers. */
const file = tool('xz -c -1 -T2 --block-size=262144', data);

/** The decoder, whose blocks end only when as many are decoded at once as a test expects, or no further one can begin. */
function counted(t: TestContext, expected: number) {
  const seen = { running: 0, most: 0, blocks: 0 };
  const full = Promise.withResolvers<void>();
  t.after(() => full.resolve());
  const decoder: XzDecoder = {
    decompressStream: lzma.decompressStream,
    async decompress(input) {
      seen.running++;
      seen.blocks++;
      seen.most = Math.max(seen.most, seen.running);
      if (seen.running === expected) full.resolve();
      await full.promise;
      const output = await lzma.decompress(input);
      seen.running--;
      return output;
    },
  };
  return { decoder, seen };
}

for (const most of [1, 2, 3])
  test(`an xz file of several blocks is decompressed ${most + 1} at once if ${most} cores are free, to the same bytes`, async (t) => {
    const { decoder, seen } = counted(t, most + 1);
    const helpers = countedHelpers(most);
    const input = new Input(body(file, [50_000]));
    const job = { compression: 'xz', url, limits, helpers } as const;
    const team = await formXzTeam(input, job);
    assert(team !== undefined);
    const chunks: Uint8Array[] = [];
    for await (const chunk of unxzBlocks(input, job, decoder, team)) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(data));
    assert.deepEqual(seen, { running: 0, most: most + 1, blocks: 12 });
    assert.deepEqual([helpers.taken, helpers.returned], [most, most]);
  });

const files: Readonly<Record<string, { packed: Buffer; content: Buffer; taken: number }>> = {
  'without sizes in its headers': { packed: tool('xz -c -1 --block-size=262144', data), content: data, taken: 0 },
  'of one block': { packed: tool('xz -c -1', data), content: data, taken: 0 },
  'with a SHA-256 of each block and a filter': {
    packed: tool('xz -c -T2 --block-size=262144 -C sha256 --x86 --lzma2=preset=1', data),
    content: data,
    taken: 2,
  },
  'without checks': { packed: tool('xz -c -1 -T2 --block-size=262144 -C none', data), content: data, taken: 2 },
  'with streams of other kinds behind the first': {
    packed: Buffer.concat([
      file,
      Buffer.alloc(8),
      tool('xz -c -1', data),
      tool('xz -c -T2 --block-size=2000000 -3', data),
      file,
    ]),
    content: Buffer.concat([data, data, data, data]),
    taken: 2,
  },
};
for (const [name, { packed, content, taken }] of Object.entries(files))
  test(`an xz file ${name} is decompressed to the same bytes when cores are free`, async () => {
    const helpers = countedHelpers(2);
    for (const lengths of [[65_536], [1, 1000]]) {
      const { bytes, error } = await outcome(body(packed, lengths), {}, false, helpers);
      assert.equal(error, undefined);
      assert.ok(bytes.equals(content));
    }
    assert.deepEqual([helpers.taken, helpers.returned], [2 * taken, 2 * taken]);
  });

test('a damaged xz file of several blocks fails whether other cores help or not', async () => {
  for (const at of [2, 5, 9, 11]) {
    const damaged = Buffer.from(file);
    const place = Math.floor((file.length * at) / 12);
    damaged[place] = (damaged[place] ?? 0) ^ 0x10;
    const alone = await outcome(body(damaged, [50_000]));
    const helped = await outcome(body(damaged, [50_000]), {}, false, countedHelpers(2));
    assert.equal(helped.error?.code, alone.error?.code);
    assert.ok(helped.error !== undefined && data.subarray(0, helped.bytes.length).equals(helped.bytes));
  }
  const cut = await outcome(body(file.subarray(0, file.length - 20)), {}, false, countedHelpers(2));
  assert.match(cut.error?.message ?? '', /is cut off after/);
  assert.ok(cut.bytes.equals(data), 'complete blocks are delivered');
});

test('the growth of xz data is limited in the same way when other cores help', async () => {
  const { error } = await outcome(body(file, [50_000]), { maxBytes: 1_000_000 }, false, countedHelpers(2));
  assert.equal(error?.code, 'CompressionBomb');
});

test('a reader of xz blocks that stops gives cores and memory back when the decoders have ended', async () => {
  const helpers = countedHelpers(2);
  const { body: decompressed } = decompress(body(file, [65_536]), { mode: 'Auto', url, limits, helpers });
  for await (const _ of decompressed) break;
  assert.equal(helpers.taken, helpers.returned);
  assert(helpers.taken > 0);
});

test('a team for xz blocks asks for the memory of all that it holds, and forms only if it gets it', async () => {
  const asked: number[] = [];
  const helpers: Helpers = {
    clock: stillClock,
    async take(bytes) {
      asked.push(bytes);
      return undefined;
    },
  };
  const { bytes } = await outcome(body(file), {}, false, helpers);
  assert.ok(bytes.equals(data));
  // Three blocks of 256 KiB and their compressed bytes, and a decoder with a dictionary of 1 MiB (`xz -1`).
  assert.deepEqual(asked, [Math.ceil((4 + 2.7) * 2 ** 20 + 3 * 1.5 * 262_144)]);
});

test('a team for xz blocks asks for a further core only now and then while none is free', async () => {
  const helpers = countedHelpers(1);
  const { bytes } = await outcome(body(file, [50_000]), {}, false, helpers);
  assert.ok(bytes.equals(data));
  // There are 12 blocks. One core is granted, then none, and none at least 1 MiB later; the next question would be 2 MiB later.
  assert.ok(helpers.asked <= 3, `it asked ${helpers.asked} times`);
});

test('no more of an xz block is read than its header states', async () => {
  const noise = generated(2_000_000).slice(0, 2_000_000);
  const packed = tool('xz -c -0 -T2 --block-size=4000000', noise);
  // After the header of the stream: its length in units of four, flags, and the compressed size, in seven bits a byte.
  const header = packed.subarray(12, 12 + 4 * ((packed[12] ?? 0) + 1));
  header.set([0x81, 0x80, 0x01], 2);
  header.writeUInt32LE(crc32(header.subarray(0, -4)), header.length - 4);
  let read = 0;
  async function* source() {
    for (const piece of pieces(packed, [65_536])) {
      read += piece.length;
      yield piece;
    }
  }
  const { error } = await outcome(source(), {}, false, countedHelpers(2));
  assert.match(error?.message ?? '', /a block has another size than its header/);
  assert(read < 300_000, `${read} bytes were read`);
});

test('an xz file whose first block is too long for a team leaves cores and memory to others', async () => {
  const noise = generated(2_000_000).slice(0, 2_000_000);
  const helpers = countedHelpers(2);
  const { bytes } = await outcome(body(tool('xz -c -1 -T2 --block-size=262144', noise)), {}, false, helpers);
  assert.ok(bytes.equals(noise));
  assert.equal(helpers.taken, helpers.returned);
});

test('a core that is granted after the reader of xz blocks has stopped is given back', async () => {
  const helpers = countedHelpers(3);
  const late = withLateThird(helpers);
  const options = { mode: 'Auto', url, limits, helpers: late.helpers } as const;
  const { body: decompressed } = decompress(body(file, [65_536]), options);
  for await (const _ of decompressed) {
    await late.isAsked;
    break;
  }
  late.release();
  await setImmediate();
  assert.deepEqual([helpers.taken, helpers.returned], [3, 3]);
});

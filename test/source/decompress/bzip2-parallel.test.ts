import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Bzip2Block } from '../../../src/source/decompress/bzip2-block.ts';
import { findSignatures } from '../../../src/source/decompress/bzip2-signature.ts';
import { decompress } from '../../../src/source/decompress/index.ts';
import { generated } from '../../env/content.ts';
import { mixed, tool } from './files.ts';
import { countedHelpers } from './helpers.ts';
import { body, limits, outcome, url } from './reading.ts';

/** Threads that start from now on. */
function threadsOf(t: TestContext): Worker[] {
  const threads: Worker[] = [];
  const count = (thread: Worker) => void threads.push(thread);
  process.on('worker', count);
  t.after(() => process.removeListener('worker', count));
  return threads;
}

const data = mixed(3_000_000);
const file = tool('bzip2 -c -1', data);

for (const most of [1, 2, 3])
  test(`a bzip2 file is decompressed by ${most + 1} threads if ${most} more are free, to the same bytes`, async (t) => {
    const threads = threadsOf(t);
    const decode = t.mock.method(Bzip2Block.prototype, 'decode');
    const helpers = countedHelpers(most);
    const { bytes, error } = await outcome(body(file, [10_000]), {}, false, helpers);
    assert.equal(error, undefined);
    assert.ok(bytes.equals(data));
    assert.equal(threads.length, most);
    // There are about 31, of which this thread would decode one for each of the others.
    assert(decode.mock.callCount() < 20, `${decode.mock.callCount()} blocks were decoded in this thread`);
    assert.deepEqual([helpers.taken, helpers.returned], [most, most]);
  });

test('a bzip2 file is decompressed by its own thread alone if no other is free, and asks for one only now and then', async (t) => {
  const threads = threadsOf(t);
  const helpers = countedHelpers(0);
  const { bytes } = await outcome(body(file), {}, false, helpers);
  assert.ok(bytes.equals(data));
  assert.equal(threads.length, 0);
  // There are about 31 blocks. It asks at the first one, and at least 1 MiB later.
  assert.equal(helpers.asked, 1 + Math.floor(file.length / 2 ** 20));
});

test('bzip2 files of several streams and levels, and of blocks that expand by far, are decompressed by several threads', async () => {
  const zeros = Buffer.alloc(15_000_000);
  const streams = [tool('bzip2 -c -9', data), tool('bzip2 -c -1', data), tool('bzip2 -c', Buffer.alloc(0))];
  const contents = [data, data, Buffer.alloc(0), zeros, data];
  const whole = Buffer.concat([...streams, tool('bzip2 -c -2', zeros), tool('bzip2 -c -1', data)]);
  const { bytes, error } = await outcome(body(whole, [65_536]), {}, false, countedHelpers(2));
  assert.equal(error, undefined);
  assert.ok(bytes.equals(Buffer.concat(contents)));
});

test('damaged bzip2 files fail at the same byte with the same message whether other threads help or not', async () => {
  for (const at of [9, 16, 27, 38]) {
    const damaged = Buffer.from(file);
    const place = Math.floor((file.length * at) / 41);
    damaged[place] = (damaged[place] ?? 0) ^ (1 << (at & 7));
    const alone = await outcome(body(damaged, [50_000]));
    const helped = await outcome(body(damaged, [50_000]), {}, false, countedHelpers(2));
    assert.equal(helped.error?.message, alone.error?.message);
    assert.ok(helped.error !== undefined && helped.bytes.equals(alone.bytes));
  }
  const cut = file.subarray(0, 200_001);
  const alone = await outcome(body(cut));
  const helped = await outcome(body(cut), {}, false, countedHelpers(2));
  assert.deepEqual([helped.error?.message, helped.bytes.length], [alone.error?.message, alone.bytes.length]);
});

/** The map of a block says which values it uses, 16 in a row: with these, it is the signature of a block. */
const rows = [0x3141, 0x5926, 0x5359];
const misleading = rows.flatMap((row, index) =>
  Array.from({ length: 16 }, (_, column) => column)
    .filter((column) => ((row >>> (15 - column)) & 1) !== 0)
    .map((column) => index * 16 + column),
);

test('signatures of blocks in the data of blocks cost some work, until no other thread helps any more', async (t) => {
  const requests = t.mock.method(Worker.prototype, 'postMessage');
  // Without runs, whose lengths would be further values.
  const noise = generated(2_000_000)
    .slice(0, 2_000_000)
    .map((byte, at) => misleading[2 * (byte % 10) + (at & 1)] ?? 0);
  const packed = tool('bzip2 -c -1', noise);
  assert(findSignatures(packed, 1000).length > 40, 'each of its blocks has two signatures');
  const helpers = countedHelpers(2);
  const { bytes, error } = await outcome(body(packed, [65_536]), {}, false, helpers);
  assert.equal(error, undefined);
  assert.ok(bytes.equals(noise));
  assert.deepEqual([helpers.taken, helpers.returned], [2, 2]);
  const tries = requests.mock.callCount();
  assert(tries > 0 && tries < 25, `${tries} requests`);
});

test('signatures of blocks are found at every bit, and at no other place', () => {
  const signature = BigInt('0x314159265359');
  for (let shift = 0; shift < 8; shift++) {
    const bits = signature << BigInt(8 - shift);
    const bytes = Buffer.alloc(20);
    Buffer.from(bits.toString(16).padStart(14, '0'), 'hex').copy(bytes, 6);
    assert.deepEqual(findSignatures(bytes, 10), [48 + shift]);
    bytes[9] = (bytes[9] ?? 0) ^ 1;
    assert.deepEqual(findSignatures(bytes, 10), []);
  }
});

test('a reader of bzip2 data that stops ends the threads that help, and returns what they have taken', async (t) => {
  const threads = threadsOf(t);
  const helpers = countedHelpers(2);
  const { body: decompressed } = decompress(body(file, [65_536]), { mode: 'Auto', url, limits, helpers });
  for await (const _ of decompressed) if (threads.length === 2) break;
  await Promise.all(threads.map((thread) => once(thread, 'exit')));
  assert.deepEqual([helpers.taken, helpers.returned], [2, 2]);
});

test('a thread that helps and ends by itself costs no byte', async (t) => {
  const threads = threadsOf(t);
  const { body: decompressed } = decompress(body(file, [65_536]), {
    ...{ mode: 'Auto', url, limits },
    helpers: countedHelpers(1),
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompressed) {
    chunks.push(chunk);
    if (chunks.length === 10) await threads[0]?.terminate();
  }
  assert.equal(threads.length, 1);
  assert.ok(Buffer.concat(chunks).equals(data));
});

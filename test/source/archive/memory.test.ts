import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { crc32 } from 'node:zlib';
import { createMemoryBudget } from '../../../src/lib/memory-budget.ts';
import { tarEnd, tarEntry, zip } from './files.ts';
import { read } from './reading.ts';

const mib = 2 ** 20;
const chunk = Buffer.alloc(64 * 1024, 1);
const chunks = 2048;
const length = chunks * chunk.length;

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** Bytes of the buffers that something still refers to. */
function heldBytes(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

/** A large file between the beginning and the end of an archive. */
async function* around(head: Buffer, tail: Buffer, onChunk: () => void): AsyncGenerator<Uint8Array, void, undefined> {
  yield head;
  for (let count = 0; count < chunks; count++) {
    onChunk();
    // A copy, as each piece from a connection is a buffer of its own.
    yield Buffer.from(chunk);
  }
  yield tail;
}

let sum = 0;
for (let count = 0; count < chunks; count++) sum = crc32(chunk, sum);
const stored = zip([{ method: 0, raw: Buffer.alloc(0), data: Buffer.alloc(0), ...statedAs(sum) }]);

function statedAs(crc: number) {
  const stated = { crc, compressed: length, size: length };
  return { local: stated, listed: stated };
}

/** With the file in the middle, the directory is further behind. */
function shifted(tail: Buffer): Buffer {
  const end = tail.length - 22;
  tail.writeUInt32LE(tail.readUInt32LE(end + 16) + length, end + 16);
  return tail;
}

const name = 'disk.raw'.length;
for (const [what, head, tail] of [
  ['tar', tarEntry({ size: `${length.toString(8).padStart(11, '0')}\0` }), tarEnd],
  ['zip', stored.subarray(0, 30 + name), shifted(Buffer.from(stored.subarray(30 + name)))],
] as const) {
  for (const member of ['disk.raw', 'other'])
    test(`memory for a ${what} archive does not depend on its length, whether its file is ${member === 'other' ? 'skipped' : 'taken'}`, async () => {
      let most = 0;
      let given = 0;
      const before = heldBytes();
      const source = around(head, tail, () => {
        if (given++ % 64 === 63) most = Math.max(most, heldBytes());
      });
      const result = await read(source, { member, discards: true });
      assert.deepEqual(
        [result.error?.code, result.length],
        member === 'other' ? ['ArchiveMemberNotFound', 0] : [undefined, length],
      );
      assert.ok(most - before < 8 * mib, `${Math.round((most - before) / mib)} MiB`);
    });
}

test('the decoder of a zip archive gets memory and returns it, for an archive that has ended when it is recognised too', async () => {
  for (const size of [10, 100_000]) {
    const budget = createMemoryBudget(mib);
    using memory = budget.share(new AbortController().signal);
    let held = 0;
    const share = {
      want: memory.want,
      async granted() {
        await memory.granted();
        held = budget.used;
      },
      [Symbol.dispose]: memory[Symbol.dispose],
    };
    const { error } = await read(zip([{ data: Buffer.alloc(size, 1) }]), { memory: share });
    assert.deepEqual([error, held, budget.used], [undefined, mib, 0]);
  }
});

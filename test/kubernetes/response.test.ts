import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { splitLines } from '../../src/kubernetes/response.ts';

async function* chunksOf(bytes: Buffer, cuts: number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const cut of [...cuts.map((each) => each % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]) {
    yield bytes.subarray(start, cut);
    start = cut;
  }
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

test('wherever the stream is cut into chunks, the lines are the same', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll('\n', ' '));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 10 }), fc.array(fc.nat()), async (expected, cuts) => {
      const bytes = Buffer.from(expected.map((each) => `${each}\n`).join(''));
      assert.deepEqual(await collect(splitLines(chunksOf(bytes, cuts), 1000)), expected);
    }),
  );
});

test('text after the last newline is a line, too', async () => {
  assert.deepEqual(await collect(splitLines(chunksOf(Buffer.from('a\nb'), []), 10)), ['a', 'b']);
});

test('a line beyond the limit is rejected before it is complete', async () => {
  const endless = (async function* () {
    for (;;) yield Buffer.alloc(100, 'x');
  })();
  await assert.rejects(collect(splitLines(endless, 1000)), RangeError);
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decompress } from '../../../src/source/decompress/index.ts';
import { compressions, compressors, mixed } from './files.ts';
import { body, limits, outcome, pieces, refuses, unpacked, url } from './reading.ts';

const data = mixed(300_000);
const files = compressions.map((name) => [name, compressors[name](data)] as const);

/** Longer than what any decoder reads before it gives something. */
const long = (file: Uint8Array, times = 40) => Buffer.concat(Array.from({ length: times }, () => file));

/** A body that records how it is used, and may fail. */
function watched(bytes: Uint8Array, length: number, end: 'ends' | 'stalls' | Error = 'ends') {
  const state = { reads: 0, closed: 0, given: 0 };
  const chunks = pieces(bytes, [length]);
  const stalled = Promise.withResolvers<void>();
  const iterator: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      state.reads++;
      const next = chunks.next();
      if (next.done !== true) {
        state.given += next.value.length;
        return next;
      }
      if (end instanceof Error) throw end;
      if (end === 'stalls') await stalled.promise;
      return { done: true, value: undefined };
    },
    async return() {
      state.closed++;
      stalled.resolve();
      return { done: true, value: undefined };
    },
  };
  return { iterator, state };
}

const options = { mode: 'Auto', url, limits } as const;
const never: AsyncIterable<Uint8Array> = {
  [Symbol.asyncIterator]: () => ({ next: () => assert.fail('the body was read') }),
};

describe('a body in Auto mode', () => {
  for (const [name, file] of files)
    test(`Auto mode decompresses a body that begins like ${name}`, async () => {
      assert.deepEqual(await outcome(body(file)), { bytes: data, compression: name, error: undefined, warnings: [] });
    });

  test('Auto mode gives the same result for any chunks', async () => {
    const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 100_000 })), {
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), lengths, async ([, file], cuts) => {
        // A file has at most a thousand chunks, to keep the property fast.
        const average = cuts.reduce((sum, cut) => sum + cut, 0) / cuts.length;
        fc.pre(file.length / average < 5000);
        assert.ok((await unpacked(file, cuts)).equals(data));
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  test('Auto mode accepts single bytes with empty chunks in between', async () => {
    const small = mixed(3000);
    for (const name of compressions) assert.ok((await unpacked(compressors[name](small), [1, 0])).equals(small), name);
  });

  test('Auto mode passes the chunks of an uncompressed body through', async () => {
    for (const bytes of [
      data,
      Buffer.from('BZ'),
      Buffer.from('BZh0'),
      Buffer.from('\xfd7zXY', 'latin1'),
      Buffer.from([0x1f]),
    ]) {
      const chunks = [...pieces(bytes, [1, 2, 100_000])];
      const whole = decompress(Readable.from(chunks), options);
      const given: Uint8Array[] = [];
      for await (const chunk of whole.body) given.push(chunk);
      assert.equal(given.length, chunks.length);
      assert.ok(given.every((chunk, index) => chunk === chunks[index]));
      assert.equal(whole.compression(), undefined);
    }
  });

  test('Auto mode passes an empty body through', async () => {
    assert.deepEqual(await outcome(body(Buffer.alloc(0))), {
      bytes: Buffer.alloc(0),
      compression: undefined,
      error: undefined,
      warnings: [],
    });
  });

  test('Auto mode does not read a body before its consumer does', () => {
    assert.equal(decompress(never, options).compression(), undefined);
  });

  test('Auto mode ignores the name in the URL', async () => {
    assert.ok(url.includes('.xz'));
    assert.ok((await unpacked(data)).equals(data));
  });
});

describe('a body in None mode', () => {
  test('None mode returns the body unchanged', () => {
    const whole = decompress(never, { ...options, mode: 'None' });
    assert.equal(whole.body, never);
    assert.equal(whole.compression(), undefined);
  });
});

describe('a decompressed body', () => {
  for (const [name, file] of files) {
    test(`the compression is reported with the first output (${name})`, async () => {
      const whole = decompress(body(file, [1000]), options);
      const iterator = whole.body[Symbol.asyncIterator]();
      await iterator.next();
      assert.equal(whole.compression(), name);
      await iterator.return?.();
    });

    test(`an error of the compressed body comes through unchanged (${name})`, async () => {
      for (const length of [0, 3, 1000]) {
        const error = new Error('the connection broke');
        const { iterator, state } = watched(file.subarray(0, length), 100, error);
        const read = async () => {
          for await (const _ of decompress(iterator, options).body);
        };
        await assert.rejects(read, (thrown) => thrown === error);
        assert.equal(state.closed, 0);
      }
    });

    test(`a reader that stops closes the compressed body (${name})`, async () => {
      const { iterator, state } = watched(long(file), 1000);
      for await (const chunk of decompress(iterator, options).body) {
        assert.ok(chunk.length > 0);
        break;
      }
      assert.equal(state.closed, 1);
      const reads = state.reads;
      await new Promise(setImmediate);
      assert.equal(state.reads, reads);
    });

    test(`a reader that stops releases a stalled compressed body (${name})`, async () => {
      const { iterator, state } = watched(long(file, name === 'bzip2' ? 40 : 2).subarray(0, -10), 60_000, 'stalls');
      for await (const _ of decompress(iterator, options).body) break;
      assert.equal(state.closed, 1);
    });

    test(`a rejection closes the compressed body (${name})`, async () => {
      const { iterator, state } = watched(Buffer.concat([file.subarray(0, 20), long(data)]), 1000);
      const { error } = await outcome(iterator);
      assert.equal(error?.code, 'CompressionInvalid');
      assert.equal(state.closed, 1);
    });

    test(`truncated data is an error that may be retried (${name})`, async () => {
      await refuses(file.subarray(0, 10), new RegExp(`the ${name} data of .* is cut off after 10 bytes`));
      const { error } = await outcome(body(file.subarray(0, -1), [1000]));
      assert.deepEqual([error?.code, error?.retry.kind], ['CompressionCutOff', 'after']);
      assert.match(error?.message ?? '', new RegExp(`cut off after ${file.length - 1} bytes`));
    });
  }
});

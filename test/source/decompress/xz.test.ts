import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Input } from '../../../src/source/decompress/input.ts';
import { CheckedStream } from '../../../src/source/decompress/xz.ts';
import { mixed, tool, type XzOptions, xzStream } from './files.ts';
import { body, explodes, limits, outcome, refuses, unpacked, url } from './reading.ts';

const data = mixed(400_000);
const text = Buffer.from('some text');
const small = xzStream([{ data: text }]);
const padding = Buffer.alloc(4);

/** The number of bytes that the decoder gets of a file, and the error that ends them. */
async function checked(file: Buffer, lengths: readonly number[]): Promise<{ bytes: number; error: unknown }> {
  const input = new Input(body(file, lengths));
  const { stream } = new CheckedStream(input, { compression: 'xz', url, limits });
  let bytes = 0;
  try {
    for await (const piece of stream) bytes += piece.length;
    return { bytes, error: undefined };
  } catch (error) {
    return { bytes, error };
  }
}

describe('xz', () => {
  const writers = [
    '-0',
    '-6',
    '-9e',
    '-C none',
    '-C crc32',
    '-C sha256',
    '--block-size=50000',
    '-T2 --block-size=50000',
    '--x86 --lzma2',
    '--arm --lzma2',
    '--arm64 --lzma2',
    '--powerpc --ia64 --lzma2',
    '--delta=dist=4 --lzma2=lc=0,lp=2',
    '--lzma2=mode=fast,pb=0,dict=4KiB',
  ];
  for (const flags of writers)
    test(`xz data written with ${flags} is decompressed`, async () => {
      const file = tool(`xz -c ${flags}`, data);
      for (const lengths of [[], [1000]]) assert.ok((await unpacked(file, lengths)).equals(data));
    });

  test('xz data may have several streams with padding', async () => {
    const file = Buffer.concat([tool('xz -c', text), padding, padding, small, xzStream([]), small, padding]);
    assert.equal(tool('xz -dc', file).toString(), 'some text'.repeat(3));
    for (const lengths of [[], [1], [7, 100]])
      assert.equal((await unpacked(file, lengths)).toString(), 'some text'.repeat(3));
  });

  test('xz data followed by garbage is rejected', async () => {
    for (const garbage of ['\0', '\0\0\0\0\0', 'garb', 'garbage!', '\0\0\0\0x', '\xfd7zXZ\x01      '])
      await refuses(Buffer.concat([small, Buffer.from(garbage, 'latin1')]), /something other than a stream|is cut off/);
  });

  test('the decoder of xz gets no byte of a header or of garbage before it is complete and checked', async () => {
    const files: [string, Buffer][] = [
      ['garbage of a byte', Buffer.from('x')],
      ['garbage of three bytes', Buffer.from('xyz')],
      ['zeros of half a padding', Buffer.alloc(2)],
      ['garbage after padding', Buffer.concat([padding, Buffer.from('x')])],
    ];
    for (const [name, garbage] of files)
      for (const lengths of [[], [1], [small.length + garbage.length - 1, 1]]) {
        const { bytes, error } = await checked(Buffer.concat([small, garbage]), lengths);
        assert.equal(bytes, small.length + (garbage.length & ~3), name);
        assert.match(String(error), /something other than a stream after its end/, name);
      }
    // The magic number and the flags of the header, then the header of the block, then its chunk.
    for (const [length, expected] of [
      [11, 4],
      [12, 12],
      [15, 13],
      [24, 24],
    ] as const) {
      const { bytes, error } = await checked(small.subarray(0, length), [1]);
      assert.equal(bytes, expected, `${length}`);
      assert.match(String(error), new RegExp(`is cut off after ${length} bytes`));
    }
  });

  test('truncated xz data is rejected, except between streams, which is undetectable', async () => {
    const first = tool('xz -c', text);
    const file = Buffer.concat([first, padding, padding, small]);
    const ends = [first.length, first.length + 4, first.length + 8];
    for (let length = 6; length < file.length; length++) {
      const { bytes, error } = await outcome(body(file.subarray(0, length), [7]));
      if (ends.includes(length)) assert.deepEqual([bytes.toString(), error], ['some text', undefined]);
      else assert.match(error?.code ?? '', /^Compression(?:Invalid|CutOff)$/, `${length}`);
    }
  });

  for (const check of ['crc32', 'crc64', 'sha256'])
    test(`xz data with a wrong ${check} is rejected`, async () => {
      const file = tool(`xz -c -C ${check}`, text);
      // Behind the blocks: the index of 8 bytes with its checksum, and the footer.
      file[file.length - 12 - 8 - 1] = (file.at(-12 - 8 - 1) ?? 0) ^ 1;
      await refuses(file, /checksum/);
    });

  test('xz data with an unknown check is rejected', async () => {
    await refuses(xzStream([{ data: text }], { check: 2 }), /check of the unknown type 0002/);
  });

  test('xz data with unknown filters is rejected', async () => {
    const of = (count: number, ...fields: number[]) =>
      xzStream([{ data: text, filters: { count, fields: Buffer.from(fields) } }]);
    await refuses(of(1, 0x05, 0), /filter 0x5/);
    await refuses(of(2, 0x21, 1, 0, 0x21, 1, 0), /filter 0x21/);
    await refuses(of(2, 0x70, 0, 0x21, 1, 0), /filter 0x70/);
    await refuses(of(2, 0x21, 1), /malformed/);
    await refuses(of(1, 0x21, 0x7f, 0), /malformed/);
    // The number 0x21, in two bytes. The tool rejects it as well.
    await refuses(of(1, 0xa1, 0, 1, 0), /malformed/);
  });

  describe('xz data with a contradictory structure is rejected', () => {
    const wrong: [string, XzOptions, RegExp][] = [
      ['a record too many', { records: (right) => [...right, [40, 0]] }, /number of records in the index is not that/],
      ['a record too few', { records: () => [] }, /number of records in the index is not that/],
      ['another size of a block', { records: ([first]) => [[(first?.[0] ?? 0) + 4, 9]] }, /does not fit the blocks/],
      ['another size of its content', { records: ([first]) => [[first?.[0] ?? 0, 10]] }, /does not fit the blocks/],
      ['another size of the index', { backwardSize: 7 }, /footer of a stream does not fit/],
      ['padding of other bytes', { padding: 1 }, /padding/],
    ];
    for (const [name, options, message] of wrong)
      test(name, async () => {
        const file = xzStream([{ data: text }], options);
        assert.throws(() => tool('xz -dc', file));
        await refuses(file, message);
      });

    test('wrong sizes in an xz block header are rejected', async () => {
      const right = { compressed: 13, uncompressed: 9 };
      assert.equal((await unpacked(xzStream([{ data: text, sizes: right }]))).toString(), 'some text');
      for (const sizes of [
        { ...right, compressed: 12 },
        { ...right, uncompressed: 10 },
      ]) {
        const file = xzStream([{ data: text, sizes }]);
        assert.throws(() => tool('xz -dc', file));
        await refuses(file, /another size than its header/);
      }
    });

    test('an xz number beyond all sizes is rejected', async () => {
      const sizes = { compressed: 2 ** 60, uncompressed: 9 };
      await refuses(xzStream([{ data: text, sizes }]), /malformed/);
    });
  });

  test('xz data is decoded in a worker thread, which may be terminated at any time', async () => {
    const file = tool('xz -c', mixed(3_000_000));
    const module = new URL('../../../src/source/decompress/index.ts', import.meta.url);
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { Readable } = require('node:stream');
      import(${JSON.stringify(module.href)}).then(async ({ decompress }) => {
        const limits = { maxBytes: 2 ** 30, maxRatio: 100, maxDictionaryBytes: 2 ** 27 };
        let bytes = 0;
        const { body } = decompress(Readable.from([workerData.file]), { mode: 'Auto', url: 'http://example.com/', limits });
        for await (const chunk of body) {
          bytes += chunk.length;
          parentPort.postMessage(bytes);
          if (workerData.stops) await new Promise(() => {});
        }
        process.exit(0);
      });`;
    for (const stops of [false, true]) {
      const worker = new Worker(code, { eval: true, workerData: { file, stops } });
      const exited = new Promise((resolve) => worker.once('exit', resolve));
      let bytes = 0;
      worker.on('message', (message) => {
        bytes = message;
        if (stops) void worker.terminate();
      });
      await exited;
      assert.ok(stops ? bytes > 0 && bytes < 3_000_000 : bytes === 3_000_000);
    }
  });
});

describe('the dictionary of xz', () => {
  const of = (dictionary: number) => ({ data: text, dictionary });

  test('an xz dictionary above the limit is rejected before decoding, in any block and stream', async () => {
    // 34: 512 MiB; 40: 4 GiB less one byte.
    assert.equal(await explodes(xzStream([of(34)]), /needs 512Mi of memory to be decompressed; the limit is 65/), 0);
    await explodes(xzStream([of(40)]), /needs 4Gi of memory to be decompressed/);
    await explodes(xzStream([of(0), of(1), of(34)]), /512Mi/);
    await explodes(Buffer.concat([small, padding, xzStream([of(0), of(34)])]), /512Mi/);
  });

  test('an xz dictionary up to the limit is accepted', async () => {
    for (const [dictionary, bytes] of [
      [0, 4096],
      [1, 6144],
      [22, 8 * 2 ** 20],
      [23, 12 * 2 ** 20],
    ] as const) {
      const file = xzStream([of(dictionary)]);
      assert.equal((await outcome(body(file), { maxDictionaryBytes: bytes })).bytes.toString(), 'some text');
      await explodes(file, /of memory to be decompressed/, { maxDictionaryBytes: bytes - 1 });
    }
  });

  test('an xz dictionary whose decoder needs more than the memory of all decoders is rejected, although zstd may have that window', async () => {
    // 28: 64 MiB, as of xz -9; 29: 96 MiB; 30: 128 MiB.
    assert.equal((await outcome(body(xzStream([of(28)])))).bytes.toString(), 'some text');
    for (const dictionary of [29, 30])
      assert.equal(await explodes(xzStream([of(dictionary)]), /of memory to be decompressed; the limit is 65/), 0);
  });

  test('an invalid xz dictionary size is rejected as damage', async () => {
    await refuses(xzStream([of(41)]), /malformed/);
  });

  test('an xz dictionary is found behind other filters, too', async () => {
    const filters = { count: 2, fields: Buffer.of(0x04, 0, 0x21, 1, 34) };
    await explodes(xzStream([{ data: text, filters }]), /512Mi/);
  });
});

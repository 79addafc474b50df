import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { mixed, tool } from './files.ts';
import { body, outcome, refuses, unpacked } from './reading.ts';

const data = mixed(200_000);
const member = gzipSync(data);
const small = gzipSync('small');
const zeros = Buffer.alloc(1000);

/** Whole, byte by byte, and cut where it matters: behind the first member and around it. */
const cuts = (first: Uint8Array) => [[], [1], [first.length, 1e9], [first.length - 1, 1e9], [first.length + 1, 1e9]];

describe('gzip', () => {
  for (const level of [1, 6, 9])
    test(`gzip data written with -${level} is decompressed`, async () => {
      assert.ok((await unpacked(tool(`gzip -c -${level}`, data))).equals(data));
    });

  test('a gzip header may have a name, a comment, extra fields and a checksum', async () => {
    // Flags: FHCRC, FEXTRA, FNAME, FCOMMENT. The checksum of the header is the low half of its CRC-32.
    const header = Buffer.concat([
      Buffer.from('1f8b081e000000000003', 'hex'),
      Buffer.from('\x02\0xyname\0comment\0', 'latin1'),
    ]);
    const sum = Buffer.alloc(2);
    sum.writeUInt16LE(crc32(header) & 0xffff);
    const rest = small.subarray(10);
    assert.equal((await unpacked(Buffer.concat([header, sum, rest]))).toString(), 'small');
    await refuses(Buffer.concat([header, Buffer.from([sum[0] ?? 0, (sum[1] ?? 0) ^ 1]), rest]), /header crc mismatch/);
  });

  test('gzip data is read to the end of its last member, for any chunks', async () => {
    for (const lengths of cuts(small))
      assert.equal(
        (await unpacked(Buffer.concat([small, gzipSync('er'), gzipSync('')]), lengths)).toString(),
        'smaller',
      );
  });

  test('gzip data may be padded with zeros, for any chunks', async () => {
    for (const lengths of cuts(small))
      assert.equal((await unpacked(Buffer.concat([small, zeros]), lengths)).toString(), 'small');
  });

  test('gzip data followed by garbage is rejected with the offset', async () => {
    for (const lengths of cuts(small)) {
      const direct = /other data follows directly after the end of a gzip member, without zeros between them/;
      for (const isPermitted of [false, true]) {
        const { error } = await outcome(body(Buffer.concat([small, Buffer.from('garbage')]), lengths), {}, isPermitted);
        assert.equal(error?.code, 'CompressionInvalid');
        assert.match(error.message, direct);
      }
      await refuses(
        Buffer.concat([small, zeros, Buffer.from('x')]),
        new RegExp(`near byte ${small.length + 1000}: there is something after its end`),
        lengths,
      );
      // gzip itself takes no member after padding either.
      await refuses(Buffer.concat([small, zeros, small]), /there is something after its end/, lengths);
      await refuses(Buffer.concat([small, Buffer.of(0x1f)]), /cut off/, lengths);
    }
  });

  test('firmware metadata after the padding of gzip data is dropped with a warning if that is permitted, for any chunks', async () => {
    const metadata = Buffer.from('\0\0\0\0\0\0\0\0{"metadata_version":"1.1"}FWx0');
    for (const lengths of [...cuts(small), [small.length + 4, 3]]) {
      const file = Buffer.concat([small, metadata, zeros]);
      let read = 0;
      async function* counted() {
        for await (const piece of body(file, lengths)) {
          read += piece.length;
          yield piece;
        }
      }
      const { bytes, error, warnings } = await outcome(counted(), {}, true);
      assert.deepEqual([bytes.toString(), error], ['small', undefined]);
      assert.equal(read, file.length);
      assert.deepEqual(warnings, [
        `https://example.com/image.raw.xz?… has other data after its gzip data, from byte ${small.length + 8} on, which is not part of the image`,
      ]);
    }
    const { warnings } = await outcome(body(Buffer.concat([small, zeros])), {}, true);
    assert.deepEqual(warnings, []);
  });

  test('gzip data with a wrong checksum or length is rejected', async () => {
    for (const [from, message] of [
      [8, /incorrect data check/],
      [4, /incorrect length check/],
    ] as const) {
      const wrong = Buffer.from(member);
      wrong[wrong.length - from] = (wrong.at(-from) ?? 0) ^ 1;
      await refuses(wrong, message);
    }
  });

  test('truncated gzip data is rejected, except between members, which is undetectable', async () => {
    const two = Buffer.concat([small, gzipSync('er')]);
    for (let length = 3; length < two.length; length++) {
      const { bytes, error } = await outcome(body(two.subarray(0, length), [7]));
      if (length === small.length) assert.deepEqual([bytes.toString(), error], ['small', undefined]);
      else assert.match(error?.message ?? '', new RegExp(`cut off after ${length} bytes`));
    }
  });
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImageCorrupted } from '../../src/glance/errors.ts';
import { type DigestCheck, recordedDigest, verified } from '../../src/library/verify.ts';

const id = '6b1fd7a2-0000-4000-8000-000000000001';

async function* pieces(bytes: Uint8Array, cuts: readonly number[]) {
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    yield bytes.subarray(from, cut);
    from = Math.max(from, cut);
  }
  yield bytes.subarray(from);
}

/** What a reader gets before the end or the error. */
async function read(body: AsyncIterable<Uint8Array>, size: number | null, check: DigestCheck | undefined) {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of verified(body, { id, size, check })) chunks.push(chunk);
    return { bytes: Buffer.concat(chunks), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
}

const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 });
const cuts = fc.array(fc.nat(200), { maxLength: 5 });
const algorithm = fc.constantFrom('md5', 'sha1', 'sha256', 'sha512', 'sha3_256', 'blake2b');
const digest = (name: string, data: Uint8Array) =>
  createHash({ sha3_256: 'sha3-256', blake2b: 'blake2b512' }[name] ?? name)
    .update(data)
    .digest('hex');

test('the right bytes come through whole, wherever they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, cuts, algorithm, fc.boolean(), async (data, where, name, upper) => {
      const value = digest(name, data);
      const check = { algorithm: name, value: upper ? value.toUpperCase() : value };
      const { bytes: got, error } = await read(pieces(data, where), data.length, check);
      assert.equal(error, undefined);
      assert.deepEqual(new Uint8Array(got), data);
    }),
    { seed: 1 },
  );
});

test('wrong, missing or extra bytes are never passed on completely, for any chunks', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, bytes, cuts, async (data, other, where) => {
      fc.pre(!Buffer.from(data).equals(Buffer.from(other)));
      const check = { algorithm: 'sha256', value: digest('sha256', data) };
      for (const size of [data.length, null]) {
        const { bytes: got, error } = await read(pieces(other, where), size, check);
        assert.ok(error instanceof ImageCorrupted);
        assert.ok(got.length < other.length);
      }
      if (data.length === other.length) return;
      const { bytes: got, error } = await read(pieces(other, where), data.length, undefined);
      assert.ok(error instanceof ImageCorrupted);
      assert.ok(got.length < other.length && got.length <= data.length);
    }),
    { seed: 1 },
  );
});

test('an error of the source comes through to the reader', async () => {
  const broken = new Error('broken');
  async function* body() {
    yield Buffer.from('x');
    throw broken;
  }
  assert.equal((await read(body(), 1, undefined)).error, broken);
});

test('an image is checked by its hash, by MD5 where that cannot be computed, or not at all', () => {
  const checksum = 'c';
  const sha = { algorithm: 'sha512', value: 'h' };
  assert.deepEqual(recordedDigest({ hash: sha, checksum }), sha);
  assert.deepEqual(recordedDigest({ hash: { algorithm: 'rot13', value: 'h' }, checksum }), {
    algorithm: 'md5',
    value: 'c',
  });
  assert.deepEqual(recordedDigest({ hash: null, checksum }), { algorithm: 'md5', value: 'c' });
  assert.equal(recordedDigest({ hash: { algorithm: 'rot13', value: 'h' }, checksum: null }), undefined);
  assert.equal(recordedDigest({ hash: null, checksum: null }), undefined);
});

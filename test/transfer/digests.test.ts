import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { DigestAlgorithm } from '../../src/source/digest.ts';
import { algorithmOf, createDigests, type Expected } from '../../src/transfer/digests.ts';

const served = Buffer.from('as it is served');
const image = Buffer.from('as it is once it is decompressed');
const digest = (data: Buffer, algorithm: DigestAlgorithm) => ({
  algorithm,
  hex: createHash(algorithm).update(data).digest('hex'),
});
const expect = (of: Expected['of'], data: Buffer, algorithm: DigestAlgorithm): Expected => ({
  of,
  digest: digest(data, algorithm),
});

/** Of a compressed file if `inside` is given. */
function compute(expected: Expected[], algorithm: DigestAlgorithm, inside?: Buffer) {
  const digests = createDigests(expected, algorithm, { url: 'https://example.com/image', isPublic: true });
  digests.served(served);
  digests.image(inside ?? served, inside === undefined ? undefined : 'decompressed');
  return digests.finish();
}

test('the image is hashed in the requested algorithm, in addition to all verified digests', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    for (const declared of ['md5', 'sha1', 'sha256', 'sha512'] as const) {
      for (const which of ['Served', 'Image'] as const) {
        assert.deepEqual(compute([expect(which, served, declared)], algorithm), digest(served, algorithm));
        const right = which === 'Served' ? served : image;
        assert.deepEqual(compute([expect(which, right, declared)], algorithm, image), digest(image, algorithm));
      }
    }
    assert.deepEqual(compute([], algorithm, image), digest(image, algorithm));
  }
});

test('every expected digest is verified, and a mismatch names the kind of bytes', () => {
  const right = [expect('Served', served, 'sha256'), expect('Image', image, 'md5')];
  compute(right, 'sha512', image);
  for (const [wrong, words] of [
    [expect('Served', image, 'sha256'), /^as served, https:.* has the digest sha256:/],
    [expect('Image', served, 'sha1'), /^decompressed, https:.* has the digest sha1:/],
  ] as const) {
    assert.throws(() => compute([...right, wrong], 'sha512', image), { code: 'DigestMismatch', message: words });
  }
  const plain = { code: 'DigestMismatch', message: /^https:.* has the digest/ };
  assert.throws(() => compute([expect('Served', image, 'sha256')], 'sha512'), plain);
});

test('an unknown algorithm of Glance is replaced by sha512', () => {
  for (const name of ['md5', 'sha1', 'sha256', 'sha384', 'sha512']) assert.equal(algorithmOf(name), name);
  for (const name of [undefined, 'blake2b', '__proto__']) assert.equal(algorithmOf(name), 'sha512');
});

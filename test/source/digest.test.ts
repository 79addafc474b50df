import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OperatorError } from '../../src/lib/errors.ts';
import { createDigestVerifier, digestOf, formatDigest, isWeak, parseDigest } from '../../src/source/digest.ts';

const algorithms = ['md5', 'sha1', 'sha256', 'sha384', 'sha512'] as const;
const url = 'https://user:secret@example.com/image.raw?token=secret';
const hashOf = (algorithm: string, data: Uint8Array) => createHash(algorithm).update(data).digest('hex');

describe('a digest', () => {
  test('a digest is parsed and written in lower case', () => {
    fc.assert(
      fc.property(fc.constantFrom(...algorithms), fc.uint8Array(), (algorithm, data) => {
        const hex = hashOf(algorithm, data);
        assert.deepEqual(parseDigest(`${algorithm}:${hex.toUpperCase()}`), { algorithm, hex });
        assert.equal(formatDigest(parseDigest(`${algorithm}:${hex}`)), `${algorithm}:${hex}`);
      }),
    );
  });

  test('a digest is weak if collisions are feasible', () => {
    assert.deepEqual(algorithms.filter(isWeak), ['md5', 'sha1']);
  });

  test('a digest with an unknown algorithm or a wrong length is invalid', () => {
    assert.deepEqual(digestOf('md5', 'A'.repeat(32)), { algorithm: 'md5', hex: 'a'.repeat(32) });
    assert.equal(digestOf('blake3', 'a'.repeat(64)), undefined);
    assert.equal(digestOf('toString', 'a'.repeat(64)), undefined);
    assert.equal(digestOf('sha256', 'z'.repeat(64)), undefined);
  });

  const wrong = [
    '',
    'sha256',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha512:${'a'.repeat(64)}`,
    `sha256:${'g'.repeat(64)}`,
    `md5:${'a'.repeat(31)}`,
    `md5:${'a'.repeat(64)}`,
    `sha224:${'a'.repeat(56)}`,
    `constructor:${'a'.repeat(64)}`,
    ` sha256:${'a'.repeat(64)}`,
  ];
  for (const text of wrong)
    test(`the digest "${text.slice(0, 20)}" is rejected as an invalid spec`, () => {
      assert.throws(
        () => parseDigest(text),
        (error) => error instanceof OperatorError && error.code === 'InvalidSpec',
      );
    });
});

describe('verifying a digest', () => {
  test('verification gives the digest of all bytes for any chunks', () => {
    fc.assert(
      fc.property(fc.constantFrom(...algorithms), fc.array(fc.uint8Array()), (algorithm, chunks) => {
        const hex = hashOf(algorithm, Buffer.concat(chunks));
        const verifier = createDigestVerifier({ algorithm, hex }, { url });
        for (const chunk of chunks) verifier.update(chunk);
        assert.deepEqual(verifier.finish(), { algorithm, hex });
      }),
    );
  });

  test('verification computes sha512 when no digest is declared', () => {
    const verifier = createDigestVerifier(undefined, { url });
    verifier.update(Buffer.from('bytes'));
    assert.deepEqual(verifier.finish(), { algorithm: 'sha512', hex: hashOf('sha512', Buffer.from('bytes')) });
  });

  test('verification of wrong bytes fails with both digests and no secret', () => {
    const hex = hashOf('sha256', Buffer.from('expected'));
    const verifier = createDigestVerifier({ algorithm: 'sha256', hex }, { url, isPublic: true });
    verifier.update(Buffer.from('other'));
    assert.throws(
      () => verifier.finish(),
      (error) => {
        assert(error instanceof OperatorError);
        assert.equal(error.code, 'DigestMismatch');
        assert.equal(error.retry.kind, 'change');
        assert(error.message.includes(hex));
        assert(error.message.includes(hashOf('sha256', Buffer.from('other'))));
        assert(!error.message.includes('secret'));
        return true;
      },
    );
  });

  test('the digest found at an address that is not public is in no message', () => {
    const expected = { algorithm: 'sha256', hex: hashOf('sha256', Buffer.from('expected')) } as const;
    for (const source of [{ url }, { url, isPublic: false }, { url, isPublic: false, isSpliced: true }]) {
      const verifier = createDigestVerifier(expected, source);
      verifier.update(Buffer.from('other'));
      assert.throws(
        () => verifier.finish(),
        (error) => {
          assert(error instanceof OperatorError);
          assert.match(error.message, /does not have the declared digest/);
          assert(error.message.includes(expected.hex));
          assert(!error.message.includes(hashOf('sha256', Buffer.from('other'))));
          return true;
        },
      );
    }
  });

  test('a mismatch in a spliced download is retried', () => {
    const expected = { algorithm: 'sha256', hex: hashOf('sha256', Buffer.from('expected')) } as const;
    const verifier = createDigestVerifier(expected, { url, isSpliced: true });
    verifier.update(Buffer.from('other'));
    assert.throws(() => verifier.finish(), {
      code: 'SplicedDigestMismatch',
      retry: { kind: 'backoff' },
      message: /resumed at another server/,
    });
  });
});

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { type SignatureDeclaration, signatureOf } from '../../src/library/signature.ts';
import { ImageSignatureVerificationFailed } from '../../src/library/signature-errors.ts';
import { createSignatureVerifier } from '../../src/library/signature-verifier.ts';
import type { JsonValue } from '../../src/openstack/json.ts';
import { vectors } from './signature-vectors.ts';

const complete = {
  img_signature: 'c2lnbmF0dXJl',
  img_signature_hash_method: 'SHA-256',
  img_signature_key_type: 'RSA-PSS',
  img_signature_certificate_uuid: '5f0b6a52-0000-4000-8000-000000000001',
} as const;
const names = Object.keys(complete);

describe('the declaration of a signature', () => {
  test('a signature is declared by the four properties', () => {
    assert.deepEqual(signatureOf({ os_distro: 'ubuntu', ...complete }), {
      kind: 'signed',
      signed: {
        signature: Buffer.from('signature'),
        hashMethod: 'SHA-256',
        keyType: 'RSA-PSS',
        certificateId: complete.img_signature_certificate_uuid,
      },
    });
  });

  test('a signature is absent without the properties, or if all are null', () => {
    const unsigned = { kind: 'unsigned' };
    assert.deepEqual(signatureOf({}), unsigned);
    assert.deepEqual(signatureOf({ os_distro: 'ubuntu', img_signature_verified: 'True' }), unsigned);
    assert.deepEqual(signatureOf(Object.fromEntries(names.map((name) => [name, null]))), unsigned);
  });

  test('a signature with some of the properties is incomplete, and names the missing ones', () => {
    for (let present = 1; present < 15; present++) {
      const missing = names.filter((_, index) => (present & (1 << index)) === 0);
      for (const absent of [{}, Object.fromEntries(missing.map((name) => [name, null]))]) {
        const there = Object.entries(complete).filter(([name]) => !missing.includes(name));
        const declared = signatureOf({ ...Object.fromEntries(there), ...absent });
        assert.deepEqual(declared, { kind: 'incomplete', missing });
      }
    }
  });

  const unusable: [string, Record<string, JsonValue>, RegExp][] = [
    ['a signature that is no base64', { img_signature: 'AAAAA' }, /^img_signature is not the base64/],
    ['a signature without bytes', { img_signature: '' }, /^img_signature is not the base64/],
    ['a signature that is no text', { img_signature: ['c2ln'] }, /^img_signature is not the base64/],
    [
      'an unknown hash',
      { img_signature_hash_method: 'MD5' },
      /^img_signature_hash_method is none of SHA-224, SHA-256,/,
    ],
    [
      'an unknown kind of key',
      { img_signature_key_type: 'toString' },
      /^img_signature_key_type is none of RSA-PSS, DSA,/,
    ],
    ['no id', { img_signature_certificate_uuid: '' }, /^img_signature_certificate_uuid is not the id/],
    ['an endless id', { img_signature_certificate_uuid: 'x'.repeat(256) }, /^img_signature_certificate_uuid is not/],
  ];
  for (const [name, change, problem] of unusable) {
    test(`a signature with ${name} is unusable, with the reason`, () => {
      const declared: SignatureDeclaration = signatureOf({ ...complete, ...change });
      assert.equal(declared.kind, 'unusable');
      assert.equal(declared.problems.length, 1);
      assert.match(declared.problems[0] ?? '', problem);
    });
  }

  test('a signature with several problems reports all of them', () => {
    const declared = signatureOf(Object.fromEntries(names.map((name) => [name, ''])));
    assert.equal(declared.kind, 'unusable');
    assert.equal(declared.problems.length, 4);
  });
});

describe('the verifier of a signature', () => {
  const certificate = (name: string) => new X509Certificate(vectors.certificates[name] ?? '');
  const signed = { signature: Buffer.alloc(64), certificateId: 'the-certificate' };

  test('the verifier rejects an RSA key too short for the hash, before any data', () => {
    // The salt's length would be -2, which OpenSSL reads as "of any length".
    assert.throws(
      () =>
        createSignatureVerifier(
          { ...signed, hashMethod: 'SHA-512', keyType: 'RSA-PSS' },
          certificate('RSA of 512 bits'),
        ),
      (error) => {
        assert.ok(error instanceof ImageSignatureVerificationFailed);
        assert.match(
          error.message,
          /^the image cannot be verified: the key of certificate the-certificate is too short/,
        );
        return true;
      },
    );
  });

  test('the verifier rejects a key of another type, before any data', () => {
    assert.throws(
      () =>
        createSignatureVerifier({ ...signed, hashMethod: 'SHA-256', keyType: 'DSA' }, certificate('SECT409K1'), 'it'),
      (error) => {
        assert.ok(error instanceof ImageSignatureVerificationFailed);
        assert.equal(error.code, 'ImageSignatureInvalid');
        assert.equal(error.retry.kind, 'change');
        assert.match(error.message, /^it cannot be verified: .* is of the kind ec, but its key type is DSA$/);
        return true;
      },
    );
  });
});

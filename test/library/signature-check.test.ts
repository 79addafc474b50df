import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CertificateStore } from '../../src/library/certificates.ts';
import { fixedCertificates } from '../../src/library/certificates.ts';
import { type SignatureCheckOptions, signatureCheck } from '../../src/library/signature-check.ts';
import {
  CertificateUnavailable,
  ImageSignatureVerificationFailed,
  InvalidImageSignature,
} from '../../src/library/signature-errors.ts';
import type { JsonValue } from '../../src/openstack/json.ts';
import { vectors } from './signature-vectors.ts';
import { untyped } from './untyped.ts';

/** An image that was signed with a key on SECT409K1. */
const content = vectors.message;
const vector = vectors.signatures.find((one) => one.certificate === 'SECT409K1' && one.hashMethod === 'SHA-384');
const certificateId = '5f0b6a52-0000-4000-8000-000000000001';
const properties: Record<string, JsonValue> = {
  img_signature: vector?.signature ?? '',
  img_signature_hash_method: 'SHA-384',
  img_signature_key_type: 'ECC_SECT409K1',
  img_signature_certificate_uuid: certificateId,
};
const image = { id: '6b1fd7a2-0000-4000-8000-000000000001', properties };
const certificates = fixedCertificates(new Map([[certificateId, vectors.certificates['SECT409K1'] ?? '']]));
const options: SignatureCheckOptions = { mode: 'enabled', certificates, signal: new AbortController().signal };

test('a source of certificates that returns something else is a CertificateUnavailable', async () => {
  for (const other of [undefined, null, {}, 'text']) {
    const source = { get: async () => untyped<never>(other) };
    await assert.rejects(signatureCheck(image, { ...options, certificates: source }), CertificateUnavailable);
  }
});

test('an abort ends the wait for a certificate, also where its source ignores the signal', async () => {
  const abort = new AbortController();
  const source = { get: () => new Promise<never>(() => {}) };
  const waiting = signatureCheck(image, { ...options, certificates: source, signal: abort.signal });
  const reason = new Error('enough');
  abort.abort(reason);
  await assert.rejects(waiting, reason);
});

/** A body that knows whether it was let go. */
function bodyOf(chunks: readonly Uint8Array[], failure?: Error) {
  const state = { asked: 0, returned: 0 };
  const iterator: AsyncIterator<Uint8Array, void, undefined> = {
    async next() {
      const value = chunks[state.asked++];
      if (value !== undefined) return { done: false, value };
      if (failure !== undefined) throw failure;
      return { done: true, value: undefined };
    },
    async return() {
      state.returned++;
      return { done: true, value: undefined };
    },
  };
  return { state, body: { [Symbol.asyncIterator]: () => iterator } };
}

/** What came out, and how it ended. */
async function read(body: AsyncIterable<Uint8Array>): Promise<{ bytes: Buffer; error: unknown }> {
  const chunks: Uint8Array[] = [];
  let error: unknown;
  try {
    for await (const chunk of body) chunks.push(chunk);
  } catch (caught) {
    error = caught;
  }
  return { bytes: Buffer.concat(chunks), error };
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}
const cuts = fc.array(fc.nat(), { maxLength: 12 });

const noCertificates: CertificateStore = {
  get: () => assert.fail('no certificate is needed'),
};

describe('a signed image', () => {
  test('signed data comes through unchanged for any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(cuts, async (cuts) => {
        const check = await signatureCheck(image, options);
        assert.equal(check.verifies, true);
        const { bytes, error } = await read(check.through(bodyOf(split(content, cuts)).body));
        assert.equal(error, undefined);
        assert.deepEqual(bytes, content);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test('data with a wrong, missing or extra byte never comes through to its last chunk', async () => {
    const wrong = fc.oneof(
      fc.nat(content.length * 8 - 1).map((bit) => {
        const bytes = Buffer.from(content);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return bytes;
      }),
      fc.nat(content.length - 1).map((length) => content.subarray(0, length)),
      fc.uint8Array({ minLength: 1, maxLength: 9 }).map((more) => Buffer.concat([content, more])),
    );
    await fc.assert(
      fc.asyncProperty(wrong, cuts, async (wrong, cuts) => {
        const check = await signatureCheck(image, options);
        const { bytes, error } = await read(check.through(bodyOf(split(wrong, cuts)).body));
        assert.ok(error instanceof ImageSignatureVerificationFailed);
        assert.ok(bytes.length < wrong.length || wrong.length === 0, 'something was held back');
        assert.deepEqual(bytes, wrong.subarray(0, bytes.length));
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test('a wrong signature is reported with the image, the signature and the remedy', async () => {
    const { error } = await read((await signatureCheck(image, options)).through(bodyOf([Buffer.from('x')]).body));
    assert.ok(error instanceof ImageSignatureVerificationFailed);
    assert.equal(
      error.message,
      `image ${image.id} failed signature verification: its data does not fit its img_signature (ECC_SECT409K1, SHA-384, the key ` +
        `of certificate ${certificateId}); do not use it; upload the image that was signed, or correct its signature properties`,
    );
    assert.equal(error.code, 'ImageSignatureInvalid');
    assert.equal(error.retry.kind, 'change');
  });

  test('an error of the body comes through the verification', async () => {
    const failure = new Error('the connection broke');
    const { body } = bodyOf([content], failure);
    const { bytes, error } = await read((await signatureCheck(image, options)).through(body));
    assert.equal(error, failure);
    assert.equal(bytes.length, 0);
  });

  test('the verification releases its body when the reader stops or never starts', async () => {
    const begun = bodyOf(split(content, [5, 10, 15]));
    for await (const _chunk of (await signatureCheck(image, options)).through(begun.body)) break;
    assert.ok(begun.state.returned > 0);
    const untouched = bodyOf([content]);
    await (await signatureCheck(image, options)).through(untouched.body)[Symbol.asyncIterator]().return?.();
    assert.equal(untouched.state.asked, 0);
    assert.equal(untouched.state.returned, 1);
  });
});

describe('before a byte is read', () => {
  test('an incomplete signature is an InvalidImageSignature that names what is missing', async () => {
    const { img_signature_key_type: _, ...incomplete } = properties;
    await assert.rejects(
      signatureCheck({ id: image.id, properties: incomplete }, { ...options, certificates: noCertificates }),
      (error) => {
        assert.ok(error instanceof InvalidImageSignature);
        assert.equal(error.code, 'ImageSignatureInvalid');
        assert.match(error.message, /is incomplete: it has no img_signature_key_type; set all of img_signature, /);
        return true;
      },
    );
  });

  test('an unusable signature is an ImageSignatureVerificationFailed', async () => {
    const unusable = { ...properties, img_signature_hash_method: 'SHA-1' };
    await assert.rejects(
      signatureCheck({ id: image.id, properties: unusable }, { ...options, certificates: noCertificates }),
      (error) => {
        assert.ok(error instanceof ImageSignatureVerificationFailed);
        assert.match(
          error.message,
          /^image 6b1fd7a2-\S+ cannot be verified: img_signature_hash_method is none of SHA-224,/,
        );
        return true;
      },
    );
  });

  test('an unavailable certificate and one with the wrong key are distinguished', async () => {
    await assert.rejects(signatureCheck(image, { ...options, certificates: fixedCertificates(new Map()) }), (error) => {
      assert.ok(error instanceof CertificateUnavailable);
      assert.equal(error.code, 'CertificateUnavailable');
      return true;
    });
    const rsa = fixedCertificates(new Map([[certificateId, vectors.certificates['RSASSA-PSS'] ?? '']]));
    await assert.rejects(signatureCheck(image, { ...options, certificates: rsa }), ImageSignatureVerificationFailed);
  });
});

describe('nothing is verified, and said to be,', () => {
  test('the verification of an image without a signature is skipped', async () => {
    const check = await signatureCheck({ id: image.id, properties: {} }, { ...options, certificates: noCertificates });
    assert.equal(check.verifies, false);
    assert.deepEqual(await read(check.through(bodyOf([content]).body)), { bytes: content, error: undefined });
  });

  test('disabled verification accepts any properties and bytes', async () => {
    for (const some of [properties, { img_signature: 'incomplete' }, {}]) {
      const check = await signatureCheck(
        { id: image.id, properties: some },
        { ...options, mode: 'disabled', certificates: noCertificates },
      );
      assert.equal(check.verifies, false);
      const other = Buffer.from('what was not signed');
      assert.deepEqual(await read(check.through(bodyOf([other]).body)), { bytes: other, error: undefined });
    }
  });
});

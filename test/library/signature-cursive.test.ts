/**
 * Compares our verdict on every signature with that of cursive, which the rest of OpenStack uses. It runs once for the
 * whole table.
 */
import assert from 'node:assert/strict';
import { type KeyObject, X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeBase64, keyTypes, signatureOf } from '../../src/library/signature.ts';
import { ImageSignatureVerificationFailed } from '../../src/library/signature-errors.ts';
import { createSignatureVerifier } from '../../src/library/signature-verifier.ts';
import { askCursive, type CursiveAnswer, type Judging } from './cursive.ts';
import { accepted, keys, otherSalts, ours, refused, signings } from './signature-cases.ts';
import { vectors } from './signature-vectors.ts';

const recorded: Judging[] = vectors.signatures.map((one) => ({ ...one, message: vectors.message }));
const judgings = [...ours, ...[...accepted, ...refused, ...otherSalts].map(([, one]) => one), ...recorded];
const texts = ['A=', 'Ab09+/==-_ \n\u0000\u007fé'].flatMap((alphabet) =>
  fc.sample(fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 24 }), { numRuns: 1000, seed: 1 }),
);

let cursive: CursiveAnswer;
before(async () => {
  const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  cursive = await askCursive({
    keys: Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, pem(key)])),
    certificates: vectors.certificates,
    sign: signings,
    verify: judgings,
    decode: texts,
  });
});

/** Null where cursive accepts, else what it says. */
function theirs(judging: Judging): string | null {
  const verdict = cursive.verdicts[judgings.indexOf(judging)];
  assert.ok(verdict !== undefined);
  return verdict;
}

/** Null where we accept, else what we say. */
function ourVerdict({ certificate, message, ...properties }: Judging): string | null {
  const declared = signatureOf({
    img_signature: properties.signature,
    img_signature_hash_method: properties.hashMethod,
    img_signature_key_type: properties.keyType,
    img_signature_certificate_uuid: certificate,
  });
  if (declared.kind !== 'signed') return declared.kind;
  const pem = cursive.certificates[certificate] ?? vectors.certificates[certificate];
  assert.ok(pem !== undefined);
  try {
    const verifier = createSignatureVerifier(declared.signed, new X509Certificate(pem));
    verifier.update(message);
    verifier.finish();
    return null;
  } catch (error) {
    assert.ok(error instanceof ImageSignatureVerificationFailed);
    return error.message;
  }
}

describe('a signature made here is accepted by cursive and by us', () => {
  for (const judging of ours) {
    test(`${judging.keyType} with ${judging.hashMethod} and a key ${judging.certificate}`, () => {
      assert.equal(theirs(judging), null);
      assert.equal(ourVerdict(judging), null);
    });
  }
});

describe('a signature made by Python is accepted by us', () => {
  for (const [index, { key, ...signing }] of signings.entries()) {
    test(`${signing.keyType} with ${signing.hashMethod} and a key ${key}`, () => {
      const signature = cursive.signatures[index] ?? '';
      assert.equal(ourVerdict({ ...signing, certificate: key, signature }), null);
    });
  }
});

describe('cursive and we accept', () => {
  for (const [name, judging] of accepted) {
    test(name, () => {
      assert.equal(theirs(judging), null);
      assert.equal(ourVerdict(judging), null);
    });
  }
});

describe('cursive and we reject', () => {
  for (const [name, judging] of refused) {
    test(name, () => {
      assert.notEqual(theirs(judging), null);
      assert.notEqual(ourVerdict(judging), null);
    });
  }
});

describe('we reject if cursive demands the longest salt', () => {
  for (const [name, judging] of otherSalts) {
    test(`${name}, although current versions of cursive accept it`, () => {
      assert.equal(theirs(judging), null);
      assert.match(ourVerdict(judging) ?? '', /failed signature verification/);
    });
  }
});

describe('a signature that cursive accepted once', () => {
  for (const judging of recorded) {
    const { certificate, keyType, hashMethod } = judging;
    // A certificate can forbid its key all hashes but one. cursive overlooks it.
    const forbidden = certificate === 'RSASSA-PSS for SHA-256 only' && hashMethod !== 'SHA-256';
    test(`${keyType} with ${hashMethod} and a key ${certificate} is ${forbidden ? 'rejected' : 'accepted'} by us`, () => {
      if (cursive.keyTypes.includes(keyType)) assert.equal(theirs(judging), null);
      if (forbidden) assert.match(ourVerdict(judging) ?? '', /failed signature verification/);
      else assert.equal(ourVerdict(judging), null);
      assert.notEqual(ourVerdict({ ...judging, message: Buffer.from('other bytes') }), null);
    });
  }
});

test('every key type of cursive is supported', () => {
  assert.deepEqual(
    cursive.keyTypes.filter((name) => !Object.hasOwn(keyTypes, name)),
    [],
  );
});

test('base64 is read as Python reads it', () => {
  assert.deepEqual(
    texts.map((text) => {
      const bytes = decodeBase64(text);
      return bytes === undefined ? null : Buffer.from(bytes).toString('base64');
    }),
    cursive.decoded,
  );
  assert.ok(cursive.decoded.filter((text) => text !== null).length > 200, 'some of them can be read');
});

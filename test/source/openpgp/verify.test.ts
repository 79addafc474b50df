/** Signatures over lists of digests, made by GnuPG: see make-material.sh. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readClearsigned } from '../../../src/source/openpgp/cleartext.ts';
import { readKeyring, type Signer } from '../../../src/source/openpgp/keyring.ts';
import { readPackets } from '../../../src/source/openpgp/packets.ts';
import { type SignatureVerdict, verifyClearsigned, verifyDetached } from '../../../src/source/openpgp/verify.ts';

const now = new Date('2024-09-01T00:00:00Z');
const signedAt = new Date('2024-06-01T12:00:00Z');

function material(name: string): Buffer {
  return readFileSync(join(import.meta.dirname, 'material', name));
}

function keys(...names: string[]): Signer[] {
  return names.flatMap((name) => readKeyring(material(name), now) ?? assert.fail(`${name} has no keys`));
}

function detached(signature: string, ...keyFiles: string[]): SignatureVerdict {
  return verifyDetached(material('SHA256SUMS'), material(signature), keys(...keyFiles), now);
}

function clearsigned(text: string, signers: readonly Signer[]): SignatureVerdict {
  const read = readClearsigned(text.split('\n'));
  assert.equal(read.kind, 'signed');
  return read.kind === 'signed' ? verifyClearsigned(read.blocks, signers, now) : assert.fail();
}

function faultOf(verdict: SignatureVerdict): string {
  return verdict.kind === 'bad' ? verdict.fault : verdict.kind;
}

describe('signatures of OpenPGP', () => {
  for (const [signature, key] of [
    ['SHA256SUMS.gpg', 'release.key.asc'],
    ['SHA256SUMS.gpg', 'release.key.gpg'],
    ['SHA256SUMS.text.asc', 'release.key.asc'],
    ['SHA256SUMS.asc', 'subkey.key.asc'],
  ] as const)
    test(`the detached signature ${signature} fits the list with ${key}, and has its time and its primary key`, () => {
      const [{ primary } = assert.fail()] = keys(key);
      assert.deepEqual(detached(signature, key), { kind: 'good', signedBy: primary.fingerprint, signedAt });
    });

  test('a clearsigned list is verified, with dash escapes and blanks at the ends of lines', () => {
    const [{ primary } = assert.fail()] = keys('curve.key.asc');
    const text = material('CHECKSUM.clearsigned').toString();
    assert.match(text, /^- - a line/m, 'the list has a dash escape');
    assert.deepEqual(clearsigned(text, keys('curve.key.asc')), {
      kind: 'good',
      signedBy: primary.fingerprint,
      signedAt,
    });
  });

  test('the fingerprint of a key is the one that GnuPG shows', () => {
    const [{ primary } = assert.fail(), subkey] = keys('subkey.key.asc');
    assert.match(primary.fingerprint, /^[0-9A-F]{40}$/);
    assert.notEqual(subkey?.key.fingerprint, primary.fingerprint);
    assert.equal(subkey?.primary, primary);
  });

  test('a list with one changed byte does not fit its signature', () => {
    const list = material('SHA256SUMS');
    list[0] = 0x39;
    const verdict = verifyDetached(list, material('SHA256SUMS.gpg'), keys('release.key.asc'), now);
    assert.equal(faultOf(verdict), 'SignatureInvalid');
  });

  test('a clearsigned list with one changed digit does not fit its signature', () => {
    const text = material('CHECKSUM.clearsigned').toString().replace('8e35', '8e36');
    assert.equal(faultOf(clearsigned(text, keys('curve.key.asc'))), 'SignatureInvalid');
  });

  test('of two signed blocks each must be signed by a trusted key, and the older one gives the time', () => {
    const [one, other] = [
      material('CHECKSUM.clearsigned').toString(),
      material('CHECKSUM.newer.clearsigned').toString(),
    ];
    const both = clearsigned(`${other}\n${one}`, keys('curve.key.asc', 'release.key.asc'));
    assert.ok(both.kind === 'good' && both.signedAt.getTime() === signedAt.getTime());
    assert.equal(faultOf(clearsigned(`${other}\n${one}`, keys('release.key.asc'))), 'SignerNotAllowed');
  });

  test('a file without a signature is SignatureMissing', () => {
    assert.equal(faultOf(detached('SHA256SUMS', 'release.key.asc')), 'SignatureMissing');
    assert.equal(
      faultOf(verifyDetached(material('SHA256SUMS'), Buffer.alloc(0), keys('release.key.asc'), now)),
      'SignatureMissing',
    );
  });

  test('a signature of a key is no signature of a list', () => {
    assert.equal(faultOf(detached('release.key.asc', 'release.key.asc')), 'SignatureInvalid');
  });

  test('a key that is not declared is SignerNotAllowed, and the message has its fingerprint', () => {
    const verdict = detached('SHA256SUMS.stranger.asc', 'release.key.asc', 'subkey.key.asc');
    const [{ key } = assert.fail()] = keys('stranger.key.asc');
    assert.equal(faultOf(verdict), 'SignerNotAllowed');
    assert.ok(verdict.kind === 'bad' && verdict.why.includes(key.fingerprint));
  });

  test('one of several signatures by a trusted key is enough', () => {
    assert.equal(detached('SHA256SUMS.both.asc', 'subkey.key.asc').kind, 'good');
    assert.equal(faultOf(detached('SHA256SUMS.both.asc', 'release.key.asc')), 'SignerNotAllowed');
  });

  test('a key that has expired is KeyExpired, also for a signature from before', () => {
    assert.equal(faultOf(detached('SHA256SUMS.expired.asc', 'expired.key.asc')), 'KeyExpired');
    const before = new Date('2020-09-01T00:00:00Z');
    const signers = readKeyring(material('expired.key.asc'), before) ?? assert.fail();
    assert.equal(
      verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.expired.asc'), signers, before).kind,
      'good',
    );
  });

  test('a key that its owner has revoked is KeyRevoked, also for a signature from before', () => {
    assert.equal(faultOf(detached('SHA256SUMS.revoked.asc', 'revoked.key.asc')), 'KeyRevoked');
  });

  test('a signature over a sha1 hash, or with a key that is too short, is WeakHash', () => {
    assert.equal(faultOf(detached('SHA256SUMS.sha1.asc', 'subkey.key.asc')), 'WeakHash');
    assert.equal(faultOf(detached('SHA256SUMS.short.asc', 'short.key.asc')), 'WeakHash');
  });

  test('a signature that has expired, or has a time in the future, is SignatureInvalid', () => {
    assert.equal(faultOf(detached('SHA256SUMS.brief.asc', 'release.key.asc')), 'SignatureInvalid');
    const before = new Date('2024-05-01T00:00:00Z');
    const signers = readKeyring(material('release.key.asc'), before) ?? assert.fail();
    assert.equal(
      faultOf(verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.gpg'), signers, before)),
      'SignatureInvalid',
    );
  });

  test('a subkey of another person counts for nothing in front of another primary key', () => {
    const packets = (name: string) => readPackets(material(name)) ?? assert.fail();
    const isSubkey = ({ tag }: { tag: number }) => tag === 14;
    const theirs = packets('subkey.key.asc');
    const stolen = theirs.slice(theirs.findIndex(isSubkey));
    const file = Buffer.concat([...packets('release.key.asc'), ...stolen].map(({ tag, body }) => packet(tag, body)));
    const signers = readKeyring(file, now) ?? assert.fail();
    assert.equal(signers.length, 2);
    const verdict = verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.asc'), signers, now);
    assert.equal(faultOf(verdict), 'SignerNotAllowed');
  });

  test('a key without its own signature counts for nothing', () => {
    const [key = assert.fail(), user = assert.fail()] = readPackets(material('release.key.asc')) ?? [];
    const bare = Buffer.concat([packet(key.tag, key.body), packet(user.tag, user.body)]);
    const signers = readKeyring(bare, now) ?? assert.fail();
    assert.equal(
      faultOf(verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.gpg'), signers, now)),
      'SignerNotAllowed',
    );
  });

  test('files that are no public keys are not read as keys', () => {
    for (const file of ['SHA256SUMS', 'SHA256SUMS.gpg', 'SHA256SUMS.asc'])
      assert.equal(readKeyring(material(file), now), undefined, file);
    const [key = assert.fail()] = readPackets(material('release.key.asc')) ?? [];
    const secret = Buffer.concat([packet(key.tag, key.body), packet(5, key.body)]);
    assert.equal(readKeyring(secret, now), undefined, 'a private key');
  });

  test('no damaged signature or key is accepted, and none throws', () => {
    const [list, signature, key] = [material('SHA256SUMS'), material('SHA256SUMS.gpg'), material('release.key.gpg')];
    const damaged = (bytes: Buffer, at: number, value: number) => {
      const copy = Buffer.from(bytes);
      copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ value;
      return copy;
    };
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, value, inKey) => {
        const signers = readKeyring(inKey ? damaged(key, at, value) : key, now) ?? [];
        const verdict = verifyDetached(list, inKey ? signature : damaged(signature, at, value), signers, now);
        // A change of an unhashed part, or of the name of the user, changes nothing.
        return verdict.kind === 'bad' || verdict.signedAt.getTime() === signedAt.getTime();
      }),
      { numRuns: 300 },
    );
  });

  test('any bytes are read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        readKeyring(bytes, now);
        return verifyDetached(Buffer.from('x'), bytes, keys('release.key.gpg'), now).kind === 'bad';
      }),
    );
  });
});

function packet(tag: number, body: Buffer): Buffer {
  const header = Buffer.from([0xc0 | tag, 0xff, 0, 0, 0, 0]);
  header.writeUInt32BE(body.length, 2);
  return Buffer.concat([header, body]);
}

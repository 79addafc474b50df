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

async function keys(...names: string[]): Promise<Signer[]> {
  const read = await Promise.all(names.map((name) => readKeyring(material(name), now)));
  return read.flatMap((signers, at) => signers ?? assert.fail(`${names[at]} has no keys`));
}

async function detached(signature: string, ...keyFiles: string[]): Promise<SignatureVerdict> {
  return verifyDetached(material('SHA256SUMS'), material(signature), await keys(...keyFiles), now);
}

async function clearsigned(text: string, signers: readonly Signer[]): Promise<SignatureVerdict> {
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
    ['SHA256SUMS.long.gpg', 'long.key.asc'],
  ] as const)
    test(`the detached signature ${signature} fits the list with ${key}, and has its time and its primary key`, async () => {
      const [{ primary } = assert.fail()] = await keys(key);
      assert.deepEqual(await detached(signature, key), { kind: 'good', signedBy: primary, signedAt });
    });

  test('a clearsigned list is verified, with dash escapes and blanks at the ends of lines', async () => {
    const [{ primary } = assert.fail()] = await keys('curve.key.asc');
    const text = material('CHECKSUM.clearsigned').toString();
    assert.match(text, /^- - a line/m, 'the list has a dash escape');
    assert.deepEqual(await clearsigned(text, await keys('curve.key.asc')), {
      kind: 'good',
      signedBy: primary,
      signedAt,
    });
  });

  test('the fingerprint of a key is the one that GnuPG shows', async () => {
    const [{ primary } = assert.fail(), subkey] = await keys('subkey.key.asc');
    assert.match(primary, /^[0-9A-F]{40}$/);
    assert.notEqual(subkey?.fingerprint, primary);
    assert.equal(subkey?.primary, primary);
  });

  test('a list with one changed byte does not fit its signature', async () => {
    const list = material('SHA256SUMS');
    list[0] = 0x39;
    const verdict = await verifyDetached(list, material('SHA256SUMS.gpg'), await keys('release.key.asc'), now);
    assert.equal(faultOf(verdict), 'SignatureInvalid');
  });

  test('a clearsigned list with one changed digit does not fit its signature', async () => {
    const text = material('CHECKSUM.clearsigned').toString().replace('8e35', '8e36');
    assert.equal(faultOf(await clearsigned(text, await keys('curve.key.asc'))), 'SignatureInvalid');
  });

  test('of two signed blocks each must be signed by a trusted key, and the older one gives the time', async () => {
    const [one, other] = [
      material('CHECKSUM.clearsigned').toString(),
      material('CHECKSUM.newer.clearsigned').toString(),
    ];
    const both = await clearsigned(`${other}\n${one}`, await keys('curve.key.asc', 'release.key.asc'));
    assert.ok(both.kind === 'good' && both.signedAt.getTime() === signedAt.getTime());
    assert.equal(faultOf(await clearsigned(`${other}\n${one}`, await keys('release.key.asc'))), 'SignerNotAllowed');
  });

  test('a file without a signature is SignatureMissing', async () => {
    assert.equal(faultOf(await detached('SHA256SUMS', 'release.key.asc')), 'SignatureMissing');
    assert.equal(
      faultOf(await verifyDetached(material('SHA256SUMS'), Buffer.alloc(0), await keys('release.key.asc'), now)),
      'SignatureMissing',
    );
  });

  test('a signature of a key is no signature of a list', async () => {
    assert.equal(faultOf(await detached('release.key.asc', 'release.key.asc')), 'SignatureInvalid');
  });

  test('a key that is not declared is SignerNotAllowed, and the message has its fingerprint', async () => {
    const verdict = await detached('SHA256SUMS.stranger.asc', 'release.key.asc', 'subkey.key.asc');
    const [{ fingerprint } = assert.fail()] = await keys('stranger.key.asc');
    assert.equal(faultOf(verdict), 'SignerNotAllowed');
    assert.ok(verdict.kind === 'bad' && verdict.why.includes(fingerprint));
  });

  test('one of several signatures by a trusted key is enough', async () => {
    assert.equal((await detached('SHA256SUMS.both.asc', 'subkey.key.asc')).kind, 'good');
    assert.equal(faultOf(await detached('SHA256SUMS.both.asc', 'release.key.asc')), 'SignerNotAllowed');
  });

  test('of several signatures by trusted keys the newest gives the time and the key, whatever their order is', async () => {
    const files = ['SHA256SUMS.renewed.asc', 'SHA256SUMS.asc', 'SHA256SUMS.stranger.asc'];
    const [{ primary } = assert.fail()] = await keys('subkey.key.asc');
    const signers = await keys('subkey.key.asc', 'renewed.key.asc');
    const list = material('SHA256SUMS');
    for (const order of [files, files.toReversed()]) {
      const verdict = await verifyDetached(list, Buffer.concat(order.map(material)), signers, now);
      assert.deepEqual(verdict, { kind: 'good', signedBy: primary, signedAt }, order.join());
    }
  });

  test('of two signatures of the same second by trusted keys the same one counts, whatever their order is', async () => {
    const files = ['SHA256SUMS.asc', 'SHA256SUMS.text.asc'];
    const signers = await keys('subkey.key.asc', 'release.key.asc');
    const list = material('SHA256SUMS');
    const verdictOf = (order: string[]) => verifyDetached(list, Buffer.concat(order.map(material)), signers, now);
    const verdict = await verdictOf(files);
    assert.equal(verdict.kind, 'good');
    assert.deepEqual(await verdictOf(files.toReversed()), verdict);
  });

  test('a key that has expired is KeyExpired, also for a signature from before', async () => {
    assert.equal(faultOf(await detached('SHA256SUMS.expired.asc', 'expired.key.asc')), 'KeyExpired');
    const before = new Date('2020-09-01T00:00:00Z');
    const signers = (await readKeyring(material('expired.key.asc'), before)) ?? assert.fail();
    assert.equal(
      (await verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.expired.asc'), signers, before)).kind,
      'good',
    );
  });

  test('a key whose time was extended after the signature verifies it', async () => {
    assert.equal((await detached('SHA256SUMS.renewed.asc', 'renewed.key.asc')).kind, 'good');
  });

  test('a signature of a DSA key is SignatureInvalid, and the message says that its algorithm is not supported', async () => {
    const verdict = await detached('SHA256SUMS.dsa.asc', 'old.key.asc');
    assert.equal(faultOf(verdict), 'SignatureInvalid');
    assert.ok(verdict.kind === 'bad' && /algorithm is not supported/.test(verdict.why));
  });

  test('the signature of another file does not fit, although a trusted key made it', async () => {
    const verdict = await verifyDetached(
      Buffer.from('x'),
      material('SHA256SUMS.gpg'),
      await keys('release.key.asc'),
      now,
    );
    assert.equal(faultOf(verdict), 'SignatureInvalid');
  });

  test('a clearsigned list with a header that is not Hash, or that announces another hash, is rejected', async () => {
    const text = material('CHECKSUM.clearsigned').toString();
    const [, hash = assert.fail()] = /^Hash: (\w+)$/m.exec(text) ?? [];
    for (const header of [`Hash: ${hash}\n0000  disk.qcow2`, `Comment: none`, `Hash:${hash}`, `hash: ${hash}`])
      assert.equal(readClearsigned(text.replace(`Hash: ${hash}`, header).split('\n')).kind, 'broken', header);
    const signers = await keys('curve.key.asc');
    for (const header of ['Hash: SHA1', 'Hash: MD5, SHA1'])
      assert.equal(
        faultOf(await clearsigned(text.replace(`Hash: ${hash}`, header), signers)),
        'SignatureInvalid',
        header,
      );
    assert.equal((await clearsigned(text.replace(`Hash: ${hash}`, `Hash: SHA1, ${hash}`), signers)).kind, 'good');
    assert.equal((await clearsigned(text.replace(`Hash: ${hash}\n`, ''), signers)).kind, 'good');
  });

  test('a file of keys with more signatures than a key makes of itself is rejected before they are verified', async () => {
    const packets = (await readPackets(material('subkey.key.asc'))) ?? assert.fail();
    const own = packets.find(({ tag }) => tag === 2) ?? assert.fail();
    const flooded = (count: number) =>
      Buffer.concat(
        packets
          .flatMap((one) => (one === own ? Array.from({ length: count }, () => own) : [one]))
          .map(({ bytes }) => bytes),
      );
    assert.equal((await readKeyring(flooded(100), now))?.length, 2);
    assert.equal(await readKeyring(flooded(600), now), undefined);
  });

  test('a signature with more headers than a program writes is not read', async () => {
    const signers = await keys('subkey.key.asc');
    const verdictWith = (count: number) => {
      const text = material('SHA256SUMS.asc')
        .toString()
        .replace('\n\n', `\n${'Comment: x\n'.repeat(count)}\n`);
      return verifyDetached(material('SHA256SUMS'), Buffer.from(text), signers, now);
    };
    assert.equal(faultOf(await verdictWith(3)), 'good');
    assert.equal(faultOf(await verdictWith(50_000)), 'SignatureMissing');
  });

  test('an RSA key with a long exponent verifies nothing', async () => {
    const packets = (await readPackets(material('long.key.asc'))) ?? assert.fail();
    const [key = assert.fail(), ...rest] = packets;
    const exponent = Buffer.concat([Buffer.from([0x0f, 0xff]), Buffer.alloc(512, 0xff)]);
    const body = Buffer.concat([key.bytes.subarray(3, -5), exponent]);
    const header = Buffer.from([0xc6, 0xff, 0, 0, 0, 0]);
    header.writeUInt32BE(body.length, 2);
    const file = Buffer.concat([header, body, ...rest.map(({ bytes }) => bytes)]);
    assert.deepEqual(
      (await readKeyring(file, now))?.map(({ strength, state }) => ({ strength, state })),
      [{ strength: 'notSupported', state: 'unusable' }],
    );
  });

  test('a key that its owner has revoked is KeyRevoked, also for a signature from before', async () => {
    assert.equal(faultOf(await detached('SHA256SUMS.revoked.asc', 'revoked.key.asc')), 'KeyRevoked');
  });

  test('a signature over a sha1 hash, or with a key that is too short, is WeakHash', async () => {
    assert.equal(faultOf(await detached('SHA256SUMS.sha1.asc', 'subkey.key.asc')), 'WeakHash');
    assert.equal(faultOf(await detached('SHA256SUMS.short.asc', 'short.key.asc')), 'WeakHash');
  });

  test('a signature that has expired, or has a time in the future, is SignatureInvalid', async () => {
    assert.equal(faultOf(await detached('SHA256SUMS.brief.asc', 'release.key.asc')), 'SignatureInvalid');
    const before = new Date('2024-05-01T00:00:00Z');
    const signers = (await readKeyring(material('release.key.asc'), before)) ?? assert.fail();
    assert.equal(
      faultOf(await verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.gpg'), signers, before)),
      'SignatureInvalid',
    );
  });

  test('a subkey of another person counts for nothing in front of another primary key', async () => {
    const packets = async (name: string) => (await readPackets(material(name))) ?? assert.fail();
    const isSubkey = ({ tag }: { tag: number }) => tag === 14;
    const theirs = await packets('subkey.key.asc');
    const stolen = theirs.slice(theirs.findIndex(isSubkey));
    const file = Buffer.concat([...(await packets('release.key.asc')), ...stolen].map(({ bytes }) => bytes));
    const signers = (await readKeyring(file, now)) ?? assert.fail();
    assert.equal(signers.length, 2);
    const verdict = await verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.asc'), signers, now);
    assert.equal(faultOf(verdict), 'SignerNotAllowed');
  });

  test('a key without its own signature counts for nothing', async () => {
    const [key = assert.fail(), user = assert.fail()] = (await readPackets(material('release.key.asc'))) ?? [];
    const bare = Buffer.concat([key.bytes, user.bytes]);
    const signers = (await readKeyring(bare, now)) ?? assert.fail();
    assert.equal(
      faultOf(await verifyDetached(material('SHA256SUMS'), material('SHA256SUMS.gpg'), signers, now)),
      'SignerNotAllowed',
    );
  });

  test('files that are no public keys are not read as keys', async () => {
    for (const file of ['SHA256SUMS', 'SHA256SUMS.gpg', 'SHA256SUMS.asc'])
      assert.equal(await readKeyring(material(file), now), undefined, file);
    const [key = assert.fail()] = (await readPackets(material('release.key.asc'))) ?? [];
    const secret = Buffer.concat([key.bytes, Buffer.from([0xc5, 1, 4])]);
    assert.equal(await readKeyring(secret, now), undefined, 'a private key');
  });

  test('no damaged signature or key is accepted, and none throws', async () => {
    const [list, signature, key] = [material('SHA256SUMS'), material('SHA256SUMS.gpg'), material('release.key.gpg')];
    const damaged = (bytes: Buffer, at: number, value: number) => {
      const copy = Buffer.from(bytes);
      copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ value;
      return copy;
    };
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (at, value, inKey) => {
        const signers = (await readKeyring(inKey ? damaged(key, at, value) : key, now)) ?? [];
        const verdict = await verifyDetached(list, inKey ? signature : damaged(signature, at, value), signers, now);
        // A change of an unhashed part, or of the name of the user, changes nothing.
        return verdict.kind === 'bad' || verdict.signedAt.getTime() === signedAt.getTime();
      }),
      { numRuns: 300 },
    );
  });

  test('signatures that contain each other are not read, because the library would copy and read each again', async () => {
    const field = (length: number) => Buffer.from(Uint32Array.of(length).buffer).swap32();
    const packetOf = (body: Buffer) => Buffer.concat([Buffer.from([0xc2, 0xff]), field(body.length), body]);
    let body = Buffer.alloc(0);
    for (let depth = 0; depth < 2000; depth++) {
      const embedded =
        depth === 0 ? body : Buffer.concat([Buffer.from([255]), field(body.length + 1), Buffer.from([32]), body]);
      const [head, end] = [Buffer.from([6, 0, 22, 8]), Buffer.alloc(23)];
      end[6] = 16;
      body = Buffer.concat([head, field(embedded.length), embedded, end]);
    }
    const nested = packetOf(body);
    assert.equal((await readPackets(nested))?.length, undefined);
    assert.equal((await readKeyring(Buffer.concat([material('release.key.gpg'), nested]), now))?.length, undefined);
    const verdict = await verifyDetached(material('SHA256SUMS'), nested, await keys('release.key.asc'), now);
    assert.equal(faultOf(verdict), 'SignatureMissing');
  });

  test('any bytes are read without an exception', async () => {
    const signers = await keys('release.key.gpg');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await readKeyring(bytes, now);
        return (await verifyDetached(Buffer.from('x'), bytes, signers, now)).kind === 'bad';
      }),
    );
  });
});

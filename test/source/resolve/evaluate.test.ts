/** The resolution that a list, an index and their signatures give. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { sanitise } from '../../../src/image/model/sanitise.ts';
import { type Document, evaluate, whyOlder } from '../../../src/source/resolve/evaluate.ts';
import type { DocumentQuestion, Resolution } from '../../../src/source/resolve/question.ts';

const now = new Date('2024-09-01T00:00:00Z');
const folder = 'https://images.example.com/9/latest/';
const hex = '8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf';
const other = 'bee98bf120e8906382754c6be52860ac5dbc65a1ca4dbee7576267d8fd3367e1';

function material(name: string): Buffer {
  return readFileSync(join(import.meta.dirname, '../openpgp/material', name));
}

function question(
  fields: Partial<DocumentQuestion> = {},
  file = `${folder}disk.qcow2`,
  name?: string,
): DocumentQuestion {
  return {
    url: `${folder}SHA256SUMS`,
    isSigned: false,
    looksFor: { kind: 'checksums', file, name },
    ...fields,
  };
}

async function ask(
  asked: DocumentQuestion,
  document: Partial<Document>,
  { keys = [], accepted }: { keys?: Uint8Array[]; accepted?: Resolution } = {},
): Promise<Resolution | string> {
  const given = await evaluate(asked, { bytes: Buffer.alloc(0), isPublic: true, ...document }, keys, now);
  const error = given.ok ? accepted && whyOlder(asked.url, given.resolution, accepted) : given.error;
  return error === undefined && given.ok ? given.resolution : `${error?.code}: ${error?.message}`;
}

const list = Buffer.from(`${hex}  disk.qcow2\n${other}  disk.qcow2.xz\n`);
const dated = Buffer.from(`${hex}  disk-latest.qcow2\n${hex}  disk-9.8+1 b.qcow2\n`);

describe('resolutions from lists and indexes', () => {
  test('a list gives the digest of the file at the declared URL', async () => {
    assert.deepEqual(await ask(question(), { bytes: list }), { url: `${folder}disk.qcow2`, digest: `sha256:${hex}` });
  });

  test('the dated name of the same bytes is fetched from the folder of the declared URL', async () => {
    assert.deepEqual(await ask(question({}, `${folder}disk-latest.qcow2`), { bytes: dated }), {
      url: `${folder}disk-9.8%2B1%20b.qcow2`,
      digest: `sha256:${hex}`,
      version: '9.8+1 b',
    });
  });

  test('fileName is the name in the list of a file with another URL', async () => {
    const asked = question({}, 'https://images.example.com/get?id=7', 'disk.qcow2');
    assert.deepEqual(await ask(asked, { bytes: list }), {
      url: 'https://images.example.com/get?id=7',
      digest: `sha256:${hex}`,
    });
  });

  test('a pattern chooses the file, which is fetched from the folder of the declared URL', async () => {
    const versions = Buffer.from(`${other}  disk-1.9.qcow2\n${hex}  disk-1.10.qcow2\n`);
    for (const file of [folder, `${folder}disk.qcow2`])
      assert.deepEqual(await ask(question({}, file, 'disk-*.qcow2'), { bytes: versions }), {
        url: `${folder}disk-1.10.qcow2`,
        digest: `sha256:${hex}`,
        version: '1.10',
      });
  });

  test('a digest alone needs the URL of the file itself', async () => {
    const bare = Buffer.from(`${hex}\n`);
    assert.deepEqual(await ask(question(), { bytes: bare }), { url: `${folder}disk.qcow2`, digest: `sha256:${hex}` });
    assert.match(
      String(await ask(question({}, folder, 'disk.qcow2'), { bytes: bare })),
      /^DigestNotFound: .*name the file itself/,
    );
  });

  test('a list with nothing but weak digests is rejected', async () => {
    const bytes = Buffer.from(`${'a'.repeat(32)}  disk.qcow2\n`);
    assert.match(String(await ask(question(), { bytes })), /^DigestNotFound: .*only the md5 digest of "disk.qcow2"/);
  });

  test('a list without the file, an empty one and a web page are DigestNotFound, with the URL', async () => {
    for (const bytes of [`${hex}  x.img\n`, '', '<html>'])
      assert.match(
        String(await ask(question(), { bytes: Buffer.from(bytes) })),
        /^DigestNotFound: the list https:\/\/images/,
      );
  });

  test('a version with characters that cannot be shown is the text that the status has', async () => {
    const layout = { base: folder, file: '/file', digest: '/sha256', version: '/version' };
    const asked = question({ looksFor: { kind: 'pointers', layout } });
    for (const sent of ['1.\u00002', '\u202e1.2 ', '1\ud8002', '\n', '1.2\t3', '\u0007'.repeat(20), '1.2']) {
      const bytes = Buffer.from(JSON.stringify({ file: 'disk.raw', sha256: hex, version: sent }));
      const resolution = await ask(asked, { bytes });
      assert.ok(typeof resolution !== 'string', String(resolution));
      const source = { ...resolution, resolvedAt: '2026-01-01T00:00:00Z', declaration: '0123456789abcdef' };
      assert.deepEqual(sanitise({ source }).source, source, JSON.stringify(sent));
    }
  });

  test('a list with a name or a version that the status cannot keep is DigestNotFound', async () => {
    for (const [length, what] of [
      [300, /a version of more than 255 characters/],
      [2100, /a file whose URL has more than 2048 characters/],
    ] as const) {
      const bytes = Buffer.from(`${hex}  disk-1${'0'.repeat(length)}.qcow2\n`);
      const given = String(await ask(question({}, folder, 'disk-*.qcow2'), { bytes }));
      assert.match(given, /^DigestNotFound: /);
      assert.match(given, what);
    }
  });

  test('an index gives a resolution, and a failure has its URL', async () => {
    const layout = { base: folder, file: '/file', digest: '/sha256', version: '/version' };
    const asked = question({ url: `${folder}index.json`, looksFor: { kind: 'pointers', layout } });
    const bytes = Buffer.from(JSON.stringify({ file: 'disk.raw', sha256: hex, version: 7 }));
    assert.deepEqual(await ask(asked, { bytes }), { url: `${folder}disk.raw`, digest: `sha256:${hex}`, version: '7' });
    assert.match(
      String(await ask(asked, { bytes: Buffer.from('{}') })),
      /^DigestNotFound: the index https:.*index.json has no text/,
    );
  });
});

describe('lists that are older than the accepted one', () => {
  const pattern = question({}, folder, 'disk-*.qcow2');
  const versioned = (version: string) => ({ bytes: Buffer.from(`${hex}  disk-${version}.qcow2\n`) });
  const accepted = (version: string) => ({ accepted: { url: folder, digest: `sha256:${other}`, version } });

  test('a version before the accepted one is ListOutdated, and the same or a later one is accepted', async () => {
    assert.match(
      String(await ask(pattern, versioned('1.9'), accepted('1.10'))),
      /^ListOutdated: .*version 1.9, before 1.10/,
    );
    for (const version of ['1.10', '1.11', '2.0'])
      assert.equal(typeof (await ask(pattern, versioned(version), accepted('1.10'))), 'object', version);
  });

  test('a signature before the accepted one is ListOutdated', async () => {
    const asked = question({ isSigned: true, signatureURL: `${folder}SHA256SUMS.gpg` }, folder, 'disk-*.qcow2');
    const document = { bytes: material('SHA256SUMS'), signature: material('SHA256SUMS.gpg') };
    const keys = [material('release.key.asc')];
    const given = await ask(asked, document, { keys });
    assert.ok(typeof given === 'object' && given.signedAt === '2024-06-01T12:00:00Z');
    assert.equal(typeof (await ask(asked, document, { keys, accepted: given })), 'object');
    const later = { ...given, signedAt: '2024-06-01T12:00:01Z' };
    assert.match(
      String(await ask(asked, document, { keys, accepted: later })),
      /^ListOutdated: .*signed at 2024-06-01T12:00:00Z/,
    );
  });
});

describe('signed lists', () => {
  const detached = question({ isSigned: true, signatureURL: `${folder}SHA256SUMS.sig` }, folder, 'disk-*.qcow2');
  const inline = question({ isSigned: true, url: `${folder}CHECKSUM` });
  const bytes = material('SHA256SUMS');

  test('the resolution of a signed list has the fingerprint of the primary key and the time of the signature', async () => {
    const given = await ask(
      detached,
      { bytes, signature: material('SHA256SUMS.asc') },
      { keys: [material('subkey.key.asc')] },
    );
    assert.ok(typeof given === 'object');
    assert.match(given.signedBy ?? '', /^[0-9A-F]{40}$/);
    assert.equal(given.digest, `sha256:${hex}`);
  });

  test('only the covered text of a clearsigned list counts', async () => {
    const text = `${other}  disk.qcow2\n${material('CHECKSUM.clearsigned')}${other}  disk.qcow2\n`;
    const given = await ask(inline, { bytes: Buffer.from(text) }, { keys: [material('curve.key.asc')] });
    assert.ok(typeof given === 'object' && given.digest === `sha256:${hex}`);
  });

  const failures: Record<string, [signature: string | undefined, key: string]> = {
    SignatureMissing: [undefined, 'release.key.asc'],
    SignatureInvalid: ['SHA256SUMS.brief.asc', 'release.key.asc'],
    KeyExpired: ['SHA256SUMS.expired.asc', 'expired.key.asc'],
    KeyRevoked: ['SHA256SUMS.revoked.asc', 'revoked.key.asc'],
    SignerNotAllowed: ['SHA256SUMS.stranger.asc', 'release.key.asc'],
    WeakHash: ['SHA256SUMS.sha1.asc', 'subkey.key.asc'],
  };
  for (const [code, [signature, key]] of Object.entries(failures))
    test(`a signed list fails with ${code}, and its message has the URL`, async () => {
      const document = { bytes, ...(signature === undefined ? {} : { signature: material(signature) }) };
      const given = String(await ask(detached, document, { keys: [material(key)] }));
      assert.ok(given.startsWith(`${code}: `) && given.includes(folder), given);
    });

  test('a list that should be clearsigned and is not is SignatureMissing', async () => {
    assert.match(
      String(await ask(inline, { bytes: list }, { keys: [material('curve.key.asc')] })),
      /^SignatureMissing: .*signatureURL/,
    );
  });

  test('a clearsigned list that cannot be read is SignatureInvalid, and the message says why', async () => {
    const whole = material('CHECKSUM.clearsigned').toString();
    const broken: [text: string, why: RegExp][] = [
      [whole.slice(0, whole.indexOf('-----BEGIN PGP SIGNATURE-----')), /a signed block does not end$/],
      [whole.replace(/^Hash:/m, 'Comment:'), /has a header other than Hash$/],
      [whole + '\n'.repeat(200_000), /has more than 200000 lines$/],
    ];
    for (const [text, why] of broken) {
      const given = String(await ask(inline, { bytes: Buffer.from(text) }, { keys: [material('curve.key.asc')] }));
      assert.match(given, /^SignatureInvalid: .*is a clearsigned text that cannot be read/);
      assert.match(given, why);
    }
  });

  test('a Secret without a public key is a failure, and never means that no signature is needed', async () => {
    for (const keys of [[], [Buffer.from('no key')], [material('curve.key.asc'), Buffer.from('no key')]])
      assert.match(
        String(await ask(inline, { bytes: material('CHECKSUM.clearsigned') }, { keys })),
        /^SignerNotAllowed: /,
      );
  });
});

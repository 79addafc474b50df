/** The layouts of lists of digests, and what is rejected. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { choose } from '../../../src/source/checksums/choose.ts';
import { explainFault } from '../../../src/source/checksums/explain.ts';
import { listBounds, readList, signedTextOf } from '../../../src/source/checksums/list.ts';

const a256 = 'a'.repeat(64);
const b256 = 'b'.repeat(64);
const a512 = 'a'.repeat(128);

/** The digest of `wanted`, with the name to fetch; or the sentence of the rejection. */
function found(text: string, wanted = 'disk.qcow2', isPublic = true): string {
  const list = readList(Buffer.from(text));
  if (!list.ok) return explainFault(list, wanted, isPublic);
  const chosen = choose(list, wanted);
  if (!chosen.ok) return explainFault(chosen.fault, wanted, isPublic);
  const { digest, name, dated, version } = chosen.choice;
  return [`${digest.algorithm}:${digest.hex}`, dated ?? name ?? '-', ...(version === undefined ? [] : [version])].join(
    ' ',
  );
}

const sha256 = `sha256:${a256} disk.qcow2`;
const sha512 = `sha512:${a512} disk.qcow2`;

const signed = (text: string) =>
  `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${text}\n-----BEGIN PGP SIGNATURE-----\n\niQIz\n-----END PGP SIGNATURE-----\n`;

describe('layouts of lists of digests', () => {
  const layouts: Record<string, [text: string, expected: string, wanted?: string]> = {
    'two blanks, as sha256sum prints them': [`${a256}  disk.qcow2\n`, sha256],
    'an asterisk, as sha256sum --binary prints it': [`${a256} *disk.qcow2\n`, sha256],
    'one blank': [`${a256} disk.qcow2\n`, sha256],
    'a tab': [`${a256}\tdisk.qcow2\n`, sha256],
    'carriage returns and a byte order mark': [`\uFEFF${a256}  disk.qcow2\r\n`, sha256],
    'no newline at the end': [`${a256}  disk.qcow2`, sha256],
    'upper-case digits': [`${a256.toUpperCase()}  disk.qcow2\n`, sha256],
    'a folder in front of the name': [`${a256}  ./disk.qcow2\n`, sha256],
    'an escaped name': [`\\${a256}  disk\\\\1.qcow2\n`, `sha256:${a256} disk\\1.qcow2`, 'disk\\1.qcow2'],
    'the form of BSD': [`SHA256 (disk.qcow2) = ${a256}\n`, sha256],
    'the form of BSD with more blanks': [`  sha256  (disk.qcow2)   =   ${a256}\n`, sha256],
    'the form of BSD with parentheses in the name': [
      `SHA256 (disk (1).qcow2) = ${a256}\n`,
      `sha256:${a256} disk (1).qcow2`,
      'disk (1).qcow2',
    ],
    'the form of OpenSSL': [`SHA2-256(disk.qcow2)= ${a256}\n`, sha256],
    'comments with sizes': [`# disk.qcow2: 532217856 bytes\nSHA256 (disk.qcow2) = ${a256}\n`, sha256],
    'lines with sizes': [`SIZE (disk.qcow2) = 532217856\nSHA256 (disk.qcow2) = ${a256}\n`, sha256],
    'several algorithms, of which the strongest counts': [
      `MD5 (disk.qcow2) = ${'0'.repeat(32)}\nSHA512 (disk.qcow2) = ${a512}\nSHA256 (disk.qcow2) = ${a256}\n`,
      sha512,
    ],
    'sections by algorithm': [
      `# MD5 HASH\n${'0'.repeat(32)}  disk.qcow2\n# SHA512 HASH\n${a512}  disk.qcow2\n`,
      sha512,
    ],
    'a section of another algorithm with values of the same length': [
      `# BLAKE2B HASH\n${'c'.repeat(128)}  disk.qcow2\n# SHA512 HASH\n${a512}  disk.qcow2\n`,
      sha512,
    ],
    'a digest alone': [`${a256}\n`, `sha256:${a256} -`],
    'a digest alone with its algorithm': [`sha256:${a256}\n`, `sha256:${a256} -`],
    'text among the lines': [`--2024-01-01-- saved\n${a256}  disk.qcow2\nLength: 12 (12K)\n`, sha256],
    'a clearsigned list': [signed(`SHA256 (disk.qcow2) = ${a256}`), sha256],
    'two clearsigned blocks': [signed(`${b256}  other.qcow2`) + signed(`${a256}  disk.qcow2`), sha256],
    'a dash escape': [signed(`- - ${b256}\n${a256}  disk.qcow2`), sha256],
    'the same line twice': [`${a256}  disk.qcow2\n${a256}  disk.qcow2\n`, sha256],
    'a folder, for a name without one': [`${a256}  x86_64/disk.qcow2\n`, `sha256:${a256} x86_64/disk.qcow2`],
    'two folders, for a name with one of them': [
      `${a256}  x86_64/disk.qcow2\n${b256}  aarch64/disk.qcow2\n`,
      `sha256:${b256} aarch64/disk.qcow2`,
      'aarch64/disk.qcow2',
    ],
  };
  for (const [name, [text, expected, wanted]] of Object.entries(layouts))
    test(`a list of digests is read with ${name}`, () => assert.equal(found(text, wanted), expected));
});

describe('lists of digests that are rejected', () => {
  const rejections: Record<string, [text: string, sentence: RegExp, wanted?: string]> = {
    'names that only resemble the wanted one': [
      ['disk.qcow2.sig', 'disk.qcow2.xz', 'xdisk.qcow2', 'DISK.qcow2'].map((name) => `${a256}  ${name}\n`).join(''),
      /^has no digest for "disk.qcow2", but for example "disk.qcow2.sig", "disk.qcow2.xz", "xdisk.qcow2": correct fileName/,
    ],
    'two digests for the name': [`${a256}  disk.qcow2\n${b256}  disk.qcow2\n`, /^has two different digests for/],
    'the name in two folders': [
      `${a256}  x86_64/disk.qcow2\n${b256}  aarch64/disk.qcow2\n`,
      /^has several files that "disk.qcow2" may mean.*Name one of them in fileName$/,
    ],
    'two digests without names': [`${a256}\n${b256}\n`, /^has several digests and no names/],
    'a digest without a name among names': [`${a256}\n${b256}  other.qcow2\n`, /^has no digest for "disk.qcow2"/],
    'a value of a wrong length': [`${a256.slice(1)}  disk.qcow2\n`, /whose length does not fit its algorithm/],
    'a value that does not fit its algorithm': [`SHA512 (disk.qcow2) = ${a256}\n`, /whose length does not fit/],
    'another algorithm only': [`BLAKE2b (disk.qcow2) = ${a512}\n`, /one of another algorithm \(BLAKE2b\)$/],
    'a truncated algorithm of the same length': [`SHA512/256 (disk.qcow2) = ${a256}\n`, /\(SHA512\/256\)$/],
    'a web page': [`<!DOCTYPE html>\n<html><a href="disk.qcow2">${a256}  disk.qcow2</a>`, /^is a web page/],
    'a web page in lower case': ['\n <html>\n', /^is a web page/],
    JSON: ['{"a": 1}', /^is JSON .* index of the content$/],
    nothing: ['', /^is empty$/],
    'a line that is commented out': [`# ${a256}  disk.qcow2\n`, /^has no line with a digest/],
    'the name in front': [`disk.qcow2: ${a256}\n`, /^has no line with a digest/],
    'the table of PowerShell': [`SHA256          ${a256}       C:\\disk.qcow2\n`, /^has no line with a digest/],
    'bytes that are no text': ['\0\0\0', /^is no text/],
    'a digest in front of the signed text': [
      `${b256}  disk.qcow2\n${signed(`${a256}  other.qcow2`)}`,
      /^has no digest for "disk.qcow2"/,
    ],
    'a digest behind the signed text': [
      `${signed(`${a256}  other.qcow2`)}${b256}  disk.qcow2\n`,
      /^has no digest for "disk.qcow2"/,
    ],
    'a signed text that does not end': [
      `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${a256}  disk.qcow2\n`,
      /^is signed text that cannot be read: a signed block does not end$/,
    ],
    'a line among the headers of the signed text': [
      signed(`${a256}  disk.qcow2`).replace('Hash: SHA256', `${b256}  disk.qcow2`),
      /a header other than Hash/,
    ],
    'too many bytes': ['#'.repeat(listBounds.bytes + 1), /^is longer than 1048576 bytes/],
    'too many lines': ['\n'.repeat(listBounds.lines + 2), /^has more than 20000 lines/],
    'a line that is too long': ['x'.repeat(listBounds.line + 1), /^has a line of more than 4096 characters/],
  };
  for (const [name, [text, sentence, wanted]] of Object.entries(rejections))
    test(`a list of digests with ${name} is rejected with a sentence of its own`, () =>
      assert.match(found(text, wanted), sentence));

  test('a web page that begins with a comment is no list, whatever it shows', () => {
    assert.match(found(`<!-- page -->\n<pre>\n${a256}  disk.qcow2\n`), /^is a web page/);
  });

  test('the message about a list without a public address has no names from the list', () => {
    const secret = `${a256}  secret.qcow2\n`;
    for (const text of [secret, `${a256}  x/disk.qcow2\n${b256}  secret/disk.qcow2\n`])
      assert.doesNotMatch(found(text, 'disk.qcow2', false), /secret/);
    assert.match(found(secret), /secret/);
  });

  test('a list with two digests of one name is rejected in any order of its lines', () => {
    const lines = [
      `${a256}  disk.qcow2`,
      `${b256}  disk.qcow2`,
      `${a256}  other.qcow2`,
      `SHA512 (disk.qcow2) = ${a512}`,
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(lines, { minLength: 4 }), (text) =>
        found(text.join('\n')).startsWith('has two different digests'),
      ),
    );
  });
});

describe('names of files that change with each release', () => {
  test('where a list has a dated name of the same bytes, that is the file to fetch', () => {
    const list = `${a256}  disk-latest.qcow2\n${b256}  disk-9.7-20250101.qcow2\n${a256}  disk-9.8-20260526.qcow2\n`;
    assert.equal(found(list, 'disk-latest.qcow2'), `sha256:${a256} disk-9.8-20260526.qcow2 9.8-20260526`);
  });

  test('a dated name in another folder is not fetched', () => {
    const list = `${a256}  disk.qcow2\n${a256}  old/disk-2024.qcow2\n`;
    assert.equal(found(list), sha256);
  });

  test('a pattern chooses the latest version, compared as a version', () => {
    const list = ['1.9', '1.10', '1.10-rc1', '1.2'].map(
      (version, at) => `${String(at).repeat(64)}  img-${version}.raw\n`,
    );
    assert.equal(found(list.join(''), 'img-*.raw'), `sha256:${'1'.repeat(64)} img-1.10.raw 1.10`);
  });

  test('a pattern takes the dated name and not latest of the same bytes', () => {
    const list = `${a256}  disk-latest.raw\n${a256}  disk-20260101.raw\n${b256}  disk-20250101.raw\n`;
    assert.equal(found(list, 'disk-*.raw'), `sha256:${a256} disk-20260101.raw 20260101`);
  });

  test('a pattern that matches names of different kinds is rejected', () => {
    const list = `${a256}  disk-amd64-1.raw\n${b256}  disk-arm64-2.raw\n`;
    assert.match(found(list, 'disk-*.raw'), /differ in more than their version: .*Write a narrower pattern$/);
  });

  test('a pattern with two digests for its latest version is rejected', () => {
    assert.match(found(`${a256}  disk-2.raw\n${b256}  disk-2.raw\n`, 'disk-*.raw'), /^has two different digests/);
  });

  test('a star stands for no folder', () => {
    assert.match(found(`${a256}  old/disk-1.raw\n`, 'o*.raw'), /^has no digest for/);
  });

  test('a hostile list with a pattern takes time in proportion to its length', () => {
    const lines = Array.from(
      { length: listBounds.lines },
      (_, at) => `${a256.slice(0, 58)}${String(at).padStart(6, '0')}  d-${at}.raw`,
    );
    const text = lines.join('\n').slice(0, listBounds.bytes);
    assert.match(found(text, 'd-*.raw'), /^sha256:/);
    assert.match(found(text, 'd-1*.r*w*x'), /^has no digest/);
  });

  test('a line of a list that is blank for almost its whole length takes time in proportion to it', () => {
    const blanks = ' '.repeat(listBounds.bytes - 2);
    assert.match(found(`${blanks}x`), /^has a line of more than/);
    assert.equal(signedTextOf(Buffer.from(`${blanks}x`)).kind, 'plain');
  });
});

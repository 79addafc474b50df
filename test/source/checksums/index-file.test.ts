/** Indexes in JSON: what pointers give, and what is rejected. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { findInIndex, type IndexLayout, indexBounds, readDigest } from '../../../src/source/checksums/index-file.ts';

const hex256 = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881';
const hex512 = `${hex256}${hex256}`;
const base64 = Buffer.from(hex512, 'hex').toString('base64');

/** The URL, digest and version; or the sentence of the rejection. */
function found(document: unknown, layout: IndexLayout, isPublic = true): string {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  const result = findInIndex(Buffer.from(text), layout, isPublic);
  if (!result.ok) return result.why;
  const { url, digest, version } = result.file;
  return `${url} ${digest.algorithm}:${digest.hex} ${version}`;
}

const stream = {
  stream: 'stable',
  architectures: {
    x86_64: {
      artifacts: {
        openstack: {
          release: '42.20260901.3.0',
          formats: {
            'qcow2.xz': {
              disk: {
                location: 'https://builds.example.com/42/coreos.qcow2.xz',
                sha256: hex256,
                'uncompressed-sha256': hex256.replace('2d', '0b'),
              },
            },
          },
        },
      },
    },
  },
};
const openstack = '/architectures/x86_64/artifacts/openstack';
const streamLayout: IndexLayout = {
  base: 'https://builds.example.com/streams/stable.json',
  file: `${openstack}/formats/qcow2.xz/disk/location`,
  digest: `${openstack}/formats/qcow2.xz/disk/sha256`,
  version: `${openstack}/release`,
};

const upload = (format: string, ref: string) => ({
  kind: 'Upload',
  data: { ref },
  metadata: {
    annotations: { 'cloud.example.org/digest': `sha512:${base64.replace(/=+$/, '')}` },
    labels: { 'cloud.example.org/version': '20250814-2204', 'upload.example.org/image-format': format },
  },
});
const perImage = {
  kind: 'List',
  items: [
    { kind: 'Build', data: { packages: [{ name: 'apt', version: '3.0.3' }] } },
    upload('internal', 'trixie/20250814-2204/debian-13.tar.xz'),
    upload('qcow2', 'trixie/20250814-2204/debian-13.qcow2'),
  ],
};
const perImageLayout: IndexLayout = {
  base: 'https://cloud.example.org/images/cloud/',
  entries: '/items',
  where: { '/kind': 'Upload', '/metadata/labels/upload.example.org~1image-format': 'qcow2' },
  file: '/data/ref',
  digest: '/metadata/annotations/cloud.example.org~1digest',
  version: '/metadata/labels/cloud.example.org~1version',
};

const release = (version: string, arch: string, link: string, sha256?: string) => ({
  version,
  arch,
  link: `https://download.example.org/${link}`,
  subvariant: 'Cloud_Base',
  ...(sha256 === undefined ? {} : { sha256 }),
  size: '532217856',
});
const releases = [
  release('9', 'x86_64', 'Cloud-Generic-9.qcow2', 'f'.repeat(64)),
  release('42', 'aarch64', 'Cloud-Generic-42.aarch64.qcow2', 'e'.repeat(64)),
  release('42', 'x86_64', 'Cloud-Azure-42.vhd', 'd'.repeat(64)),
  release('42', 'x86_64', 'Cloud-Generic-42.qcow2', hex256),
  release('43 Beta', 'aarch64', 'Cloud-Generic-43.qcow2'),
];
const releasesLayout: IndexLayout = {
  base: 'https://example.org/releases.json',
  entries: '',
  where: { '/arch': 'x86_64', '/subvariant': 'Cloud_Base', '/link': 'Cloud-Generic-*.qcow2' },
  file: '/link',
  digest: '/sha256',
  version: '/version',
};

describe('indexes in JSON', () => {
  test('a stream gives the URL, the digest and the version of one image by pointers', () => {
    assert.equal(
      found(stream, streamLayout),
      `https://builds.example.com/42/coreos.qcow2.xz sha256:${hex256} 42.20260901.3.0`,
    );
  });

  test('a list of uploads gives the one of a format, with a base64 digest without padding and a path below a base', () => {
    assert.equal(
      found(perImage, perImageLayout),
      `https://cloud.example.org/images/cloud/trixie/20250814-2204/debian-13.qcow2 sha512:${hex512} 20250814-2204`,
    );
  });

  test('a list of releases gives the latest version of an architecture', () => {
    assert.equal(
      found(releases, releasesLayout),
      `https://download.example.org/Cloud-Generic-42.qcow2 sha256:${hex256} 42`,
    );
  });

  test('a version that is a number keeps its digits as written, and 1.10 is later than 1.9', () => {
    const entry = (version: string) =>
      `{"version": ${version}, "link": "https://a.example/${version}.img", "sha256": "${hex256}"}`;
    const layout = { ...releasesLayout, where: {} };
    for (const [versions, latest] of [
      [['1.10', '1.9'], '1.10'],
      [['1.9', '1.10'], '1.10'],
      [['9007199254740993', '9007199254740992'], '9007199254740993'],
      [['20260101000000000000001', '20260101000000000000000'], '20260101000000000000001'],
    ] as const)
      assert.equal(
        found(`[${versions.map(entry).join()}]`, layout),
        `https://a.example/${latest}.img sha256:${hex256} ${latest}`,
      );
    assert.match(found(`[${entry('1.10')},${entry('1.9')}]`, { ...layout, where: { '/version': '1.10' } }), / 1\.10$/);
  });

  const rejections: Record<string, [document: unknown, layout: Partial<IndexLayout>, sentence: RegExp]> = {
    'no JSON': ['<html>', {}, /^is not JSON/],
    'a pointer that leads nowhere': [releases, { digest: '/sha512' }, /^has no text at \/sha512: correct the pointer/],
    'a pointer to what objects inherit': [releases, { file: '/constructor' }, /^has no text at \/constructor/],
    'no list': [{ a: 1 }, { entries: '/a' }, /^has no list at \/a/],
    'an empty list': [[], {}, /^has an empty list/],
    'no entry that fits': [
      releases,
      { where: { '/arch': 'riscv64' } },
      /^has no entry that matches the values of `where`/,
    ],
    'two entries of one version': [
      releases,
      { where: { '/arch': 'x86_64', '/version': '42' } },
      /^has several entries that match: .*narrow `where`$/,
    ],
    'a URL of another scheme': [[{ ...releases[3], link: 'file:///etc/passwd' }], { where: {} }, /^has no usable URL/],
    'a weak digest': [[{ ...releases[3], sha256: 'a'.repeat(32) }], { where: {} }, /^has a weak digest \(md5\)/],
    'a digest of a wrong length': [
      [{ ...releases[3], sha256: hex256.slice(1) }],
      { where: {} },
      /^has no digest of a known form/,
    ],
    'too many values': [JSON.stringify(Array(indexBounds.values + 1).fill(1)), {}, /^holds more than 100000 values/],
    'too many levels': ['['.repeat(40), {}, /^is nested more than 32 levels deep/],
    'too many bytes': [' '.repeat(indexBounds.bytes + 1), {}, /^is longer than/],
  };
  for (const [name, [document, layout, sentence]] of Object.entries(rejections))
    test(`an index with ${name} is rejected with a sentence of its own`, () =>
      assert.match(found(document, { ...releasesLayout, ...layout }), sentence));

  test('the message about an index without a public address has no values from it', () => {
    const document = [{ ...releases[3], link: 'ftp://secret' }];
    assert.match(found(document, { ...releasesLayout, where: {} }), /secret/);
    assert.doesNotMatch(found(document, { ...releasesLayout, where: {} }, false), /secret/);
  });

  test('a digest is read in hex and in base64, with and without padding and the name of its algorithm', () => {
    const bytes = fc
      .constantFrom(32, 48, 64)
      .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
    const algorithms: Readonly<Record<number, string>> = { 32: 'sha256', 48: 'sha384', 64: 'sha512' };
    fc.assert(
      fc.property(bytes, fc.constantFrom(':', '-'), (value, separator) => {
        const buffer = Buffer.from(value);
        const algorithm = algorithms[value.length] ?? '';
        const expected = { algorithm, hex: buffer.toString('hex') };
        const padded = buffer.toString('base64');
        const base64Forms = [padded, padded.replace(/=+$/, ''), buffer.toString('base64url')];
        for (const text of [expected.hex, expected.hex.toUpperCase(), ...base64Forms])
          for (const prefix of ['', `${algorithm}${separator}`, `${algorithm.toUpperCase()}${separator}`])
            assert.deepEqual(readDigest(prefix + text), expected, prefix + text);
      }),
    );
  });

  test('the first dash of a digest in base64 for URLs does not end the name of an algorithm', () => {
    const bytes = Buffer.alloc(32, 0xff);
    bytes.fill(0, 0, 3);
    bytes[3] = 0xfb;
    const text = bytes.toString('base64url');
    assert.match(text, /^AAAA-/);
    assert.equal(readDigest(text)?.hex, bytes.toString('hex'));
  });

  test('a digest whose length does not fit its algorithm is none', () => {
    for (const text of [`sha512:${hex256}`, `sha256:${hex512}`, `blake2b:${hex512}`, hex256.slice(2), '', 'sha256:'])
      assert.equal(readDigest(text), undefined, text);
  });
});

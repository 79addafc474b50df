/** Each manifest of the page about publishers finds its file in a list or an index as that publisher lays it out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { specSchema } from '../../src/api/spec.ts';
import { questionOf } from '../../src/source/registry.ts';
import { evaluate } from '../../src/source/resolve/evaluate.ts';
import { type Manifest, manifestSchema } from './manifests.ts';
import { readPage } from './pages.ts';

const now = new Date('2026-01-01T00:00:00Z');
const [a256, b256, c256] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const [a512, b512] = ['a', 'b'].map((digit) => digit.repeat(128)) as [string, string];

const lines = (...each: string[]) => each.map((line) => `${line}\n`).join('');
const clearsigned = (text: string) =>
  `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n${text}-----BEGIN PGP SIGNATURE-----\n\niQIz\n-----END PGP SIGNATURE-----\n`;

const release = (version: string, folder: string, file: string, more: Record<string, string> = {}) => ({
  version,
  arch: 'x86_64',
  link: `https://download.fedoraproject.org/pub/fedora/linux/releases/${folder}/Cloud/x86_64/images/${file}`,
  variant: 'Cloud',
  subvariant: 'Cloud_Base',
  sha256: b256,
  size: '532217856',
  ...more,
});
const artifact = (location: string) => ({ disk: { location, signature: `${location}.sig`, sha256: a256 } });
const coreos =
  'https://builds.coreos.fedoraproject.org/prod/streams/stable/builds/42.20260901.3.0/x86_64/coreos.qcow2.xz';
const flatcar = 'flatcar_production_openstack_image.img.gz';
const freebsd = 'FreeBSD-14.3-RELEASE-amd64';

/** By heading: the document, and the digest, the end of the URL and the version that the manifest has from it. */
const publishers: Record<string, [document: string, digest: string, file: string, version?: string]> = {
  Ubuntu: [
    lines(
      `${b256} *noble-server-cloudimg-amd64-azure.vhd.tar.gz`,
      `${a256} *noble-server-cloudimg-amd64.img`,
      `${c256} *noble-server-cloudimg-amd64.manifest`,
      `${b256} *noble-server-cloudimg-arm64.img`,
    ),
    `sha256:${a256}`,
    '/noble-server-cloudimg-amd64.img',
  ],
  Debian: [
    lines(`${b512}  debian-13-azure-amd64.tar.xz`, `${a512}  debian-13-genericcloud-amd64.qcow2`),
    `sha512:${a512}`,
    '/debian-13-genericcloud-amd64.qcow2',
  ],
  Fedora: [
    JSON.stringify([
      release('42', '42', 'Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2'),
      release('43', '43', 'Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2', { sha256: a256 }),
      release('43', '43', 'Fedora-Cloud-Base-Azure-43-1.6.x86_64.vhdfixed.xz', { sha256: c256 }),
      release('43', '43', 'Fedora-Cloud-Base-UEFI-UKI-43-1.6.x86_64.qcow2', { subvariant: 'Cloud_Base_UKI' }),
      release('43', '43', 'Fedora-Cloud-Base-Generic-43-1.6.aarch64.qcow2', { arch: 'aarch64' }),
      release('44 Beta', 'test/44_Beta', 'Fedora-Cloud-Base-Generic-44_Beta-1.2.x86_64.qcow2'),
    ]),
    `sha256:${a256}`,
    '/Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2',
    '43',
  ],
  'Fedora CoreOS': [
    JSON.stringify({
      stream: 'stable',
      metadata: { 'last-modified': '2026-09-10T00:00:00Z' },
      architectures: {
        aarch64: {
          artifacts: { openstack: { release: 'other', formats: { 'qcow2.xz': artifact('https://a.example') } } },
        },
        x86_64: { artifacts: { openstack: { release: '42.20260901.3.0', formats: { 'qcow2.xz': artifact(coreos) } } } },
      },
    }),
    `sha256:${a256}`,
    '/coreos.qcow2.xz',
    '42.20260901.3.0',
  ],
  Flatcar: [
    clearsigned(
      lines(
        '# MD5 HASH',
        `${'0'.repeat(32)}  ${flatcar}`,
        '# SHA1 HASH',
        `${'0'.repeat(40)}  ${flatcar}`,
        '# SHA512 HASH',
        `${a512}  ${flatcar}`,
      ),
    ),
    `sha512:${a512}`,
    `/${flatcar}`,
  ],
  'Rocky Linux': [
    lines(
      '# Rocky-9-GenericCloud.latest.x86_64.qcow2: 645988352 bytes',
      `SHA256 (Rocky-9-GenericCloud.latest.x86_64.qcow2) = ${a256}`,
    ),
    `sha256:${a256}`,
    '/Rocky-9-GenericCloud.latest.x86_64.qcow2',
  ],
  AlmaLinux: [
    lines(
      `${a256}  AlmaLinux-9-GenericCloud-9.8-20260526.x86_64.qcow2`,
      `${b256}  AlmaLinux-9-GenericCloud-ext4-9.8-20260526.x86_64.qcow2`,
      `${b256}  AlmaLinux-9-GenericCloud-ext4-latest.x86_64.qcow2`,
      `${a256}  AlmaLinux-9-GenericCloud-latest.x86_64.qcow2`,
    ),
    `sha256:${a256}`,
    '/AlmaLinux-9-GenericCloud-9.8-20260526.x86_64.qcow2',
    '9.8-20260526',
  ],
  openSUSE: [
    lines(`${a256}  Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2`),
    `sha256:${a256}`,
    '/Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2',
  ],
  FreeBSD: [
    lines(
      `SHA512 (${freebsd}-BASIC-CLOUDINIT-ufs.raw.xz) = ${b512}`,
      `SHA512 (${freebsd}-BASIC-CLOUDINIT-ufs.qcow2.xz) = ${a512}`,
      `SHA512 (${freebsd}-BASIC-CLOUDINIT-zfs.qcow2.xz) = ${b512}`,
    ),
    `sha512:${a512}`,
    `/${freebsd}-BASIC-CLOUDINIT-ufs.qcow2.xz`,
  ],
  Talos: [
    lines(`${b512}  metal-amd64.raw.zst`, `${a512}  openstack-amd64.raw.zst`, `${b512}  openstack-arm64.raw.zst`),
    `sha512:${a512}`,
    '/openstack-amd64.raw.zst',
  ],
};

function manifestUnder(heading: string): Manifest {
  const { blocks } = readPage('docs/how-to/follow-publishers.md');
  const [block = assert.fail(`there is no manifest under ${heading}`), ...others] = blocks.filter(
    (one) => one.heading === heading && one.language === 'yaml',
  );
  assert.deepEqual(others, [], heading);
  return manifestSchema.parse(parse(block.text));
}

describe('the page about publishers', () => {
  for (const [heading, [document, digest, file, version]] of Object.entries(publishers))
    test(`the manifest for ${heading} finds its file in a document as that publisher writes it`, async () => {
      const { content } = specSchema.parse(manifestUnder(heading)['spec']);
      const question = (content && questionOf(content)) ?? assert.fail();
      const { looksFor } = question;
      assert.ok(looksFor.kind !== 'firstUse');
      // Signatures have tests of their own, with material of GnuPG.
      const asked = { ...question, looksFor, isSigned: false };
      const found = await evaluate(asked, { bytes: Buffer.from(document), isPublic: true }, [], now);
      assert.ok(found.ok, found.ok ? '' : found.error.message);
      const { resolution } = found;
      assert.deepEqual([resolution.digest, resolution.version], [digest, version]);
      assert.ok(resolution.url.endsWith(file), resolution.url);
    });
});

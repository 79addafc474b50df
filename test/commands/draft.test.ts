/** The command draft on the layouts in which publishers serve their files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parse } from 'yaml';
import { draftCommand } from '../../src/commands/draft.ts';
import { manifestsIn } from '../../src/commands/manifests.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { digestOf } from '../env/content.ts';
import { qcow2 } from '../env/images.ts';
import { type Source, startSource } from '../env/source.ts';
import { surroundings } from './surroundings.ts';

const disk = qcow2(3 * 2 ** 30 + 1);
const [sha256, sha512] = [digestOf(disk), digestOf(disk, 'sha512')];
const other = 'f'.repeat(64);

/** By the name of the list: its text, for the file `name`. */
const layouts: Readonly<Record<string, { list: (name: string) => string; text: (name: string) => string }>> = {
  'lines of sha256sum': { list: () => 'SHA256SUMS', text: (name) => `${other}  other.img\n${sha256} *${name}\n` },
  'lines of sha512sum in lower case': { list: () => 'sha512sums', text: (name) => `${sha512}  ${name}\n` },
  'lines of BSD': { list: () => 'CHECKSUM', text: (name) => `# ${name}: 1 bytes\nSHA256 (${name}) = ${sha256}\n` },
  'a list of its own with the name': { list: (name) => `${name}.sha256`, text: (name) => `${sha256}  ${name}\n` },
  'a digest alone': { list: (name) => `${name}.sha512`, text: () => `${sha512}\n` },
  'sections by algorithm': {
    list: (name) => `${name}.DIGESTS`,
    text: (name) => `# MD5 HASH\n${'a'.repeat(32)}  ${name}\n# SHA512 HASH\n${sha512}  ${name}\n`,
  },
  'a signed text': {
    list: (name) => `${name}.CHECKSUM`,
    text: (name) =>
      `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA256 (${name}) = ${sha256}\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n=AAAA\n-----END PGP SIGNATURE-----\n`,
  },
};

describe('the command draft', () => {
  let source: Source;
  before(async () => {
    source = await startSource();
  });
  after(() => source.stop());

  async function run(args: readonly string[]) {
    const around = surroundings();
    const code = await draftCommand.run([...args, '--source-allow', '127.0.0.0/8'], () => around);
    return { code, out: around.output(), err: around.errors() };
  }
  const admitted = (text: string) => {
    const [manifest] = manifestsIn(text, 'draft.yaml', 'demo').manifests;
    return manifest?.resource ?? assert.fail(text);
  };

  for (const [layout, { list, text }] of Object.entries(layouts)) {
    test(`a draft takes the digest from the list next to the file: ${layout}`, async () => {
      const folder = `/${layout.replaceAll(' ', '-')}`;
      const name = 'debian-13-genericcloud-amd64.qcow2';
      const url = source.add(`${folder}/${name}`, { body: disk });
      const listURL = source.add(`${folder}/${list(name)}`, { body: Buffer.from(text(name)) });
      const { code, out, err } = await run([url]);
      assert.equal(code, 0, err);
      const { spec, metadata } = admitted(out);
      assert.deepEqual(spec.content?.http?.digestFrom, { checksums: { url: listURL } });
      assert.deepEqual(
        [metadata.name, spec.image.diskFormat, spec.image.minDiskGiB],
        ['debian-13-genericcloud-amd64', 'qcow2', 4],
      );
      assert.match(out, / # {3}os_distro: "debian"\n/);
      assert.equal(/# verify:/.test(out), layout === 'a signed text');
    });
  }

  test('a draft finds the list of its file in a folder with a list for each of many files', async () => {
    const url = source.add('/many/z.qcow2', { body: disk });
    const list = source.add('/many/z.qcow2.sha256', { body: Buffer.from(`${sha256}  z.qcow2\n`) });
    const others = Array.from({ length: 60 }, (_, at) => `a${at}.qcow2`);
    for (const one of others) source.add(`/many/${one}.sha256`, { body: Buffer.from(`${other}  ${one}\n`) });
    const links = [...others, 'z.qcow2'].flatMap((one) => [one, `${one}.sha256`]);
    source.add('/many/', { body: Buffer.from(links.map((link) => `<a href="${link}">${link}</a>`).join('\n')) });
    const { out, err } = await run([url]);
    assert.deepEqual(admitted(out).spec.content?.http?.digestFrom, { checksums: { url: list } }, err);
  });

  test('a draft finds a list of any name in the page of the folder, and its signature', async () => {
    const url = source.add('/page/Rocky-9.qcow2', { body: disk });
    const list = source.add('/page/Rocky-9-2026-CHECKSUM', {
      body: Buffer.from(`SHA256 (Rocky-9.qcow2) = ${sha256}\n`),
    });
    source.add('/page/Rocky-9-2026-CHECKSUM.asc', { body: Buffer.from('signature') });
    const links = ['Rocky-9.qcow2', 'Rocky-9-2026-CHECKSUM', 'Rocky-9-2026-CHECKSUM.asc', '../', '/elsewhere/CHECKSUM'];
    const page = links.map((link) => `<a href="${link}">${link}</a>`).join('\n');
    source.add('/page/', { body: Buffer.from(`<html><body>${page}</body></html>`) });
    const { out, err } = await run([url]);
    assert.equal(admitted(out).spec.content?.http?.digestFrom?.checksums?.url, list, err);
    assert.match(out, new RegExp(`signatureURL: ${list}\\.asc`));
    assert.ok(source.requests.every(({ path }) => !path.startsWith('/elsewhere')));
  });

  test('a draft takes the digest from an index in JSON where there is no list', async () => {
    const url = source.add('/index/debian-13.raw', { body: disk });
    const json = {
      items: [
        { name: 'x', file: 'other.raw', sum: other },
        { file: 'debian-13.raw', sum: { sha512 } },
      ],
    };
    const index = source.add('/index/debian-13.json', { body: Buffer.from(JSON.stringify(json)) });
    const { out, err } = await run([url]);
    const declared = admitted(out).spec.content?.index;
    assert.deepEqual(
      [declared?.url, declared?.file, declared?.digest],
      [index, '/items/1/file', '/items/1/sum/sha512'],
      err,
    );
  });

  test('a list and an index somewhere else are named by flags, and no digest of another file is taken from them', async () => {
    const url = source.add('/files/a.qcow2', { body: disk });
    const base64 = Buffer.from(sha512, 'hex').toString('base64').replace(/=+$/, '');
    const item = (ref: string, digest: string) => ({ data: { ref: `files/${ref}` }, metadata: { 'x/digest': digest } });
    const index = source.add('/api/releases.json', {
      body: Buffer.from(
        JSON.stringify({ items: [item('b.qcow2', `sha256:${other}`), item('a.qcow2', `sha512:${base64}`)] }),
      ),
    });
    const indexed = await run([url, '--index-url', index]);
    const declared = admitted(indexed.out).spec.content?.index;
    assert.deepEqual(
      [declared?.file, declared?.digest],
      ['/items/1/data/ref', '/items/1/metadata/x~1digest'],
      indexed.err,
    );
    const list = source.add('/api/all.txt', { body: Buffer.from(`${sha256}  a.qcow2\n`) });
    const listed = await run([url, '--checksums', list]);
    assert.equal(admitted(listed.out).spec.content?.http?.digestFrom?.checksums?.url, list, listed.err);
    const alien = source.add('/api/alien.json', {
      body: Buffer.from(
        JSON.stringify({ digest: other, files: [{ name: 'a.qcow2' }, { name: 'b.qcow2', sha256: other }] }),
      ),
    });
    const nothing = await run([url, '--index-url', alien]);
    assert.match(nothing.out, /FILL-IN/);
    assert.match(nothing.out, new RegExp(`^# No digest of a\\.qcow2 was found in ${alien}: fill in`, 'm'));
  });

  test('a list or an index that a flag names and that cannot be read is an error', async () => {
    const url = source.add('/typo/a.qcow2', { body: disk });
    for (const flag of ['--checksums', '--index-url']) {
      const { code, out, err } = await run([url, flag, `${url}-typo`]);
      assert.deepEqual([code, out], [1, ''], flag);
      assert.match(err, /a\.qcow2-typo.* 404/);
    }
  });

  test('a list next to the file that names only another file is not used, and the comment says how to declare that name', async () => {
    const url = source.add('/dated/Arch.qcow2', { body: disk });
    const list = source.add('/dated/Arch.qcow2.SHA256', { body: Buffer.from(`${sha256}  Arch-20260915.1.qcow2\n`) });
    const { out } = await run([url]);
    assert.match(out, /FILL-IN/);
    const comment = `# ${list} names Arch-20260915.1.qcow2 only: if that is the same file, declare digestFrom with this URL and fileName: Arch-20260915.1.qcow2\n`;
    assert.ok(out.includes(comment), out);
  });

  test('without a list, the digest has to be filled in, or is that of the file that --download reads once', async () => {
    const packed = gzipSync(disk);
    const url = source.add('/alone/image-x86_64.qcow2.gz', { body: packed });
    const { code, out } = await run([url]);
    assert.equal(code, 0);
    assert.match(out, /^# qcow2, packed with gzip, \d+ bytes/);
    assert.match(out, /# No digest of image-x86_64\.qcow2\.gz was found next to it: fill in/);
    assert.equal(parse(out).spec.content.http.digest, 'sha256:FILL-IN');
    assert.match(manifestsIn(out, 'draft.yaml', 'demo').problems.join(), /spec\.content/, 'the API server rejects it');
    const downloaded = await run([url, '--download']);
    assert.equal(downloaded.code, 0, downloaded.err);
    assert.equal(admitted(downloaded.out).spec.content?.http?.digest, `sha256:${digestOf(packed)}`);
  });

  test('a list with a weak digest, or of another file, is not used, and the page of an error is no image', async () => {
    const url = source.add('/weak/a.img', { body: disk });
    source.add('/weak/MD5SUMS', { body: Buffer.from(`${'a'.repeat(32)}  a.img\n`) });
    source.add('/weak/a.img.CHECKSUM', { body: Buffer.from(`MD5 (a.img) = ${'a'.repeat(32)}\n`) });
    source.add('/weak/SHA256SUMS', { body: Buffer.from(`${other}  aa.img\n`) });
    const { out } = await run([url]);
    assert.match(out, /# .*a\.img\.CHECKSUM has only md5, with which files can be forged/);
    assert.match(out, /FILL-IN/);
    const page = source.add('/page.img', { body: Buffer.from('<!doctype html><html></html>') });
    const { code, err } = await run([page]);
    assert.equal(code, 1);
    assert.match(err, /is an HTML page, not an image/);
  });

  test('a draft is a manifest that the API server admits, whatever the URL and the file', async () => {
    const huge = Buffer.from(disk);
    huge.writeBigUInt64BE(2n ** 63n, 24);
    const blank = await run([source.add('/blank/a%20b.qcow2', { body: disk }).replace('%20', ' '), '--download']);
    assert.equal(admitted(blank.out).spec.content?.http?.url, `${source.url}/blank/a%20b.qcow2`);
    const { out } = await run([source.add('/huge.qcow2', { body: huge })]);
    assert.equal(admitted(out.replace('FILL-IN', other)).spec.image.minDiskGiB, undefined);
    assert.match(out, /^# virtual size .*\(8192Pi\), which is more than minDiskGiB can be$/m);
  });

  test('a flag of draft whose value no manifest can have is an error before anything is requested', async () => {
    const url = source.add('/flags.qcow2', { body: disk });
    for (const [flags, message] of [
      [['--name', 'Bad_Name'], /: --name: must consist of lower case letters/],
      [['--namespace', 'a.b'], /: --namespace: must be up to 63 lower case letters/],
      [['--secret', 'A'], /: the name of a Secret must consist of lower case letters/],
      [['--cloud', ''], /: --cloud: must not be empty/],
      [['--checksums', 'SHA256SUMS'], /: --checksums: must be a URL, http:\/\/ or https:\/\//],
      [['--checksums', url, '--index-url', url], /: --checksums and --index-url exclude each other/],
    ] as const) {
      const { code, out, err } = await run([url, ...flags]);
      assert.deepEqual([code, out], [1, ''], flags.join(' '));
      assert.match(err, message);
    }
    assert.equal(source.requests.filter(({ path }) => path === '/flags.qcow2').length, 0);
  });

  test('a file that every operator rejects, as its first bytes show, is an error with its reason and no manifest', async () => {
    const qed = Buffer.alloc(70_000);
    qed.write('QED\0');
    const lz4 = Buffer.concat([Buffer.from('04224d18', 'hex'), Buffer.alloc(600)]);
    for (const [name, body, reason] of [
      ['d.qed', qed, /d\.qed is a qed image .* a format that Glance never takes/],
      ['d.qed.gz', gzipSync(qed), /d\.qed\.gz is a qed image .* a format that Glance never takes/],
      ['based.qcow2', qcow2(2 ** 30, { backingFile: '/etc/passwd' }), /based\.qcow2 is a qcow2 image that is not safe/],
      ['d.img.lz4', lz4, /d\.img\.lz4 .* is a file compressed with lz4/],
    ] as const) {
      const { code, out, err } = await run([source.add(`/rejected/${name}`, { body })]);
      assert.deepEqual([code, out], [1, ''], name);
      assert.match(err, reason);
    }
  });

  test('credentials in the query of a URL are used for the requests and left out of the manifest, whose comment says where they belong', async () => {
    const url = source.add('/signed/a.qcow2', { body: disk });
    const list = source.add('/sums/all.txt', { body: Buffer.from(`${sha256}  a.qcow2\n`) });
    const index = source.add('/sums/all.json', { body: Buffer.from(JSON.stringify({ file: 'a.qcow2', sha256 })) });
    const secrets = /hunter2|Signature=|token=|sig=/;
    const alone = await run([`${url}?id=5&X-Amz-Date=1&X-Amz-Signature=hunter2#x`, '--download']);
    assert.equal(admitted(alone.out).spec.content?.http?.url, `${url}?id=5`, alone.err);
    assert.match(
      alone.out,
      /^# Left out of the URLs: X-Amz-Date, X-Amz-Signature, because they look like credentials, .*hosts, and declare it as headersSecretRef$/m,
    );
    assert.match(alone.out, /^ {6}# headersSecretRef: \{ name: headers \}/m);
    const uncommented = alone.out.replace('# headersSecretRef', 'headersSecretRef');
    assert.equal(admitted(uncommented).spec.content?.http?.headersSecretRef?.name, 'headers');
    assert.ok(source.requests.some(({ path }) => path === '/signed/a.qcow2?id=5&X-Amz-Date=1&X-Amz-Signature=hunter2'));
    const listed = await run([`${url}?sig=hunter2`, '--checksums', `${list}?token=hunter2`]);
    assert.deepEqual(admitted(listed.out).spec.content?.http?.digestFrom, { checksums: { url: list } }, listed.err);
    assert.match(listed.out, /^# Left out of the URLs: sig, token, /m);
    const indexed = await run([url, '--index-url', `${index}?token=hunter2`]);
    assert.equal(admitted(indexed.out).spec.content?.index?.url, index, indexed.err);
    assert.match(indexed.out, /an index is read without any$/m);
    const nothing = await run([url, '--checksums', `${index}?token=hunter2`]);
    assert.match(nothing.out, /FILL-IN/);
    for (const { out, err } of [alone, listed, indexed, nothing]) assert.doesNotMatch(out + err, secrets);
    assert.equal(admitted((await run([`${url}?id=5`, '--download'])).out).spec.content?.http?.url, `${url}?id=5`);
  });

  test('a draft of an archive with several files has the one that --member names', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-draft-'));
    try {
      writeFileSync(join(folder, 'note.txt'), 'x');
      writeFileSync(join(folder, 'disk.qcow2'), disk);
      const body = execFileSync('tar', ['-c', '-C', folder, 'note.txt', 'disk.qcow2']);
      const url = source.add('/several/a.tar', { body });
      const { code, out, err } = await run([url, '--member', 'disk.*', '--download']);
      assert.equal(code, 0, err);
      assert.deepEqual(admitted(out).spec.content?.http?.member, 'disk.*');
      assert.equal(admitted(out).spec.image.diskFormat, 'qcow2');
      const without = await run([url]);
      assert.deepEqual([without.code, without.out], [1, '']);
      assert.match(without.err, /several files.*: set member to the name of the disk image/);
      assert.match((await run([url, '--member', '/disk'])).err, /--member: must be the name of a file in the archive/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a slow server does not keep a draft waiting for each list that it may have', async () => {
    const url = source.add('/slow/a.qcow2', { body: disk });
    let now = 0;
    const clock = { ...systemClock, monotonic: () => (now += 10_000) };
    const around = { ...surroundings(), clock };
    assert.equal(await draftCommand.run([url, '--source-allow', '127.0.0.0/8'], () => around), 0);
    assert.match(around.output(), /^# The search for a digest ended after 60 seconds: .*--checksums or --index-url$/m);
    assert.ok(source.requests.filter(({ path }) => path.startsWith('/slow/')).length < 12);
  });
});

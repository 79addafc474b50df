/** The command verify on files and URLs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';
import { verifyCommand } from '../../src/commands/verify.ts';
import { digestOf } from '../env/content.ts';
import { qcow2, raw } from '../env/images.ts';
import { type Source, startSource } from '../env/source.ts';
import { surroundings } from './surroundings.ts';

const disk = qcow2(2 ** 30);
const verdictSchema = z.looseObject({
  isAccepted: z.boolean(),
  reason: z.string().optional(),
  message: z.string().optional(),
  formatIsAssumed: z.literal(true).optional(),
  diskFormat: z.string().optional(),
  file: z.looseObject({}).optional(),
});

describe('the command verify', () => {
  let folder: string;
  let source: Source;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-verify-'));
    source = await startSource();
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await source.stop();
  });

  const file = (name: string, body: Buffer) => {
    writeFileSync(join(folder, name), body);
    return join(folder, name);
  };
  async function run(args: readonly string[]) {
    const around = surroundings();
    const flags = ['--source-allow', '127.0.0.0/8', '--output', 'json'];
    const code = await verifyCommand.run([...args, ...flags], () => around);
    const verdict = code === 1 ? undefined : verdictSchema.parse(JSON.parse(around.output()));
    return { code, verdict, err: around.errors() };
  }

  test('a file has its digests, its format and its virtual size', async () => {
    const { code, verdict, err } = await run([file('disk.qcow2', disk)]);
    assert.equal(code, 0, err);
    assert.equal(verdict?.diskFormat, 'qcow2');
    const expected = {
      size: disk.length,
      sha256: digestOf(disk),
      sha512: digestOf(disk, 'sha512'),
      format: 'qcow2',
      virtualSize: 2 ** 30,
    };
    for (const [key, value] of Object.entries(expected)) assert.equal(verdict?.file?.[key], value, key);
  });

  test('a compressed file is decompressed, and its format is that of the image in it', async () => {
    const packed = gzipSync(disk);
    const { code, verdict, err } = await run([file('disk.gz', packed), '--digest', `sha256:${digestOf(packed)}`]);
    assert.equal(code, 0, err);
    const { compression, imageSize, size } = verdict?.file ?? {};
    assert.deepEqual(
      [compression, imageSize, size, verdict?.diskFormat],
      ['gzip', disk.length, packed.length, 'qcow2'],
    );
  });

  test('data that the operator would reject has the reason of the operator, and the exit code 2', async () => {
    const zeros = `sha256:${'0'.repeat(64)}`;
    for (const [args, reason] of [
      [[file('other.qcow2', disk), '--digest', zeros], 'DigestMismatch'],
      [[file('unsafe.qcow2', qcow2(2 ** 30, { backingFile: '/etc/passwd' }))], 'UnsafeImage'],
      [[file('disk.raw', disk), '--format', 'raw'], 'FormatMismatch'],
      [[file('empty', Buffer.alloc(0))], 'EmptySource'],
      [[file('page.img', Buffer.from('<!doctype html><html><body>not found</body></html>'))], 'PageReceived'],
      [[file('cut.gz', gzipSync(disk).subarray(0, 60)), '--format', 'qcow2'], 'CompressionCutOff'],
    ] as const) {
      const { code, verdict, err } = await run(args);
      assert.deepEqual([code, verdict?.isAccepted, verdict?.reason], [2, false, reason], err);
    }
  });

  test('a URL is compared with the list of its publisher, whose name of the file must be that of the URL', async () => {
    const url = source.add('/images/disk.qcow2', { body: disk });
    const list = source.add('/images/SHA256SUMS', { body: Buffer.from(`${digestOf(disk)} *disk.qcow2\n`) });
    const right = await run([url, '--checksums', list]);
    assert.equal(right.code, 0, right.err);
    const local = await run([file('disk.qcow2', disk), '--checksums', list]);
    assert.equal(local.code, 0, local.err);
    source.add('/images/disk.qcow2', { body: raw(4096) });
    const wrong = await run([url, '--checksums', list, '--format', 'raw']);
    assert.deepEqual([wrong.code, wrong.verdict?.reason], [2, 'DigestMismatch']);
  });

  test('a list that must be signed has the signer in the verdict, and the signature of another key is no signature', async () => {
    const material = (name: string) => join(import.meta.dirname, '../source/openpgp/material', name);
    const sums = readFileSync(material('SHA256SUMS'));
    const [, name = ''] = /^[0-9a-f]{64} [ *](\S+)$/m.exec(sums.toString()) ?? [];
    const list = source.add('/signed/SHA256SUMS', { body: sums });
    const signature = source.add('/signed/SHA256SUMS.gpg', { body: readFileSync(material('SHA256SUMS.gpg')) });
    const flags = ['--checksums', list, '--signature', signature, '--format', 'qcow2'];
    const signed = await run([file(name, disk), ...flags, '--keys', material('release.key.asc')]);
    // The digest in the list is that of another file.
    assert.deepEqual([signed.code, signed.verdict?.reason], [2, 'DigestMismatch'], signed.err);
    assert.match(String(signed.verdict?.['signedBy']), /^[0-9A-Fa-f]{40}/);
    const stranger = await run([file(name, disk), ...flags, '--keys', material('stranger.key.asc')]);
    assert.deepEqual([stranger.code, stranger.verdict?.reason], [2, 'SignerNotAllowed'], stranger.err);
  });

  test('a weak digest that fits has the note of the Warning of a resource, and a strong one has none', async () => {
    const path = file('weak.qcow2', disk);
    for (const [algorithm, isWeak] of [
      ['md5', true],
      ['sha1', true],
      ['sha256', false],
      ['sha512', false],
    ] as const) {
      const { code, verdict, err } = await run([
        path,
        '--digest',
        `${algorithm}:${createHash(algorithm).update(disk).digest('hex')}`,
      ]);
      assert.equal(code, 0, err);
      const weakness = `${algorithm} detects accidental corruption, but not a deliberate change of the file: declare a sha256 or sha512 digest if the publisher provides one`;
      assert.deepEqual(verdict?.file?.['warnings'], isWeak ? [weakness] : []);
    }
  });

  test('the file of an archive that --member names is the image, also where other files are in front of it', async () => {
    const archive = join(folder, 'several.tar');
    file('note.txt', Buffer.from('x'));
    file('inside.qcow2', disk);
    execFileSync('tar', ['-cf', archive, '-C', folder, 'note.txt', 'inside.qcow2']);
    const { code, verdict, err } = await run([archive, '--member', 'inside.qcow2']);
    assert.deepEqual([code, verdict?.diskFormat, verdict?.file?.['member']], [0, 'qcow2', 'inside.qcow2'], err);
    const without = await run([archive]);
    assert.deepEqual([without.code, without.verdict?.reason], [2, 'ArchiveMemberNotFound']);
  });

  test('a verdict on a local file has its path and no URL, and advice that does not need a server', async () => {
    const odd = 'a b%20#?.img';
    const zeros = `sha256:${'0'.repeat(64)}`;
    const tar = Buffer.concat([Buffer.alloc(257), Buffer.from('ustar\0'), Buffer.alloc(249), Buffer.alloc(1024)]);
    for (const [name, body, flags, advice] of [
      [
        odd,
        raw(4096),
        ['--format', 'qcow2'],
        /, but it has no signature of that format: declare the format that it has/,
      ],
      ['page', Buffer.from('<!doctype html><html></html>'), [], / is an HTML page instead of an image: open it/],
      ['digest', disk, ['--digest', zeros], /: declare the right digest, or get the file again$/],
      [
        'cut.gz',
        gzipSync(disk).subarray(0, 60),
        ['--format', 'qcow2'],
        / is cut off after 60 bytes: get the file again$/,
      ],
      ['no.tar', disk, ['--member', 'x'], /: remove member, or declare the archive itself$/],
      ['empty', Buffer.alloc(0), [], / is an empty file$/],
      [
        'damaged.gz',
        Buffer.concat([gzipSync(disk).subarray(0, 60), Buffer.alloc(600, 255)]),
        ['--format', 'raw'],
        /; get the file again, or declare another one$/,
      ],
      ['damaged.tar', tar, ['--member', 'x'], /: have it packed again$/],
    ] as const) {
      const { code, verdict, err } = await run([file(name, body), ...flags]);
      assert.equal(code, 2, err);
      const { message = '', formatIsAssumed } = verdict ?? {};
      assert.ok(message.includes(join(folder, name)), message);
      assert.doesNotMatch(message, /file:|URL|status 200|publisher|image\.diskFormat/);
      assert.match(message, advice);
      assert.equal(formatIsAssumed, ['page', 'digest', 'empty'].includes(name) ? true : undefined, name);
      assert.equal(err, '');
    }
    const around = surroundings();
    await verifyCommand.run([file('shown.img', raw(4096))], () => around);
    assert.match(around.output(), /^assumed format: {6}raw$/m);
    assert.equal(around.errors(), '', 'a short file shows no progress');
  });

  test('a target that cannot be read is an error, and no verdict', async () => {
    for (const [args, message] of [
      [[join(folder, 'missing')], /cannot read .*missing/],
      [[`${source.url}/missing.img`], /responded with 404/],
      [
        ['00000000-0000-4000-8000-000000000000'],
        /an image of Glance needs --os-cloud; a file of that name is \.\/0{8}-/,
      ],
      [
        [`file://${join(folder, 'disk.gz')}`],
        /cannot read file:.*: a URL has http:\/\/ or https:\/\/ and a host, and a file has a path/,
      ],
      [['s3://bucket/disk.qcow2'], /cannot read s3:.*: a URL has http/],
      [['http://'], /cannot read http:\/\/: a URL has http/],
      [[join(folder, 'disk.gz'), '--digest', 'sha256:12'], /--digest: not a digest such as sha256:<64 hexadecimal/],
      [[join(folder, 'disk.gz'), '--checksums', 'SHA256SUMS'], /--checksums: must be a URL, http:\/\/ or https/],
      [[join(folder, 'disk.gz'), '--keys', 'x'], /--checksums is missing/],
      [[], /give a FILE, a URL or the ID of an image/],
    ] as const) {
      const { code, err } = await run(args);
      assert.equal(code, 1);
      assert.match(err, message);
    }
  });
});

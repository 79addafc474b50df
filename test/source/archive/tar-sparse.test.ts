/** Sparse files of GNU tar, as raw disks of clouds are packed, and hostile maps of them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { mixed } from '../decompress/files.ts';
import { pax, paxRecord, tar } from './files.ts';
import { gives, read, refuses } from './reading.ts';

/** A disk with holes, of which the data is in `count` parts of a block each. */
function holed(count: number, step = 16_384): Buffer {
  const bytes = Buffer.alloc(count * step + 100_000);
  for (let part = 0; part < count; part++) mixed(4096, `${part}`).copy(bytes, part * step);
  return bytes;
}

/** The files in an archive of GNU tar, which takes those with holes for sparse. */
function packedWith(files: Record<string, Buffer>, ...flags: string[]): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'sparse-'));
  try {
    for (const [name, data] of Object.entries(files)) {
      writeFileSync(join(directory, 'full'), data);
      execFileSync('cp', ['--sparse=always', 'full', name], { cwd: directory });
    }
    const names = Object.keys(files);
    return execFileSync('tar', [...flags, '-Scf', '-', ...names], { cwd: directory, maxBuffer: 2 ** 26 });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe('a sparse file in a tar archive', () => {
  for (const [name, ...flags] of [
    ['the old format of GNU', '--format=oldgnu'],
    ['the format of GNU', '--format=gnu'],
    ['version 1.0 of pax', '--format=posix', '--sparse-version=1.0'],
  ] as const)
    for (const count of [1, 4, 5, 30, 300])
      test(`${count} parts in ${name} become the file with its holes`, async () => {
        const image = holed(count);
        const archive = packedWith({ 'other.raw': holed(7), 'disk.raw': image }, ...flags);
        assert.ok(archive.length < image.length, 'the archive has no holes');
        const { member, size } = await gives(archive, image, { member: 'disk.raw' });
        assert.deepEqual([member, size], ['disk.raw', image.length]);
        await gives(archive, holed(7), { member: 'other.raw', lengths: [511, 3] });
      });

  test('a file that is one hole becomes zeros', async () => {
    for (const format of ['oldgnu', 'posix'])
      await gives(packedWith({ 'disk.raw': Buffer.alloc(3_000_000) }, `--format=${format}`), Buffer.alloc(3_000_000));
  });

  test('a version of pax that has its map in the header is rejected, and the message says how to pack it', async () => {
    for (const version of ['0.0', '0.1'])
      await refuses(
        packedWith({ 'disk.raw': holed(3) }, '--format=posix', `--sparse-version=${version}`),
        /sparse file of a version that is not read.*--sparse-version=1\.0/,
      );
  });

  /** The archive of GNU with another map: pairs of offset and length, the size of the file, and whether the map goes on. */
  const old = (
    pairs: readonly [number, number][],
    realSize: number,
    { stored = 1024, goesOn = 0, magic = 'ustar  \0' } = {},
  ) => {
    const block = Buffer.from(tar({ data: Buffer.alloc(stored, 7), type: 'S', fields: { 257: magic } }));
    const octal = (value: number) => `${value.toString(8).padStart(11, '0')}\0`;
    for (const [at, [offset, length]] of pairs.entries())
      block.write(octal(offset) + octal(length), 386 + 24 * at, 'latin1');
    block[482] = goesOn;
    block.write(octal(realSize), 483, 'latin1');
    block.fill(0x20, 148, 156);
    const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return block;
  };

  test('parts in an order, a sum or a place that does not fit the file are rejected', async () => {
    await gives(old([[512, 1024]], 2048), Buffer.concat([Buffer.alloc(512), Buffer.alloc(1024, 7), Buffer.alloc(512)]));
    for (const bad of [
      old([[512, 1024]], 1000),
      old([[512, 512]], 2048),
      old(
        [
          [1024, 512],
          [0, 512],
        ],
        2048,
      ),
      old(
        [
          [0, 512],
          [256, 512],
        ],
        2048,
      ),
      old(
        [
          [0, 512],
          [512, 513],
        ],
        2048,
      ),
      old([[0, 1024]], 2048, { goesOn: 1 }),
      old([[0, 1024]], 2048, { goesOn: 2 }),
    ])
      await refuses(bad, /is damaged near byte 0, as it has a sparse file whose parts do not fit it/);
  });

  test('a hole that is larger than any of a disk is rejected before a byte is passed on', async () => {
    const { error, length } = await read(old([[0, 1024]], 8 * 2 ** 30 - 1), { discards: true, maxBytes: 2 ** 40 });
    assert.equal(error?.code, 'ArchiveInvalid');
    assert.match(error?.message ?? '', /has a sparse file of \d+ bytes with 1024 bytes of data/);
    assert.equal(length, 0);
  });

  const sparsePax = (map: string, realSize = '2048', data = Buffer.alloc(512, 7), magic = 'ustar\x0000') => {
    const records = [
      ['major', '1'],
      ['minor', '0'],
      ['name', 'disk.raw'],
      ['realsize', realSize],
    ];
    const header = records.map(([key, value]) => paxRecord(`GNU.sparse.${key}`, value ?? ''));
    const padded = Buffer.alloc(Math.ceil(map.length / 512) * 512);
    padded.write(map, 'latin1');
    return tar(pax(header.join('')), {
      name: 'GNUSparseFile.1/disk.raw',
      data: Buffer.concat([padded, data]),
      fields: { 257: magic },
    });
  };

  test('a sparse file is rejected if its header is not of the format that has such files, as GNU tar gives its map as data', async () => {
    const another = /has a sparse file whose header is of another format/;
    for (const magic of ['ustar\x0000', 'ustar  x', '\0\0\0\0\0\0\0\0'])
      await refuses(old([[512, 1024]], 2048, { magic }), another);
    for (const magic of ['ustar  \0', 'ustar000', '\0\0\0\0\0\0\0\0'])
      await refuses(sparsePax('1\n0\n512\n', '2048', Buffer.alloc(512, 7), magic), another);
  });

  test('a map in lines that is no map, or too long, is rejected', async () => {
    await gives(sparsePax('1\n0\n512\n'), Buffer.concat([Buffer.alloc(512, 7), Buffer.alloc(1536)]));
    for (const map of [
      '',
      'x\n',
      '1\n',
      '1\n0\n',
      '-1\n',
      '01\n0\n512\n',
      '1\n0\n512\nrest',
      '1\n0\n 512\n',
      '9'.repeat(40),
      '1\n1e1\n512\n',
    ])
      assert.equal((await read(sparsePax(map))).error?.code, 'ArchiveInvalid', JSON.stringify(map));
    await refuses(sparsePax('999999\n'), /sparse file of more than \d+ parts/);
    for (const size of ['', '-1', '1e3', '99999999999999999'])
      assert.equal((await read(sparsePax('1\n0\n512\n', size))).error?.code, 'ArchiveInvalid', size);
  });
});

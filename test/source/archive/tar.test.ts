import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compressions, compressors, mixed } from '../decompress/files.ts';
import { packed, pax, paxRecord, python, tar, tarEntry } from './files.ts';
import { gives, read, refuses } from './reading.ts';

const image = mixed(200_000);
const small = mixed(1000, 'small');
const disk = { data: small };

describe('a tar archive with one file', () => {
  for (const format of ['v7', 'oldgnu', 'gnu', 'ustar', 'posix']) {
    test(`an image comes out of a tar archive of the format ${format} as it went in`, async () => {
      const archive = packed({ 'disk.raw': image }, 'tar', `--format=${format}`, '-cf', '-', 'disk.raw');
      const { archive: kind, member, size } = await gives(archive, image);
      assert.deepEqual([kind, member, size], ['tar', 'disk.raw', image.length]);
    });
  }

  for (const compression of compressions) {
    test(`an image comes out of a tar archive that is compressed with ${compression}`, async () => {
      const archive = packed({ 'disk.raw': image }, 'tar', '-cf', '-', './disk.raw');
      const { bytes, member, error } = await read(compressors[compression](archive));
      assert.deepEqual([error, member], [undefined, 'disk.raw']);
      assert.ok(bytes.equals(image));
    });
  }

  for (const format of ['USTAR_FORMAT', 'GNU_FORMAT', 'PAX_FORMAT']) {
    test(`an image comes out of a tar archive that Python writes as ${format}`, async () => {
      const archive = python(`with tarfile.open(out,'w',format=tarfile.${format}) as t: t.add('images/disk.raw')`, {
        'images/disk.raw': image,
      });
      assert.equal((await gives(archive, image)).member, 'images/disk.raw');
    });
  }

  test('long names of GNU and of pax count, and not the shortened ones in the header', async () => {
    const name = `${'long/'.repeat(60)}disk.raw`;
    for (const format of ['gnu', 'posix']) {
      const archive = packed({ [name]: small }, 'tar', `--format=${format}`, '-cf', '-', name);
      assert.equal(
        (await gives(archive, small, { member: name.slice(0, 100).replace(/.*/, '*/'.repeat(60).concat('disk.raw')) }))
          .member,
        name,
      );
      assert.equal((await gives(archive, small)).member, name);
    }
  });

  test('the directories of a tar archive are skipped', async () => {
    const archive = packed({ 'a/b/disk.raw': small }, 'tar', '-cf', '-', '.');
    assert.equal((await gives(archive, small)).member, 'a/b/disk.raw');
  });

  test('a size in binary and one in a pax header are read', async () => {
    const binary = Buffer.alloc(12);
    binary[0] = 0x80;
    binary.writeUInt32BE(small.length, 8);
    await gives(tar({ data: small, size: binary }), small);
    await gives(tar(pax(paxRecord('size', '1000')), { data: small }), small);
  });

  test('the data of a file that is larger than the size in the header has room for is read by its pax header', async () => {
    const large = pax(paxRecord('size', String(9 * 2 ** 30)));
    const { error } = await read(tar(large, { data: small, size: '00000000000\0' }), { maxBytes: 2 ** 40 });
    assert.equal(error?.code, 'ArchiveCutOff');
  });
});

describe('a tar archive with several files', () => {
  const files = { README: Buffer.from('read me'), 'disk.raw': image, 'disk.raw.sha256': Buffer.from('0') };
  const archive = packed(files, 'tar', '-cf', '-', 'README', 'disk.raw', 'disk.raw.sha256');

  test('the declared file is taken, by its name or by a pattern', async () => {
    for (const member of ['disk.raw', './disk.raw', '*.raw', 'd*k.r*w'])
      assert.equal((await gives(archive, image, { member })).member, 'disk.raw');
    assert.equal((await gives(archive, Buffer.from('read me'), { member: 'README' })).member, 'README');
  });

  test('an archive of which no file is declared is rejected before a byte of a small first file is passed on', async () => {
    await refuses(archive, /has several files, "README" and "disk.raw" among them: set member/, {
      code: 'ArchiveMemberNotFound',
    });
    assert.equal((await read(archive)).bytes.length, 0);
  });

  test('a file that is not there is reported with the names of those that are', async () => {
    await refuses(archive, /has no file "disk.qcow2"; it has "README", "disk.raw", "disk.raw.sha256": set/, {
      member: 'disk.qcow2',
      code: 'ArchiveMemberNotFound',
    });
    await refuses(archive, /it has "README", "disk.raw", "disk.raw.sha256"/, {
      member: 'a/*',
      code: 'ArchiveMemberNotFound',
    });
  });

  test('names of files at addresses that are not public are not shown', async () => {
    const { error } = await read(archive, { member: 'other', isPublic: false });
    assert.match(error?.message ?? '', /names are shown for public addresses only/);
    assert.doesNotMatch(error?.message ?? '', /README|disk\.raw/);
  });

  test('a pattern that several files match is rejected', async () => {
    await refuses(archive, /has several files that match "\*", "README" and "disk.raw"/, {
      member: '*',
      code: 'ArchiveMemberNotFound',
    });
  });

  test('an archive without any file is rejected', async () => {
    await refuses(tar({ name: 'a/', type: '5' }), /has no file in it/, { code: 'ArchiveMemberNotFound' });
    await refuses(tar({ name: 'a/', type: '5' }), /it has no file at all/, {
      member: 'a',
      code: 'ArchiveMemberNotFound',
    });
  });

  test('a declared file of something that is no archive is reported', async () => {
    await refuses(image, /is neither a tar nor a zip archive, so it has no file "disk.raw"/, {
      member: 'disk.raw',
      code: 'ArchiveMemberNotFound',
    });
  });
});

describe('a hostile tar archive', () => {
  const cases: [what: string, archive: Buffer, message: RegExp][] = [
    [
      'a symbolic link',
      tar({ ...disk, name: 'a' }, { name: 'b', type: '2', fields: { 157: 'a' } }),
      /has a link, "b", and only files/,
    ],
    ['a hard link', tar({ ...disk, name: 'a' }, { name: 'b', type: '1', fields: { 157: 'a' } }), /has a link, "b"/],
    ['a character device', tar({ name: 'null', type: '3' }), /has a device or a pipe, "null"/],
    ['a block device', tar({ name: 'sda', type: '4' }), /has a device or a pipe, "sda"/],
    ['a pipe', tar({ name: 'fifo', type: '6' }), /has a device or a pipe, "fifo"/],
    [
      'a sparse file of an old version of pax',
      tar(pax(paxRecord('GNU.sparse.major', '0')), disk),
      /has a sparse file.*without --sparse/,
    ],
    ['a sparse file without its size', tar(pax(paxRecord('GNU.sparse.major', '1')), disk), /has a sparse file/],
    ['a sparse file of star', tar(pax(paxRecord('SCHILY.realsize', '9')), disk), /has a sparse file/],
    ['a part of another archive', tar({ ...disk, type: 'M' }), /has an entry of the unknown type "M"/],
    [
      'a name with ..',
      tar({ ...disk, name: 'a/../../etc/passwd' }),
      /has a name that leads outside of it, "a\/..\/..\/etc\/passwd"/,
    ],
    ['an absolute name', tar({ ...disk, name: '/disk.raw' }), /has a name that leads outside of it/],
    [
      'a name with a backslash',
      tar({ ...disk, name: '..\\disk.raw' }),
      /has a name with a backslash or a control character/,
    ],
    ['a name with a line break', tar({ ...disk, name: 'a\nb' }), /has a name with a backslash or a control character/],
    ['a name that is not UTF-8', tar({ ...disk, name: Buffer.of(0xff, 0xfe) }), /has a name that is not UTF-8/],
    ['no name', tar({ ...disk, name: './', type: '7' }, { ...disk, name: '.' }), /without a name|directory with data/],
    [
      'an extended header of 1 GiB',
      tar({ name: 'x', type: 'x', size: '10000000000\0' }),
      /has an extended header of 1073741824 bytes/,
    ],
    [
      'a long name of 1 GiB',
      tar({ name: 'x', type: 'L', size: '10000000000\0' }),
      /has an extended header of 1073741824 bytes/,
    ],
    ['a name of 8 KiB', tar({ type: 'L', data: Buffer.alloc(8192, 0x61) }, disk), /has a name of 8192 bytes/],
    ['a pax header without a length', tar(pax('path=a\n'), disk), /has an unreadable pax header/],
    ['a pax header that is too short', tar(pax('99 path=a\n'), disk), /has an unreadable pax header/],
    ['a pax header of length 0', tar(pax('0 path=a\n'), disk), /has an unreadable pax header/],
    [
      'a pax header with two names',
      tar(pax(paxRecord('path', 'a') + paxRecord('path', 'b')), disk),
      /with two names for one file/,
    ],
    [
      'a pax header with a name that ends early',
      tar(pax(paxRecord('path', 'a\0b')), disk),
      /with two names for one file/,
    ],
    [
      'two pax headers for one file',
      tar(pax(paxRecord('path', 'a')), pax(paxRecord('path', 'b')), disk),
      /has two extended headers for one file/,
    ],
    [
      'a name of GNU and one of pax',
      tar({ type: 'L', data: Buffer.from('a\0') }, pax(paxRecord('path', 'b')), disk),
      /has two extended headers for one file/,
    ],
    ['a pax header without a file', tar(pax(paxRecord('path', 'a'))), /has an extended header without a file/],
    ['a negative size', tar({ size: Buffer.alloc(12, 0xff) }), /has a file whose size cannot be read/],
    [
      'a size of 2^80',
      tar({ size: Buffer.from('800004000000000000000000', 'hex') }),
      /has a file whose size cannot be read/,
    ],
    ['a size that is no number', tar({ size: '12x45678901\0' }), /has a file whose size cannot be read/],
    [
      'a size in pax that is no number',
      tar(pax(paxRecord('size', '-1')), disk),
      /has a pax header with a size that cannot be read/,
    ],
    [
      'two sizes, which programs choose from',
      tar(pax(paxRecord('size', '512')), disk),
      /has a file with two sizes, 1000 and 512/,
    ],
    ['one name for all files', tar(pax(paxRecord('path', 'a'), 'g'), disk), /has one name or size for all files/],
    ['a directory with data', tar({ name: 'a/', type: '5', data: small }), /has a directory with data/],
    ['a wrong checksum', tar({ ...disk, checksum: '0000001\0' }), /has a header with a wrong checksum/],
    [
      'a second archive behind its end',
      Buffer.concat([tar(disk), tar({ ...disk, name: 'other' })]),
      /has other data after its end/,
    ],
    [
      'an archive behind one block of zeros',
      Buffer.concat([tarEntry(disk), Buffer.alloc(512), tar(disk)]),
      /has other data after its end/,
    ],
    ['the same file twice', tar(disk, disk), /has the file "disk.raw" twice/],
    [
      'the same file twice in two spellings',
      tar(disk, { ...disk, name: './/disk.raw' }),
      /has the file "disk.raw" twice/,
    ],
    [
      '1001 entries',
      tar(...Array.from({ length: 1001 }, (_, n) => ({ name: `d${n}/`, type: '5' }))),
      /has more than 1000 entries/,
    ],
    [
      'two MiB of attributes',
      tar(...Array.from({ length: 32 }, () => pax(paxRecord('comment', 'x'.repeat(60_000)))), disk),
      /has more than 1Mi of names and other metadata/,
    ],
  ];
  for (const [what, archive, message] of cases) {
    test(`a tar archive is rejected for ${what}`, () => refuses(archive, message, { member: 'disk.raw' }));
  }

  test('a tar archive that ends early, at any block, is cut off', async () => {
    const whole = tar({ ...disk, name: 'a' }, disk);
    for (let length = 512; length < whole.length - 512; length += 256)
      await refuses(whole.subarray(0, length), /is cut off after \d+ bytes/, {
        member: 'disk.raw',
        code: 'ArchiveCutOff',
      });
    assert.equal((await read(whole.subarray(0, whole.length - 512), { member: 'disk.raw' })).error, undefined);
  });

  test('a size beyond the limit is rejected before the data', async () => {
    const binary = Buffer.from('800000000000010000000000', 'hex');
    await refuses(tar({ size: binary }), /is a tar archive with a file of 1099511627776 bytes; the limit is/, {
      code: 'SourceTooLong',
    });
  });
});

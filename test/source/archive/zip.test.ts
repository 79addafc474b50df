import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import { compressors, mixed } from '../decompress/files.ts';
import { extraField, packed, python, u32, u64, type ZipEntry, zip } from './files.ts';
import { gives, read, refuses } from './reading.ts';

const image = mixed(200_000);
const small = mixed(1000, 'small');
const disk = { data: small };
const deflated = deflateRawSync(small);
const right = { crc: crc32(small), compressed: deflated.length, size: small.length };

describe('a zip archive with one file', () => {
  test('an image comes out of an archive of zip as it went in, deflated and stored', async () => {
    for (const level of ['-9', '-0']) {
      const archive = packed({ 'disk.vhd': image }, 'zip', '-q', level, 'OUT', 'disk.vhd');
      const { archive: kind, member, size } = await gives(archive, image);
      assert.deepEqual([kind, member, size], ['zip', 'disk.vhd', image.length]);
    }
  });

  test('an archive that was written to a pipe has the lengths behind the data', async () => {
    const archive = packed({ 'disk.vhd': image }, 'sh', '-c', 'zip -q - disk.vhd | cat');
    const { member, size } = await gives(archive, image);
    assert.deepEqual([member, size], ['disk.vhd', undefined]);
  });

  const write = (zipfile: string) => `
class Pipe(io.RawIOBase):
  def __init__(self, file): self.file = file
  def writable(self): return True
  def write(self, data): return self.file.write(data)
with open(out,'wb') as f:
  with zipfile.ZipFile(${zipfile}) as z:
    with z.open(zipfile.ZipInfo('disk.vhd') if 0 else 'disk.vhd','w',force_zip64=FORCE) as e: e.write(open('disk.vhd','rb').read())`;
  for (const [what, file] of [
    ['a file', "f,'w',zipfile.ZIP_DEFLATED"],
    ['a pipe', "Pipe(f),'w',zipfile.ZIP_DEFLATED"],
  ] as const)
    for (const force of ['False', 'True'])
      test(`an image comes out of what Python writes to ${what}, with zip64 ${force}`, async () => {
        await gives(python(write(file).replace('FORCE', force), { 'disk.vhd': image }), image);
      });

  test('the directories and the comment of a zip archive are skipped', async () => {
    const archive = packed({ 'a/b/disk.vhd': small }, 'sh', '-c', 'echo remark | zip -q -r -z "$0" a', 'OUT');
    assert.equal((await gives(archive, small)).member, 'a/b/disk.vhd');
  });

  test('all forms of the lengths behind the data are read', async () => {
    const { crc, compressed, size } = right;
    for (const descriptor of [
      Buffer.concat([Buffer.from('PK\x07\x08'), u32(crc, compressed, size)]),
      u32(crc, compressed, size),
      Buffer.concat([Buffer.from('PK\x07\x08'), u32(crc), u64(compressed, size)]),
      Buffer.concat([u32(crc), u64(compressed, size)]),
    ])
      await gives(zip([{ ...disk, flags: 8, descriptor }]), small);
  });

  test('sizes of 64 bits are read in front and in the directory', async () => {
    const { crc, compressed, size } = right;
    const full = 0xffffffff;
    const extra = extraField(1, u64(size, compressed));
    await gives(
      zip([
        {
          ...disk,
          extra,
          local: { crc, compressed: full, size: full },
          listed: { size: full, compressed: full, extra },
        },
      ]),
      small,
    );
  });
});

describe('a zip archive with several files', () => {
  const archive = packed(
    { README: Buffer.from('read me'), 'x.vhd': image, z: small },
    'zip',
    '-q',
    'OUT',
    'README',
    'x.vhd',
    'z',
  );

  test('the declared file is taken, by its name or by a pattern', async () => {
    for (const member of ['x.vhd', '*.vhd']) await gives(archive, image, { member });
    const streamed = packed(
      { README: Buffer.from('read me'), 'x.vhd': image, z: small },
      'sh',
      '-c',
      'zip -q - README x.vhd z | cat',
    );
    for (const member of ['x.vhd', '*.vhd']) await gives(streamed, image, { member });
  });

  test('a zip archive of several files, of which none is declared, is rejected', async () => {
    await refuses(archive, /has several files, "README" and "x.vhd" among them/, { code: 'ArchiveMemberNotFound' });
    await refuses(archive, /has no file "y"; it has "README", "x.vhd", "z"/, {
      member: 'y',
      code: 'ArchiveMemberNotFound',
    });
  });
});

describe('a hostile zip archive', () => {
  const unixMode = (mode: number) => mode * 2 ** 16;
  const several = (change: Partial<ZipEntry>) => zip([{ ...disk, ...change }]);
  const cases: [what: string, archive: Buffer, message: RegExp][] = [
    ['encryption', several({ flags: 1 }), /has an encrypted file: have the publisher pack it without a password/],
    ['strong encryption', several({ flags: 0x40 }), /has an encrypted file/],
    ['encryption of its directory', several({ flags: 0x2000 }), /has an encrypted file/],
    ['unknown flags', several({ flags: 0x20 }), /has a file with the unknown flags 0x20/],
    ['deflate64', several({ method: 9 }), /has a file that is compressed with deflate64/],
    ['a method without a name', several({ method: 77 }), /has a file that is compressed with method 77/],
    [
      'a stored file of unknown length',
      several({ flags: 8, method: 0 }),
      /is stored without its length in front, so its end cannot be found/,
    ],
    ['a symbolic link', several({ attributes: unixMode(0o120777) }), /has a link, "disk.raw", and only files/],
    ['a device', several({ attributes: unixMode(0o060644) }), /has a device or a pipe, "disk.raw"/],
    ['a name with ..', several({ name: '../disk.raw' }), /has a name that leads outside of it/],
    ['an absolute name', several({ name: '/disk.raw' }), /has a name that leads outside of it/],
    ['a name with a backslash', several({ name: '..\\disk.raw' }), /has a name with a backslash/],
    [
      'two names',
      several({ extra: extraField(0x7075, Buffer.from('\x01\0\0\0\0other')) }),
      /has a file with two names/,
    ],
    [
      'another name in its directory',
      several({ listed: { name: 'disk.raX' } }),
      /lists a file in its directory that is another one/,
    ],
    [
      'another size in its directory',
      several({ listed: { size: 999 } }),
      /lists a file in its directory that is another one/,
    ],
    [
      'another length in its directory',
      several({ listed: { compressed: 1 } }),
      /lists a file in its directory that is another one/,
    ],
    [
      'another checksum in its directory',
      several({ listed: { crc: 1 } }),
      /lists a file in its directory that is another one/,
    ],
    [
      'another method in its directory',
      several({ listed: { method: 0 } }),
      /lists a file in its directory that is another one/,
    ],
    [
      'another offset in its directory',
      several({ listed: { offset: 4 } }),
      /lists a file in its directory that is another one/,
    ],
    [
      'a file that its directory does not list',
      several({ isListed: false }),
      /has a file that its directory does not list/,
    ],
    [
      'a file that its directory lists twice',
      zip([disk, { ...disk, name: 'other', listed: { offset: 0, name: 'disk.raw' } }]),
      /lists a file in its directory that is another one/,
    ],
    [
      'another number of files at its end',
      zip([disk], { count: 2 }),
      /states another place or length of its directory/,
    ],
    ['another place of its directory', zip([disk], { start: 0 }), /states another place or length of its directory/],
    [
      'a wrong size in front',
      several({ local: { size: 999 } }),
      /has a file of \d+ bytes, uncompressed 1000, where its header states \d+ and 999/,
    ],
    ['a wrong checksum in front', several({ local: { crc: 1 } }), /has a file with a wrong checksum/],
    [
      'two sizes of a stored file',
      several({ method: 0, local: { size: 999 } }),
      /has a stored file with two sizes, 999 and 1000/,
    ],
    [
      'wrong lengths behind the data',
      several({ flags: 8, descriptor: u32(right.crc, right.compressed, 999) }),
      /whose length and checksum do not follow it/,
    ],
    [
      'data behind the end of its deflated data',
      several({ raw: Buffer.concat([deflated, Buffer.alloc(9)]) }),
      /where its header states/,
    ],
    ['a directory with data', several({ name: 'disk.raw/' }), /has a directory with data/],
    ['other data after its end', Buffer.concat([zip([disk]), Buffer.of(0)]), /has other data after its end/],
    ['a second archive behind it', Buffer.concat([zip([disk]), zip([disk])]), /has other data after its end/],
    [
      'a field twice',
      several({ extra: Buffer.concat([extraField(9, u32(1)), extraField(9, u32(1))]) }),
      /has an extra field twice/,
    ],
    ['a field that is too short', several({ extra: Buffer.of(9, 0, 9, 0) }), /has an unreadable extra field/],
    ['a missing size of 64 bits', several({ local: { size: 0xffffffff } }), /lacks a size of 64 bits/],
    [
      'a size of 2^60',
      several({ extra: extraField(1, u64(2n ** 60n, 1)), local: { size: 0xffffffff } }),
      /has a size that cannot be true/,
    ],
    [
      'something between its files',
      Buffer.concat([zip([disk]).subarray(0, -70), Buffer.alloc(70)]),
      /damaged|directory/,
    ],
    ['the same file twice', zip([disk, disk]), /has the file "disk.raw" twice/],
    [
      '1001 files',
      zip(Array.from({ length: 1001 }, (_, n) => ({ name: `f${n}`, data: Buffer.of(1) }))),
      /has more than 1000 entries/,
    ],
    [
      'a MiB of fields',
      zip(
        Array.from({ length: 20 }, (_, n) => ({
          name: `f${n}`,
          extra: extraField(9, Buffer.alloc(60_000)),
          data: Buffer.of(1),
        })),
      ),
      /has more than 1Mi of names and other metadata/,
    ],
  ];
  for (const [what, archive, message] of cases) {
    test(`a zip archive is rejected for ${what}`, () => refuses(archive, message, { member: 'disk.raw' }));
  }

  test('a zip archive with damaged data is rejected', async () => {
    const archive = zip([{ ...disk, raw: Buffer.concat([Buffer.of(0xff), deflated.subarray(1)]) }]);
    await refuses(archive, /the zip data of .* is damaged near byte/, { code: 'CompressionInvalid' });
    await refuses(zip([{ ...disk, raw: deflated.subarray(0, 50) }]), /is damaged near byte/, {
      code: 'CompressionInvalid',
    });
  });

  test('a zip archive that ends early, at any byte, is rejected', async () => {
    const whole = zip([{ data: small, method: 0 }], { comment: 'remark' });
    for (let length = 4; length < whole.length; length += length < 1000 ? 97 : 1) {
      const { error } = await read(whole.subarray(0, length));
      assert.match(error?.code ?? '', /^Archive(?:Invalid|CutOff)$/, `of ${length} bytes`);
    }
  });

  test('a zip bomb is rejected when it exceeds the limit, before its end', async () => {
    const archive = zip([{ data: Buffer.alloc(64 * 2 ** 20) }]);
    const { bytes, error } = await read(archive, { maxBytes: 2 ** 20 });
    assert.equal(error?.code, 'CompressionBomb');
    assert.ok(bytes.length <= 2 ** 20);
  });

  test('a zip archive that is compressed is not opened', async () => {
    const archive = zip([disk]);
    const { archive: kind, bytes } = await read(compressors.gzip(archive));
    assert.equal(kind, undefined);
    assert.ok(bytes.equals(archive));
  });
});

/** Images of every kind with their expected outcomes, for the inspection alone and in comparison with Glance. */
import { gpt, mbr, qcow2, raw } from '../../env/images.ts';
import { breaksOff, broken, type Case, line, mismatch, plain, sound, unsafe } from './cases.ts';
import { vmdkCases } from './catalogue-vmdk.ts';
import {
  be,
  diskSizeEntry,
  file,
  fixedVhd,
  hybridIso,
  iso,
  le,
  luks,
  mib,
  patched,
  regionEntry,
  vdi,
  vhd,
  vhdx,
} from './images.ts';

const gib = 2 ** 30;
const small = qcow2(gib);
const features = (bits: bigint) => patched(small, [72, be(8, bits)]);
const extension = (type: number, data: string, length = data.length) =>
  patched(small, [104, Buffer.concat([be(4, type), be(4, length), Buffer.from(data)])]);
const version2 = patched(small, [4, be(4, 2)], [96, Buffer.alloc(8)]);

const qcow2Cases = [
  sound('qcow2', 'version 3', small, gib),
  sound('qcow2', 'with data', qcow2(4 * mib, { dataClusters: 3 }), 4 * mib),
  sound('qcow2', 'version 2', version2, gib),
  sound('qcow2', 'encrypted with LUKS', patched(small, [32, be(4, 2)]), gib),
  sound('qcow2', 'compressed clusters', features(8n), gib),
  sound('qcow2', 'a longer header', patched(small, [100, be(4, 112)]), gib),
  sound('qcow2', 'a table of feature names', extension(0x6803f857, 'x'.repeat(480)), gib),
  sound('qcow2', 'a disk of no size', qcow2(0), undefined),
  unsafe('qcow2', 'a backing file', qcow2(gib, { backingFile: '/etc/passwd' }), /it has a backing file/),
  unsafe('qcow2', 'an external data file', qcow2(gib, { dataFile: '/etc/passwd' }), /an external data file/),
  unsafe('qcow2', 'the name of a data file only', extension(0x44415441, '/etc/pas'), /names an external data file/, {
    why: 'QEMU takes the name together with the feature bit only, but no regular tool writes it',
  }),
  unsafe(
    'qcow2',
    'a data file behind another extension',
    patched(extension(0x6803f857, 'x'.repeat(47)), [160, be(4, 0x44415441)], [164, be(4, 8)]),
    /names an external data file/,
    { why: 'as above' },
  ),
  unsafe(
    'qcow2',
    'version 2 whose first extension looks like the data file bit',
    patched(version2, [76, be(4, 4)]),
    /data file/,
  ),
  unsafe('qcow2', 'extended L2 entries', features(16n), /needs features that Glance does not know/),
  unsafe('qcow2', 'an unknown feature', features(1n << 63n), /needs features that Glance does not know/),
  unsafe('qcow2', 'version 1', patched(small, [4, be(4, 1)]), /has version 1/),
  mismatch('qcow2', 'marked as corrupt', features(2n), /marked as corrupt \(qemu-img check/, {
    why: 'no server could use it',
  }),
  mismatch('qcow2', 'marked as dirty', features(1n), /marked as dirty/, {
    why: 'it was copied while in use; a server that boots from it repairs it at best',
  }),
  mismatch('qcow2', 'clusters of an impossible size', patched(small, [20, be(4, 63)]), /impossible size/, {
    why: 'QEMU cannot open it',
  }),
  mismatch('qcow2', 'a header of an impossible length', patched(small, [100, be(4, 2 ** 31)]), /impossible length/, {
    why: 'QEMU cannot open it',
  }),
  mismatch('qcow2', 'an extension that does not fit', extension(0x6803f857, '', 2 ** 31), /does not fit/, {
    why: 'QEMU cannot open it',
  }),
  mismatch('qcow2', 'cut off among its extensions', extension(0x6803f857, '', 60_000).subarray(0, 2000), /cut off/, {
    why: 'QEMU cannot open it',
  }),
  mismatch('qcow2', 'cut off in its header', small.subarray(0, 511), /cut off in its header/, {
    why: 'Glance takes a header that is too short for raw, which cannot be what is meant',
  }),
  mismatch('qcow2', 'another format inside its header', patched(small, [510, '\x55\xaa']), /several formats at once/),
];

const otherCases = [
  sound('vhd', 'dynamic', vhd(), 8 * mib),
  sound('vhd', 'resized', vhd({ current: 16 * mib }), 8 * mib),
  unsafe('vhd', 'differencing', vhd({ kind: 4 }), /the difference to a parent/, { why: 'it is not a whole disk' }),
  mismatch('vhd', 'fixed', fixedVhd(), /convert it with qemu-img convert -O vpc, or declare it as raw/, {
    raw: 'ok',
    plain: true,
  }),
  mismatch('vhd', 'cut off', vhd().subarray(0, 100), /cut off in its first sector/),
  sound('vhdx', 'metadata at 1 MiB', vhdx(), 32 * mib),
  sound('vhdx', 'metadata at 3 MiB', vhdx({ region: 3 * mib }), 32 * mib),
  sound('vhdx', 'a disk of no size', vhdx({ size: 0 }), undefined),
  sound('vhdx', 'its size before its parameters', vhdx({ parametersAt: 80_000 }), 32 * mib),
  unsafe('vhdx', 'differencing', vhdx({ hasParent: true }), /the difference to a parent/, {
    why: 'it is not a whole disk',
  }),
  mismatch('vhdx', 'no metadata region', vhdx({ regions: [] }), /does not have one metadata region/, {
    why: 'neither size nor parent can be known',
  }),
  mismatch(
    'vhdx',
    'two metadata regions',
    vhdx({ regions: [regionEntry(mib), regionEntry(2 * mib)] }),
    /one metadata region/,
    {
      why: 'readers could differ in which of the two they take',
    },
  ),
  mismatch('vhdx', 'metadata within the header', vhdx({ regions: [regionEntry(300_000)] }), /impossible place/),
  mismatch(
    'vhdx',
    'two sizes',
    vhdx({ items: [diskSizeEntry(65544), diskSizeEntry(70_000)] }),
    /size and parameters exactly once/,
    {
      why: 'readers could differ in which of the two they take',
    },
  ),
  mismatch(
    'vhdx',
    'a size of a wrong length',
    vhdx({ items: [diskSizeEntry(65544, 4)] }),
    /size and parameters exactly once/,
  ),
  mismatch('vhdx', 'no size', vhdx({ items: [] }), /size and parameters exactly once/, {
    why: 'the size cannot be known',
  }),
  mismatch('vhdx', 'a size within the table', vhdx({ items: [diskSizeEntry(16)] }), /overlap/, {
    why: 'the specification forbids it',
  }),
  mismatch('vhdx', 'no region table', patched(vhdx(), [192 * 1024, 'xxxx']), /no valid region table/, {
    why: 'neither size nor parent can be known',
  }),
  mismatch('vhdx', 'no metadata table', patched(vhdx(), [mib, 'x']), /no valid metadata table/, {
    why: 'neither size nor parent can be known',
  }),
  mismatch('vhdx', 'cut off in its region table', vhdx().subarray(0, 200_000), /cut off in its region table/),
  mismatch('vhdx', 'cut off before its metadata', vhdx().subarray(0, mib), /cut off before its metadata/),
  mismatch('vhdx', 'cut off in its metadata', vhdx().subarray(0, mib + 65540), /cut off in its metadata/),
  sound('vdi', 'dynamic', vdi(), 16 * mib),
  sound('vdi', 'fixed', vdi({ kind: 2 }), 16 * mib),
  unsafe('vdi', 'differencing', vdi({ kind: 4 }), /the difference to a parent/, { why: 'it is not a whole disk' }),
  unsafe('vdi', 'with a parent', patched(vdi(), [0x1a8, 'x']), /the difference to a parent/, {
    why: 'it is not a whole disk',
  }),
  mismatch('vdi', 'of no known kind', vdi({ kind: 9 }), /unknown kind, 9/, { why: 'nothing can open it' }),
  mismatch('vdi', 'cut off', vdi().subarray(0, 400), /cut off in its header/, {
    why: 'Glance takes a header that is too short for raw, which cannot be what is meant',
  }),
  sound('iso', 'ISO 9660', iso(), 64 * 1024),
  sound('iso', 'UDF', iso({ signature: 'NSR02' }), 64 * 1024),
  sound('iso', 'a boot record first', iso({ type: 0 }), undefined),
  sound('iso', 'hybrid', hybridIso(), 64 * 1024, { raw: 'FormatMismatch' }),
  mismatch('iso', 'with qcow2 in front', patched(iso(), [0, small.subarray(0, 104)]), /several formats at once/),
  mismatch('iso', 'cut off', iso().subarray(0, 34_000), /cut off in its first descriptor/, {
    why: 'Glance takes it for raw, which cannot be what is meant',
  }),
  sound('luks', 'version 1', luks(), 60 * 1024),
  unsafe('luks', 'version 2', luks({ version: 2 }), /has version 2/),
  mismatch('luks', 'cut off in its header', luks().subarray(0, 300), /cut off in its header/),
  mismatch('luks', 'cut off before its data', luks({ payloadSectors: 4096 }), /cut off before its data/, {
    why: 'Glance would compute a negative size',
  }),
  unsafe('qed', 'QED', file(4096, [0, 'QED\0']), /a format that Glance never takes/),
];

const entry = (index: number) => 446 + 16 * index;
const gptCases = [
  sound('gpt', 'GPT', gpt(), 4 * mib),
  sound('gpt', 'MBR', mbr(), 2 * mib),
  sound(
    'gpt',
    'MBR of four partitions',
    patched(mbr(), ...[1, 2, 3].map((i) => [entry(i) + 4, '\x83'] as const)),
    2 * mib,
  ),
  unsafe('gpt', 'a wrong boot flag', patched(mbr(), [entry(2), '\x01']), /entry 3 has an invalid boot flag/),
  unsafe('gpt', 'no partition', file(4096, [510, '\x55\xaa']), /MBR without partitions/),
  unsafe('gpt', 'a hybrid MBR', patched(gpt(), [entry(1) + 4, '\x83']), /more than the protective partition/),
  unsafe(
    'gpt',
    'a protective partition that is not the first',
    patched(gpt(), [entry(1), gpt().subarray(446, 462)], [450, '\0']),
    /more than the protective/,
  ),
  unsafe(
    'gpt',
    'a protective partition that starts elsewhere',
    patched(gpt(), [454, le(4, 2)]),
    /does not start at sector 1/,
  ),
  unsafe('gpt', 'a protective partition with a wrong CHS', patched(gpt(), [447, '\x01']), /does not start at sector 1/),
];

const compressed = (name: string, start: string): Case =>
  line('raw', 'FormatMismatch', name, file(64_000, [0, start]), {
    plain: true,
    why: 'it was probably not unpacked by mistake',
    says: new RegExp(`a file compressed with ${name}`),
  });

const page = (name: string, start: string, says: RegExp): Case =>
  mismatch('raw', name, Buffer.from(start.padEnd(700), 'latin1'), says, {
    why: 'a server sent it in place of the image',
  });

const text = 'All work and no play makes Jack a dull boy.\n'.repeat(50);
const rawCases = [
  plain('zeros', Buffer.alloc(64_000)),
  plain('data', raw(100_000)),
  plain('a FAT file system', file(64_000, [0x10, '\x02'], [0x15, '\xf8'], [510, '\x55\xaa'])),
  plain('one byte', Buffer.from('x')),
  plain('a text', Buffer.from(text)),
  line('raw', 'ok', 'a text that is not ASCII', broken(text), {
    virtualSize: 2202,
    plain: true,
    unsized: true,
    why: breaksOff,
  }),
  plain('a disk that begins like JSON', file(64_000, [0, '{"'])),
  compressed('gzip', '\x1f\x8b\x08'),
  compressed('xz', '\xfd7zXZ\0'),
  compressed('zstd', '\x28\xb5\x2f\xfd'),
  compressed('bzip2', 'BZh9'),
  compressed('lz4', '\x04\x22\x4d\x18'),
  compressed('lzip', 'LZIP\x01'),
  mismatch('raw', 'zip', file(64_000, [0, 'PK\x03\x04']), /is a zip archive/, {
    plain: true,
    why: 'it was probably not unpacked by mistake',
  }),
  compressed('7z', '7z\xbc\xaf\x27\x1c'),
  page(
    'an HTML page',
    '\xef\xbb\xbf\n <!DOCTYPE html><html><body>Sign in</body></html>',
    /an HTML page instead of an image/,
  ),
  page('bare HTML', '<HTML><head>', /an HTML page instead/),
  page('XML', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', /an XML document instead/),
  page('JSON', '{"error": "not found"}', /a JSON document instead/),
];

export const catalogue: readonly Case[] = [...qcow2Cases, ...vmdkCases, ...otherCases, ...gptCases, ...rawCases];

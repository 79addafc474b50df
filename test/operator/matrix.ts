/**
 * The faults of a source, each with the expected result.
 *
 * Invariant: a row names the behaviour of the source, the expected reason and message, and whether the image may become
 * active.
 */
import { zstdCompressSync } from 'node:zlib';
import type { Reason } from '../../src/api/reasons.ts';
import { generated } from '../env/content.ts';
import { qcow2, raw } from '../env/images.ts';
import type { SourceFile } from '../env/source.ts';
import { digestOf } from './digest.ts';

export interface Row {
  fault: string;
  file: SourceFile;
  /** Default raw. */
  diskFormat?: string;
  image?: Record<string, unknown>;
  /** Default: that of the file's body. */
  digest?: string;
  /** Absent: all goes well in the end. */
  ends?: { reason: Reason; says: RegExp };
}

export const size = 512 * 1024;
export const body = raw(size);
const bytes = Buffer.from(body);
/** A byte of the file, by its share of the whole. */
export const at = (share: number) => Math.min(Math.floor(size * share), size - 1);
const broken = (says: RegExp) => ({ reason: 'SourceTooShort' as const, says });
const resets = [0, 1, at(0.5), at(0.99)];

/** A few dozen KiB that would become 512 MiB. */
const bomb = zstdCompressSync(Buffer.alloc(512 * 2 ** 20));

const vmdkElsewhere = () => {
  const descriptor = [
    '# Disk DescriptorFile',
    'version=1',
    'CID=fffffffe',
    'parentCID=ffffffff',
    'createType="monolithicFlat"',
    'RW 2048 FLAT "/etc/passwd" 0',
    '',
  ].join('\n');
  const image = Buffer.alloc(1024 * 1024);
  image.write('KDMV', 0, 'latin1');
  image.writeUInt32LE(1, 4);
  image.writeUInt32LE(3, 8);
  image.writeBigUInt64LE(2048n, 12);
  image.writeBigUInt64LE(128n, 20);
  image.writeBigUInt64LE(1n, 28);
  image.writeBigUInt64LE(20n, 36);
  image.write(descriptor, 512, 'latin1');
  return image;
};

const unsafe = (what: string, file: Buffer, diskFormat: string, says: RegExp): Row => ({
  fault: what,
  file: { body: file },
  diskFormat,
  ends: { reason: 'UnsafeImage', says },
});

export const rows: Row[] = [
  { fault: 'none', file: { body: bytes } },
  {
    fault: '404',
    file: { body: bytes, fault: { kind: 'answer', status: 404 } },
    ends: { reason: 'SourceNotFound', says: /responded with 404/ },
  },
  {
    fault: '401',
    file: { body: bytes, fault: { kind: 'answer', status: 401 } },
    ends: { reason: 'SourceForbidden', says: /responded with 401/ },
  },
  { fault: '500 twice, then fine', file: { body: bytes, fault: { kind: 'answer', status: 500 }, times: 2 } },
  ...resets.flatMap((byte): Row[] => [
    {
      fault: `reset at byte ${byte} every time`,
      file: { body: bytes, ranges: false, fault: { kind: 'resetAt', byte } },
      ends: broken(/./),
    },
    { fault: `reset at byte ${byte} once`, file: { body: bytes, fault: { kind: 'resetAt', byte }, times: 1 } },
  ]),
  {
    fault: 'stall',
    file: { body: bytes, fault: { kind: 'stallAt', byte: at(0.5) } },
    ends: { reason: 'SourceStalled', says: /fewer than 65536 bytes/ },
  },
  {
    fault: 'no response',
    file: { body: bytes, fault: { kind: 'never-answers' } },
    ends: { reason: 'SourceSilent', says: /did not respond/ },
  },
  {
    fault: 'drip',
    file: { body: bytes, fault: { kind: 'drip', bytesPerSecond: 2048 } },
    ends: { reason: 'SourceStalled', says: /fewer than 65536 bytes/ },
  },
  {
    fault: 'a cut file with the right headers',
    file: { body: bytes, fault: { kind: 'short', bytes: at(0.5) } },
    ends: { reason: 'DigestMismatch', says: /the declared digest/ },
  },
  {
    fault: 'longer than it says',
    file: { body: bytes, contentLength: size - 1000 },
    ends: { reason: 'DigestMismatch', says: /the declared digest/ },
  },
  {
    fault: 'a file that changes in the middle',
    file: {
      body: bytes,
      faults: [
        { kind: 'resetAt', byte: at(0.5) },
        ...Array(9).fill({ kind: 'instead', file: { body: raw(size, 'other'), etag: '"other"' } }),
      ],
    },
    ends: { reason: 'DigestMismatch', says: /the declared digest/ },
  },
  {
    fault: 'a bomb',
    file: { body: bomb },
    ends: { reason: 'CompressionBomb', says: /zstd/ },
  },
  {
    fault: 'a damaged compressed file',
    file: { body: zstdCompressSync(bytes).subarray(0, -9) },
    ends: { reason: 'CompressionInvalid', says: /zstd/ },
  },
  {
    fault: 'wrong digest',
    file: { body: bytes },
    digest: digestOf(raw(size, 'other'), 'sha512'),
    ends: { reason: 'DigestMismatch', says: /the declared digest/ },
  },
  {
    fault: 'wrong format',
    file: { body: bytes },
    diskFormat: 'qcow2',
    ends: { reason: 'FormatMismatch', says: /qcow2/ },
  },
  unsafe('qcow2 with a backing file', qcow2(2 ** 20, { backingFile: '/etc/passwd' }), 'qcow2', /backing file/),
  unsafe('qcow2 with a data file', qcow2(2 ** 20, { dataFile: '/etc/passwd' }), 'qcow2', /data file/),
  unsafe('vmdk with its data elsewhere', vmdkElsewhere(), 'vmdk', /./),
  {
    fault: 'a disk larger than minDiskGiB',
    file: { body: qcow2(3 * 2 ** 30) },
    diskFormat: 'qcow2',
    image: { minDiskGiB: 2 },
    ends: { reason: 'MinDiskTooSmall', says: /3/ },
  },
  {
    fault: 'a disk larger than is allowed',
    file: { body: qcow2(6 * 2 ** 40) },
    diskFormat: 'qcow2',
    ends: { reason: 'VirtualSizeExceeded', says: /./ },
  },
];

/** Large enough to take a while, small enough to end within the stalls of the other sources. */
export const healthy = generated(4 * 2 ** 20, 'healthy');

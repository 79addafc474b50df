/**
 * Small images of every format that the inspection knows, made by the specifications of the formats, each with one
 * defect.
 *
 * Invariant: equal arguments give equal bytes.
 */
import { gpt } from '../../env/images.ts';

const sector = 512;
export const mib = 2 ** 20;

type Part = readonly [offset: number, bytes: string | Buffer];

/** `length` bytes of zero with `parts` written at their offsets. */
export function file(length: number, ...parts: readonly Part[]): Buffer {
  return patched(Buffer.alloc(length), ...parts);
}

/** A copy with `parts` written over it. Text is one byte a character. */
export function patched(image: Buffer, ...parts: readonly Part[]): Buffer {
  const copy = Buffer.from(image);
  for (const [offset, bytes] of parts) Buffer.from(bytes.toString('latin1'), 'latin1').copy(copy, offset);
  return copy;
}

export const le = (bytes: 2 | 4 | 8, value: number | bigint): Buffer => number(bytes, value).reverse();
export const be = (bytes: 2 | 4 | 8, value: number | bigint): Buffer => number(bytes, value);

function number(bytes: number, value: number | bigint): Buffer {
  const hex = BigInt.asUintN(bytes * 8, BigInt(value)).toString(16);
  return Buffer.from(hex.padStart(bytes * 2, '0'), 'hex');
}

export const descriptor = (kind: string, extent = 'RW 4096 SPARSE "disk.vmdk"', more = ''): string =>
  `# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="${kind}"\n${more}\n` +
  `# Extent description\n${extent}\n\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = "4"\nddb.adapterType = "ide"\n`;

export interface VmdkOptions {
  version?: number;
  /** In sectors. */
  capacity?: number;
  text?: string | Buffer;
  /** The length of the descriptor as stated in the header. */
  descriptorSectors?: number | bigint;
  descriptorSector?: number;
  /** The image is stream-optimised: with a footer, to which `footer` is done. */
  footer?: (footer: Buffer) => Buffer;
  length?: number;
}

/** A VMDK of one file, without data. */
export function vmdk(options: VmdkOptions = {}): Buffer {
  const { version = 1, capacity = 4096, descriptorSectors = 20, descriptorSector = 1, footer } = options;
  const { text = descriptor(footer === undefined ? 'monolithicSparse' : 'streamOptimized'), length = 128 * 1024 } =
    options;
  const header = (grainDirectory: number | bigint) =>
    file(
      sector,
      [0, 'KDMV'],
      [4, le(4, version)],
      [8, le(4, 3)],
      [12, le(8, capacity)],
      [20, le(8, 128)],
      [28, le(8, descriptorSector)],
      [36, le(8, descriptorSectors)],
      [44, le(4, 512)],
      [56, le(8, grainDirectory)],
      [64, le(8, 128)],
    );
  const image = file(length, [0, header(footer === undefined ? 26 : -1)], [sector, text]);
  if (footer === undefined) return image;
  const marker = file(sector, [0, le(8, 1)], [12, le(4, 3)]);
  const end = footer(Buffer.concat([marker, header(200), Buffer.alloc(sector)]));
  return Buffer.concat([image, end]);
}

/** A dynamic VHD. `kind`: 2 fixed, 3 dynamic, 4 differencing. Sizes in bytes. */
export function vhd({
  kind = 3,
  original = 8 * mib,
  current,
}: {
  kind?: number;
  original?: number;
  current?: number;
} = {}) {
  return file(
    64 * 1024,
    [0, 'conectix'],
    [8, be(4, 2)],
    [12, be(4, 0x10000)],
    [16, be(8, 512)],
    [40, be(8, original)],
    [48, be(8, current ?? original)],
    [60, be(4, kind)],
    [512, 'cxsparse'],
  );
}

/** A fixed VHD: a raw disk with a footer. */
export function fixedVhd(size = mib): Buffer {
  return Buffer.concat([Buffer.alloc(size), vhd({ kind: 2, original: size }).subarray(0, sector)]);
}

export function vdi({ kind = 1, size = 16 * mib } = {}): Buffer {
  return file(
    mib,
    [0, '<<< Oracle VM VirtualBox Disk Image >>>\n'],
    [0x40, '\x7f\x10\xda\xbe'],
    [0x44, le(4, 0x10001)],
    [0x48, le(4, 400)],
    [0x4c, le(4, kind)],
    [0x154, le(4, 512)],
    [0x158, le(4, 1024)],
    [0x168, le(4, sector)],
    [0x170, le(8, size)],
    [0x178, le(4, mib)],
    [0x180, le(4, size / mib)],
  );
}

/** As they lie in the file. */
const guids = {
  bat: '6677c22d23f600429d64115e9bfd4a08',
  metadata: '06a27c8b90479a4bb8fe575f050f886e',
  fileParameters: '3767a1ca36fa434db3b633f0aa44e76b',
  diskSize: '2442a52f1bcd7648b2115dbed83bf4b8',
};
const guid = (name: keyof typeof guids) => Buffer.from(guids[name], 'hex');

export interface VhdxOptions {
  size?: number;
  hasParent?: boolean;
  /** Where the metadata region lies. */
  region?: number;
  /** Within that. */
  parametersAt?: number;
  /** Further entries of the region table and of the metadata table, and how long those say that they are. */
  regions?: Buffer[];
  items?: Buffer[];
}

export const regionEntry = (offset: number) =>
  file(32, [0, guid('metadata')], [16, le(8, offset)], [24, le(4, mib)], [28, le(4, 1)]);
export const diskSizeEntry = (offset: number, length = 8) =>
  file(32, [0, guid('diskSize')], [16, le(4, offset)], [20, le(4, length)], [24, le(4, 6)]);

export function vhdx(options: VhdxOptions = {}): Buffer {
  const { size = 32 * mib, hasParent = false, region = mib, parametersAt = 65536, regions, items } = options;
  const bat = file(32, [0, guid('bat')], [16, le(8, 3 * mib)], [24, le(4, mib)], [28, le(4, 1)]);
  const table = [bat, ...(regions ?? [regionEntry(region)])];
  const parameters = file(32, [0, guid('fileParameters')], [16, le(4, parametersAt)], [20, le(4, 8)], [24, le(4, 4)]);
  const metadata = [parameters, ...(items ?? [diskSizeEntry(65536 + 8)])];
  return file(
    region + mib,
    [0, 'vhdxfile'],
    [192 * 1024, 'regi'],
    [192 * 1024 + 8, le(4, table.length)],
    [192 * 1024 + 16, Buffer.concat(table)],
    [region, 'metadata'],
    [region + 10, le(2, metadata.length)],
    [region + 32, Buffer.concat(metadata)],
    [region + parametersAt, Buffer.concat([le(4, mib), le(4, hasParent ? 2 : 0)])],
    [region + 65544, le(8, size)],
  );
}

/** `blocks` of 2 KiB are what the volume says of itself. */
export function iso({ signature = 'CD001', blocks = 32, type = 1, length = 64 * 1024 } = {}): Buffer {
  return file(
    length,
    [32768, `${String.fromCharCode(type)}${signature}\x01`],
    [32768 + 80, Buffer.concat([le(4, blocks), be(4, blocks)])],
    [32768 + 128, Buffer.concat([le(2, 2048), be(2, 2048)])],
  );
}

/** An ISO image that boots from a disk too. */
export function hybridIso(): Buffer {
  return patched(iso(), [0, gpt(64 * 1024).subarray(0, 1024)]);
}

export function luks({ version = 1, payloadSectors = 8 } = {}): Buffer {
  return file(
    64 * 1024,
    [0, 'LUKS\xba\xbe'],
    [6, be(2, version)],
    [8, 'aes'],
    [40, 'xts-plain64'],
    [72, 'sha256'],
    [104, be(4, payloadSectors)],
    [108, be(4, 64)],
  );
}

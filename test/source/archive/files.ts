/** Archives: from tar, zip and Python's modules, and, for what no tool writes, built by hand. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';

/** The output of a command in a folder with these files. A command that names `OUT` writes its archive there. */
export function packed(files: Record<string, Uint8Array>, command: string, ...args: string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'archive-'));
  try {
    for (const [name, data] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, 'in', name)), { recursive: true });
      writeFileSync(join(folder, 'in', name), data);
    }
    const out = join(folder, 'out.zip');
    const options = { cwd: join(folder, 'in'), maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'pipe'] as const };
    const written = execFileSync(
      command,
      args.map((arg) => arg.replace('OUT', out)),
      { ...options, stdio: [...options.stdio] },
    );
    return args.some((arg) => arg.includes('OUT')) ? readFileSync(out) : written;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a script of Python that has `out`, the path of its archive. */
export function python(script: string, files: Record<string, Uint8Array> = {}): Buffer {
  return packed(files, 'python3', '-c', `import io,sys,tarfile,zipfile\nout=sys.argv[1]\n${script}`, 'OUT');
}

export interface TarEntry {
  name?: string | Buffer;
  type?: string;
  data?: Uint8Array;
  /** The field as it is, instead of the right one. */
  size?: string | Buffer;
  /** Fields by their offsets, before the checksum is computed. */
  fields?: Record<number, string>;
  checksum?: string;
}

/** A header of ustar, its data and its padding. */
export function tarEntry({ name = 'disk.raw', type = '0', data = Buffer.alloc(0), ...rest }: TarEntry): Buffer {
  const header = Buffer.alloc(512);
  const put = (value: string | Buffer, at: number) => Buffer.from(value).copy(header, at);
  put(name, 0);
  put('0000644\0', 100);
  put('0000000\0', 108);
  put('0000000\0', 116);
  put(rest.size ?? `${data.length.toString(8).padStart(11, '0')}\0`, 124);
  put('00000000000\0', 136);
  put('        ', 148);
  put(type, 156);
  put('ustar\x0000', 257);
  for (const [at, value] of Object.entries(rest.fields ?? {})) put(value, Number(at));
  const sum = header.reduce((all, byte) => all + byte, 0);
  put(rest.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, data, Buffer.alloc(-data.length & 511)]);
}

export const tarEnd = Buffer.alloc(1024);

export function tar(...entries: (TarEntry | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map((each) => (Buffer.isBuffer(each) ? each : tarEntry(each))), tarEnd]);
}

/** A pax record with its own length. */
export function paxRecord(keyword: string, value: string): string {
  const rest = Buffer.byteLength(` ${keyword}=${value}\n`);
  const length = [1, 2, 3, 4, 5, 6].find((digits) => String(rest + digits).length === digits) ?? 0;
  return `${rest + length} ${keyword}=${value}\n`;
}

export function pax(records: string, type = 'x'): TarEntry {
  return { name: 'PaxHeaders/disk.raw', type, data: Buffer.from(records) };
}

export interface ZipEntry {
  name?: string | Buffer;
  data?: Uint8Array;
  method?: number;
  flags?: number;
  extra?: Buffer;
  /** Instead of the compressed data. */
  raw?: Buffer;
  /** What the header in front states, instead of the truth. */
  local?: { crc?: number; compressed?: number; size?: number; name?: string };
  /** What the directory states, instead of the truth. */
  listed?: {
    crc?: number;
    compressed?: number;
    size?: number;
    name?: string;
    offset?: number;
    method?: number;
    extra?: Buffer;
  };
  /** After the data. */
  descriptor?: Buffer;
  attributes?: number;
  isListed?: boolean;
}

export function zip(
  entries: readonly ZipEntry[],
  change: { count?: number; start?: number; comment?: string } = {},
): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const each of entries) {
    const { data = Buffer.alloc(0), method = 8, flags = 0, extra = Buffer.alloc(0), local = {}, listed = {} } = each;
    const name = Buffer.from(each.name ?? 'disk.raw');
    const raw = each.raw ?? (method === 8 ? deflateRawSync(data) : Buffer.from(data));
    const right = { crc: crc32(data), compressed: raw.length, size: data.length };
    const fixed = (front: { crc: number; compressed: number; size: number }) => {
      const bytes = Buffer.alloc(26);
      bytes.writeUInt16LE(20, 0);
      bytes.writeUInt16LE(flags, 2);
      bytes.writeUInt16LE(method, 4);
      bytes.writeUInt32LE(front.crc, 10);
      bytes.writeUInt32LE(front.compressed, 14);
      bytes.writeUInt32LE(front.size, 18);
      bytes.writeUInt16LE(name.length, 22);
      return bytes;
    };
    const zero = (flags & 8) === 0 ? {} : { crc: 0, compressed: 0, size: 0 };
    const head = fixed({ ...right, ...zero, ...local });
    head.writeUInt16LE(extra.length, 24);
    const localName = local.name === undefined ? name : Buffer.from(local.name);
    head.writeUInt16LE(localName.length, 22);
    const file = Buffer.concat([
      Buffer.from('PK\x03\x04'),
      head,
      localName,
      extra,
      raw,
      each.descriptor ?? Buffer.alloc(0),
    ]);
    files.push(file);
    if (each.isListed !== false) {
      const entry = fixed({ ...right, ...listed });
      const listedExtra = listed.extra ?? Buffer.alloc(0);
      const listedName = listed.name === undefined ? name : Buffer.from(listed.name);
      if (listed.method !== undefined) entry.writeUInt16LE(listed.method, 4);
      entry.writeUInt16LE(listedName.length, 22);
      entry.writeUInt16LE(listedExtra.length, 24);
      const tail = Buffer.alloc(14);
      tail.writeUInt32LE(each.attributes ?? 0, 6);
      tail.writeUInt32LE(listed.offset ?? at, 10);
      // Made by unix, version 3.0.
      directory.push(Buffer.from('PK\x01\x02'), Buffer.of(30, 3), entry, tail, listedName, listedExtra);
    }
    at += file.length;
  }
  const comment = Buffer.from(change.comment ?? '');
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  const count = change.count ?? entries.filter(({ isListed }) => isListed !== false).length;
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(change.start ?? at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...files, listing, end, comment]);
}

/** An extra field. */
export function extraField(id: number, data: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(id, 0);
  head.writeUInt16LE(data.length, 2);
  return Buffer.concat([head, data]);
}

export function u64(...values: (number | bigint)[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 8 * index);
  return bytes;
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index);
  return bytes;
}

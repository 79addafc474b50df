/**
 * The outer layers of OpenPGP (RFC 9580): armour, packets, and numbers of any length.
 *
 * Guarantees: bounded in bytes and packets; nothing is read beyond the end of what encloses it; no exception leaves this file.
 */

export interface Packet {
  tag: number;
  body: Buffer;
}

/** A file with keys or signatures that is longer is rejected. A key with many signatures of others has 100 KiB. */
export const mostKeyBytes = 2 ** 20;
const mostPackets = 5000;

const beginLine = /^-----BEGIN PGP (?:PUBLIC KEY BLOCK|SIGNATURE)-----$/;
const endLine = /^-----END PGP (?:PUBLIC KEY BLOCK|SIGNATURE)-----$/;

/** The packets of a file, armoured or binary; undefined if it is neither. Several armoured blocks add up. */
export function readPackets(file: Uint8Array): Packet[] | undefined {
  if (file.byteLength > mostKeyBytes || file.byteLength === 0) return undefined;
  const bytes = Buffer.from(file);
  // The first bit of every packet is set, and armour is ASCII.
  const isBinary = (bytes[0] ?? 0) >= 0x80;
  return packetsIn(isBinary ? bytes : dearmoured(bytes.toString('latin1')));
}

function dearmoured(text: string): Buffer | undefined {
  const blocks: Buffer[] = [];
  const lines = text.split('\n').map((line) => line.trim());
  for (let at = 0; at < lines.length; at++) {
    if (!beginLine.test(lines[at] ?? '')) continue;
    const end = lines.findIndex((line, index) => index > at && endLine.test(line));
    const blank = lines.findIndex((line, index) => index > at && (line === '' || !line.includes(': ')));
    if (end === -1 || blank === -1 || blank > end) return undefined;
    // The line with = is a checksum that adds nothing to the signatures inside.
    const data = lines.slice(blank, end).filter((line) => !line.startsWith('='));
    if (!data.every((line) => /^[A-Za-z0-9+/]*={0,2}$/.test(line))) return undefined;
    blocks.push(Buffer.from(data.join(''), 'base64'));
    at = end;
  }
  return blocks.length === 0 ? undefined : Buffer.concat(blocks);
}

function packetsIn(bytes: Buffer | undefined): Packet[] | undefined {
  if (bytes === undefined) return undefined;
  const packets: Packet[] = [];
  const reader = readerOf(bytes);
  while (!reader.isAtEnd()) {
    if (packets.length === mostPackets) return undefined;
    const header = reader.number(1);
    if (header === undefined || header < 0x80) return undefined;
    const isNew = (header & 0x40) !== 0;
    const length = isNew ? newLength(reader) : oldLength(reader, header & 3);
    const body = length === undefined ? undefined : reader.bytes(length);
    if (body === undefined) return undefined;
    packets.push({ tag: isNew ? header & 0x3f : (header >> 2) & 0xf, body });
  }
  return packets;
}

/** Lengths in parts are for data that is encrypted or compressed, and not accepted. */
function newLength(reader: PacketReader): number | undefined {
  const first = reader.number(1);
  if (first === undefined || first < 192) return first;
  if (first === 255) return reader.number(4);
  if (first >= 224) return undefined;
  const second = reader.number(1);
  return second === undefined ? undefined : (first - 192) * 256 + second + 192;
}

/** A packet of indeterminate length (3) is not accepted either. */
function oldLength(reader: PacketReader, kind: number): number | undefined {
  return kind === 3 ? undefined : reader.number(1 << kind);
}

export interface PacketReader {
  isAtEnd(): boolean;
  /** Of this many bytes; undefined where fewer are left. */
  number(size: 1 | 2 | 4 | number): number | undefined;
  bytes(length: number): Buffer | undefined;
  /** A number with its length in bits in front, without leading zeros. */
  integer(): Buffer | undefined;
  rest(): Buffer;
}

export function readerOf(bytes: Buffer): PacketReader {
  let at = 0;
  const reader: PacketReader = {
    isAtEnd: () => at >= bytes.length,
    number(size) {
      const part = reader.bytes(size);
      return part === undefined ? undefined : part.readUIntBE(0, size);
    },
    bytes(length) {
      if (length > bytes.length - at) return undefined;
      const part = bytes.subarray(at, at + length);
      at += length;
      return part;
    },
    integer() {
      const bits = reader.number(2);
      return bits === undefined ? undefined : reader.bytes(Math.ceil(bits / 8));
    },
    rest: () => reader.bytes(bytes.length - at) ?? Buffer.alloc(0),
  };
  return reader;
}

/** `part` of a signature packet or of a key packet: type, content, and whether it must be understood. */
export interface Subpacket {
  type: number;
  isCritical: boolean;
  content: Buffer;
}

/** Undefined if the area is malformed. */
export function readSubpackets(area: Buffer): Subpacket[] | undefined {
  const subpackets: Subpacket[] = [];
  const reader = readerOf(area);
  while (!reader.isAtEnd()) {
    const first = reader.number(1);
    if (first === undefined) return undefined;
    const length = first < 192 ? first : first === 255 ? reader.number(4) : twoByteLength(first, reader.number(1));
    const body = length === undefined || length === 0 ? undefined : reader.bytes(length);
    if (body === undefined) return undefined;
    const type = body[0] ?? 0;
    subpackets.push({ type: type & 0x7f, isCritical: (type & 0x80) !== 0, content: body.subarray(1) });
  }
  return subpackets;
}

function twoByteLength(first: number, second: number | undefined): number | undefined {
  return second === undefined ? undefined : (first - 192) * 256 + second + 192;
}

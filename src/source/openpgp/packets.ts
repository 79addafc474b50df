/**
 * Files of OpenPGP as far as they are bounded: armour, and where each packet begins and ends. OpenPGP.js reads what is in them; it is
 * loaded only where a signature is declared.
 *
 * Guarantees: a file is bounded in bytes, blocks, packets and the length of its signatures before the library reads a part of it; no exception leaves this file.
 */

export const library = () => import('openpgp');
export type Library = Awaited<ReturnType<typeof library>>;

export interface Packet {
  tag: number;
  /** With its header. */
  bytes: Buffer;
}

export const signatureTag = 2;

/** A file with keys or signatures that is longer is rejected. A key with many signatures of others has 100 KiB. */
export const mostKeyBytes = 2 ** 20;
const mostPackets = 5000;
/** Signatures have less than 1 KiB. The library reads those inside of others by recursion, and copies each. */
const longestSignature = 32 * 1024;
const mostBlocks = 64;
/** Of one block. GnuPG writes at most a version and comments. */
const mostHeaderLines = 64;

const beginLine = /^-----BEGIN PGP (?:PUBLIC KEY BLOCK|SIGNATURE)-----$/;
const endLine = /^-----END PGP (?:PUBLIC KEY BLOCK|SIGNATURE)-----$/;

/** The packets of a file, armoured or binary; undefined if it is neither. Several armoured blocks add up. */
export async function readPackets(file: Uint8Array): Promise<Packet[] | undefined> {
  if (file.byteLength > mostKeyBytes || file.byteLength === 0) return undefined;
  const bytes = Buffer.from(file);
  // The first bit of every packet is set, and armour is ASCII.
  const isBinary = (bytes[0] ?? 0) >= 0x80;
  const binary = isBinary ? bytes : await dearmoured(bytes.toString('latin1'));
  return binary === undefined ? undefined : packetsIn(binary);
}

/** The library reads one block. */
async function dearmoured(text: string): Promise<Buffer | undefined> {
  const blocks = blocksIn(text.split('\n').map((line) => line.trim()));
  if (blocks === undefined || blocks.length === 0) return undefined;
  const { unarmor } = await library();
  const parts: Uint8Array[] = [];
  for (const block of blocks) {
    const data: unknown = await unarmor(block).then(
      (read) => read.data,
      () => undefined,
    );
    if (!(data instanceof Uint8Array)) return undefined;
    parts.push(data);
  }
  return Buffer.concat(parts);
}

function blocksIn(lines: readonly string[]): string[] | undefined {
  const blocks: string[] = [];
  let begin: number | undefined;
  for (const [at, line] of lines.entries()) {
    if (beginLine.test(line)) {
      if (begin !== undefined || blocks.length === mostBlocks) return undefined;
      begin = at;
    } else if (endLine.test(line) && begin !== undefined) {
      if (lines.indexOf('', begin) > begin + mostHeaderLines) return undefined;
      blocks.push(`${lines.slice(begin, at + 1).join('\n')}\n`);
      begin = undefined;
    }
  }
  return begin === undefined ? blocks : undefined;
}

function packetsIn(bytes: Buffer): Packet[] | undefined {
  const packets: Packet[] = [];
  for (let at = 0; at < bytes.length; ) {
    const header = headerAt(bytes, at);
    if (header === undefined || header.end > bytes.length || packets.length === mostPackets) return undefined;
    if (header.tag === signatureTag && header.end - at > longestSignature) return undefined;
    packets.push({ tag: header.tag, bytes: bytes.subarray(at, header.end) });
    at = header.end;
  }
  return packets;
}

/** Lengths in parts, and those that are not known, are for data that is encrypted or compressed, and not accepted. */
function headerAt(bytes: Buffer, at: number): { tag: number; end: number } | undefined {
  const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 3);
  if (first < 0x80) return undefined;
  const isNew = (first & 0x40) !== 0;
  const tag = isNew ? first & 0x3f : (first >> 2) & 0xf;
  const long = (from: number, size: number) => {
    const begin = at + from + size;
    return begin > bytes.length ? undefined : { tag, end: begin + bytes.readUIntBE(at + from, size) };
  };
  if (!isNew) return (first & 3) === 3 ? undefined : long(1, 1 << (first & 3));
  if (second < 192) return long(1, 1);
  if (second < 224) return { tag, end: at + 3 + (second - 192) * 256 + third + 192 };
  return second === 255 ? long(2, 4) : undefined;
}

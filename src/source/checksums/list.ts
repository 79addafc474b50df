/**
 * The layouts in which publishers list the digests of their files: lines of GNU and BSD tools, sections by algorithm, a digest alone,
 * and any of them in a signed text.
 *
 * Guarantees: pure, and bounded in bytes, lines and the length of a line; of a clearsigned text only what the signature covers is
 * read; a digest whose length does not fit its algorithm is never an entry.
 */
import { withoutEnd } from '../../lib/trim.ts';
import { type Clearsigned, type ClearsignedBlock, readClearsigned } from '../openpgp/cleartext.ts';

/** By strength. Glance and the API have no sha224. */
const hexLength = { md5: 32, sha1: 40, sha224: 56, sha256: 64, sha384: 96, sha512: 128 } as const;
type ListedAlgorithm = keyof typeof hexLength;

export interface ListedDigest {
  algorithm: ListedAlgorithm;
  /** Lower case. */
  hex: string;
}

export interface ListedFile extends ListedDigest {
  /** As listed, without a leading `./`. */
  name: string;
}

/** A line that names a file, with a value that is not usable. */
export interface UnusableLine {
  name: string;
  why: 'length' | 'algorithm';
  /** The name of the algorithm, if the line or its section has one. */
  algorithm: string | undefined;
}

export interface ChecksumList {
  files: ListedFile[];
  /** Digests without a name. */
  bare: ListedDigest[];
  unusable: UnusableLine[];
}

export type ListFault =
  | { fault: 'bytes' | 'lines' | 'line'; most: number }
  | { fault: 'html' | 'json' | 'empty' | 'noDigests' | 'notText' }
  | { fault: 'signature'; why: string };

export const listBounds = { bytes: 2 ** 20, lines: 20_000, line: 4096 } as const;
/** Each value of an index may be on a line of its own. */
const mostSignedLines = 200_000;

export type ReadList = ({ ok: true } & ChecksumList) | ({ ok: false } & ListFault);

export function readList(bytes: Uint8Array): ReadList {
  if (bytes.byteLength > listBounds.bytes) return { ok: false, fault: 'bytes', most: listBounds.bytes };
  const text = decoded(bytes);
  if (text === undefined) return { ok: false, fault: 'notText' };
  const lines = linesOf(text);
  if (!Array.isArray(lines)) return { ok: false, ...lines };
  const clearsigned = readClearsigned(lines);
  switch (clearsigned.kind) {
    case 'broken':
      return { ok: false, fault: 'signature', why: clearsigned.why };
    case 'signed':
      return readLines(clearsigned.blocks.map((block) => block.lines));
    case 'plain':
      return readLines([lines]);
  }
}

export type SignedText =
  | { kind: 'signed'; blocks: ClearsignedBlock[]; covered: Uint8Array }
  | Exclude<Clearsigned, { kind: 'signed' }>;

/** Of any length that its caller has accepted, because an index may be longer than a list. */
export function signedTextOf(bytes: Uint8Array): SignedText {
  const lines = decoded(bytes)?.split('\n', mostSignedLines + 1) ?? [];
  const read = readClearsigned(lines.slice(0, mostSignedLines));
  if (read.kind === 'plain') return read;
  if (lines.length > mostSignedLines) return { kind: 'broken', why: `it has more than ${mostSignedLines} lines` };
  if (read.kind === 'broken') return read;
  const covered = Buffer.from(read.blocks.flatMap((block) => block.lines).join('\n'));
  return { kind: 'signed', blocks: read.blocks, covered };
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

function linesOf(text: string): string[] | ListFault {
  const lines = text.split('\n', listBounds.lines + 2).map((line) => withoutEnd(line, ' \t\r'));
  if (lines.at(-1) === '') lines.pop();
  if (lines.length > listBounds.lines) return { fault: 'lines', most: listBounds.lines };
  const first = lines.find((line) => line !== '')?.trimStart() ?? '';
  if (/^<(?:!--|(?:!doctype|html|head|\?xml)\b)/i.test(first)) return { fault: 'html' };
  if (/^[[{]/.test(first)) return { fault: 'json' };
  if (first === '') return { fault: 'empty' };
  if (lines.some(({ length }) => length > listBounds.line)) return { fault: 'line', most: listBounds.line };
  return lines;
}

function readLines(blocks: readonly (readonly string[])[]): ReadList {
  const read = blocks.flatMap(readBlock);
  if (read.length === 0) return { ok: false, fault: 'noDigests' };
  return {
    ok: true,
    files: read.flatMap((line) => (line.kind === 'file' ? [line.file] : [])),
    bare: read.flatMap((line) => (line.kind === 'bare' ? [line.digest] : [])),
    unusable: read.flatMap((line) => (line.kind === 'unusable' ? [line.line] : [])),
  };
}

type Line =
  | { kind: 'file'; file: ListedFile }
  | { kind: 'bare'; digest: ListedDigest }
  | { kind: 'unusable'; line: UnusableLine };

function readBlock(lines: readonly string[]): Line[] {
  const read: Line[] = [];
  let section: string | undefined;
  for (const line of lines) {
    const header = /^#\s*([\w/-]+)\s+HASH$/i.exec(line)?.[1];
    if (header !== undefined) section = header;
    if (line.startsWith('#')) continue;
    const entry = bsdLine(line) ?? gnuLine(line, section) ?? bareLine(line, section);
    if (entry !== undefined) read.push(entry);
  }
  return read;
}

/** `SHA256 (name) = hex`. The name reaches to the last parenthesis. */
function bsdLine(line: string): Line | undefined {
  const [, algorithm, name, hex] = /^\s*([A-Za-z][\w/-]*)\s*\((.+)\)\s*=\s*([0-9A-Fa-f]+)$/.exec(line) ?? [];
  if (algorithm === undefined || name === undefined || hex === undefined) return undefined;
  // Sizes are listed in the same form.
  return /^size$/i.test(algorithm) ? undefined : entryOf(name, algorithm, hex);
}

/** `hex  name`, `hex *name`; a backslash in front announces escapes in the name. */
function gnuLine(line: string, section: string | undefined): Line | undefined {
  const [, escaped, hex, name] = /^(\\?)([0-9A-Fa-f]{24,})[ \t]+\*?([^ \t*].*|\*.+)$/.exec(line) ?? [];
  if (hex === undefined || name === undefined) return undefined;
  return entryOf(escaped === '' ? name : unescaped(name), section, hex);
}

/** `hex` or `algorithm:hex`, alone on its line. */
function bareLine(line: string, section: string | undefined): Line | undefined {
  const [, algorithm, hex] = /^\s*(?:([A-Za-z][\w-]*):)?([0-9A-Fa-f]{24,})$/.exec(line) ?? [];
  const digest = hex === undefined ? undefined : digestIn(algorithm ?? section, hex);
  return typeof digest === 'object' ? { kind: 'bare', digest } : undefined;
}

function entryOf(listed: string, algorithm: string | undefined, hex: string): Line {
  const name = listed.replace(/^\.\//, '');
  const digest = digestIn(algorithm, hex);
  return typeof digest === 'object'
    ? { kind: 'file', file: { ...digest, name } }
    : { kind: 'unusable', line: { name, why: digest, algorithm } };
}

function digestIn(named: string | undefined, hex: string): ListedDigest | UnusableLine['why'] {
  const algorithm = named === undefined ? algorithmByLength(hex.length) : algorithmNamed(named);
  if (algorithm === undefined) return named === undefined ? 'length' : 'algorithm';
  return hex.length === hexLength[algorithm] ? { algorithm, hex: hex.toLowerCase() } : 'length';
}

function algorithmByLength(length: number): ListedAlgorithm | undefined {
  return algorithms.find((name) => hexLength[name] === length);
}

/** OpenSSL writes SHA2-256. SHA512/256 and SHA3-256 are other algorithms. */
function algorithmNamed(named: string): ListedAlgorithm | undefined {
  const name = named
    .toLowerCase()
    .replace(/^sha2-/, 'sha')
    .replace(/^sha-/, 'sha');
  return algorithms.find((one) => one === name);
}

const algorithms: readonly ListedAlgorithm[] = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'];

function unescaped(name: string): string {
  const letters: Readonly<Record<string, string>> = { n: '\n', r: '\r', '\\': '\\' };
  return name.replace(/\\([nr\\])/g, (_all, letter: string) => letters[letter] ?? letter);
}

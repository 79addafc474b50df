/**
 * The cleartext framework of OpenPGP (RFC 9580, section 7): which part of a text its signatures cover. It checks no signature.
 *
 * Guarantees: no line in front of, between or behind the signed blocks is covered; a block that does not end is an error, because
 * nothing shows where its text would have ended.
 */
import { withoutEnd } from '../../lib/trim.ts';
export interface ClearsignedBlock {
  /** The lines as they are to be read: without dash escapes and without blanks at their ends. */
  lines: string[];
  /** Of its headers: the hashes that its signatures use, in upper case. Empty if it names none. */
  hashes: string[];
  /** The armoured signature below the text. */
  signature: string;
}

export type Clearsigned =
  | { kind: 'plain' }
  | { kind: 'signed'; blocks: ClearsignedBlock[] }
  | { kind: 'broken'; why: string };

const messageLine = '-----BEGIN PGP SIGNED MESSAGE-----';
const signatureLine = '-----BEGIN PGP SIGNATURE-----';
const endLine = '-----END PGP SIGNATURE-----';

/** Lists have one block. */
const mostBlocks = 16;

/** `lines` without their ends. */
export function readClearsigned(lines: readonly string[]): Clearsigned {
  const blocks: ClearsignedBlock[] = [];
  for (let at = nextOf(lines, messageLine, 0); at !== -1; at = nextOf(lines, messageLine, at)) {
    if (blocks.length === mostBlocks) return broken(`it has more than ${mostBlocks} signed blocks`);
    const blank = lines.findIndex((line, index) => index > at && line.trim() === '');
    const signature = blank === -1 ? -1 : nextOf(lines, signatureLine, blank);
    if (signature === -1) return broken('a signed block does not end');
    const headers = lines.slice(at + 1, blank);
    // A line that is no header could be a part of the text that a reader sees and the signature does not cover.
    if (!headers.every((line) => /^Hash: [\w, /-]+$/.test(line)))
      return broken('a signed block has a header other than Hash');
    const text = lines.slice(blank + 1, signature);
    if (text.includes(messageLine)) return broken('a signed block begins inside another one');
    const end = nextOf(lines, endLine, signature);
    if (end === -1) return broken('a signature does not end');
    blocks.push({
      hashes: headers.flatMap((line) => line.slice('Hash: '.length).toUpperCase().split(/, */)),
      lines: text.map((line) => trimmed(line.startsWith('- ') ? line.slice(2) : line)),
      signature: lines.slice(signature, end + 1).join('\n'),
    });
    at = end;
  }
  return blocks.length === 0 ? { kind: 'plain' } : { kind: 'signed', blocks };
}

/** What the signature of a block is computed over: lines joined by CR LF, without the end of the last one. */
export function signedBytes({ lines }: ClearsignedBlock): Buffer {
  return Buffer.from(lines.join('\r\n'));
}

function nextOf(lines: readonly string[], wanted: string, from: number): number {
  return lines.findIndex((line, index) => index >= from && trimmed(line) === wanted);
}

function trimmed(line: string): string {
  return withoutEnd(line, ' \t\r');
}

function broken(why: string): Clearsigned {
  return { kind: 'broken', why };
}

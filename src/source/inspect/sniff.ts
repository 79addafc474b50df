/**
 * Sniffs the first bytes for content that is no disk image: a page that a server sent in place of the file, a compressed file, or
 * an archive.
 *
 * Invariant: the result only makes an error message clearer, or rejects a file that begins like no disk.
 */
import { blockBytes, isTar } from '../archive/tar-header.ts';
import * as read from './reader.ts';

export interface Sniffed {
  /** With its article: `an HTML page`. */
  page: string | undefined;
  /** How the file is compressed. */
  compression: string | undefined;
  isTar: boolean;
}

const compressions: [name: string, signature: string][] = [
  ['gzip', '\x1f\x8b\x08'],
  ['xz', '\xfd7zXZ\0'],
  ['zstd', '\x28\xb5\x2f\xfd'],
  ['bzip2', 'BZh'],
  ['lz4', '\x04\x22\x4d\x18'],
  ['lzip', 'LZIP'],
  ['zip', 'PK\x03\x04'],
  ['7z', '7z\xbc\xaf\x27\x1c'],
];

export function* sniff(): read.Inspection<Sniffed> {
  const head = yield* read.bytes(0, blockBytes);
  return {
    page: pageOf(head),
    compression: compressions.find(([, signature]) => read.hasAt(head, 0, signature))?.[0],
    isTar: isTar(head),
  };
}

/** Names the kind of text that servers send in place of a file, if the head looks like one. */
function pageOf(head: Buffer): string | undefined {
  const text = head
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  if (/^<(!doctype\s+html|html|head|body)\b/i.test(text)) return 'an HTML page';
  if (/^<(\?xml|error)\b/i.test(text)) return 'an XML document';
  if (/^\{\s*["}]/.test(text) && !text.includes('\0')) return 'a JSON document';
  return undefined;
}

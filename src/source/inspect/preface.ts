/**
 * What the first bytes say when they are no disk image: a page that a server sent in place of the file, or a compressed file or
 * archive that nobody has unpacked. Law: an answer here only ever makes a refusal clearer, or refuses what no disk begins with.
 */
import { bytes, hasAt, type Inspection } from './reader.ts';

export interface Preface {
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

export function* inspectPreface(): Inspection<Preface> {
  const head = yield* bytes(0, 512);
  return {
    page: pageOf(head),
    compression: compressions.find(([, signature]) => hasAt(head, 0, signature))?.[0],
    isTar: hasAt(head, 257, 'ustar'),
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

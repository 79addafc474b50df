/**
 * Finds a file and its digest in an index in JSON, as JSON Pointers for a declaration.
 *
 * Invariant: pure, and bounded: only a digest in the smallest part of the document that
 * has the file and a digest counts, and only if that part names no other file.
 */
import { isJsonObject, type JsonValue } from '../openstack/json.ts';
import { indexDocument } from '../source/checksums/index-file.ts';
import type { FoundIndex } from './drafted.ts';

interface Leaf {
  pointer: string;
  text: string;
}

const mostLeaves = 50_000;
/** In hexadecimal or base64, of sha256 or sha512. */
const digest = /^(?:sha256:|sha512:)?(?:[0-9a-f]{64}|[0-9a-f]{128}|[A-Za-z0-9+/]{43}=?|[A-Za-z0-9+/]{86}(?:==)?)$/i;
const imageFile = /\.(?:qcow2|img|raw|iso|vmdk|vhdx?|vdi|tar|gz|xz|zst|bz2|zip)$/i;

export function pointersIn(bytes: Uint8Array, url: string, file: string): FoundIndex | undefined {
  const document = indexDocument(bytes);
  if (!document.ok) return undefined;
  const leaves = leavesOf(document.value);
  const name = new URL(file).pathname.split('/').at(-1) ?? '';
  const isFile = ({ text }: Leaf) =>
    text === file || URL.parse(text, url)?.href === file || text.split('/').at(-1) === name;
  for (const found of leaves.filter(isFile)) {
    const isOther = (leaf: Leaf) => imageFile.test(leaf.text) && !isFile(leaf);
    for (let entry = parentOf(found.pointer); ; entry = parentOf(entry)) {
      const inside = leaves.filter(({ pointer }) => pointer.startsWith(`${entry}/`));
      // The digests there may be those of other files.
      if (inside.some(isOther)) break;
      const [best] = inside
        .filter(({ text }) => digest.test(text))
        .toSorted((a, b) => b.text.length - a.text.length || (a.pointer < b.pointer ? -1 : 1));
      if (best !== undefined) return { url, file: found.pointer, digest: best.pointer };
      if (entry === '') break;
    }
  }
  return undefined;
}

function parentOf(pointer: string): string {
  return pointer.slice(0, pointer.lastIndexOf('/'));
}

function leavesOf(json: JsonValue): Leaf[] {
  const leaves: Leaf[] = [];
  const visit = (value: JsonValue, pointer: string, depth: number): void => {
    if (leaves.length >= mostLeaves || depth > 32) return;
    if (typeof value === 'string') leaves.push({ pointer, text: value });
    else if (Array.isArray(value))
      for (const [position, one] of value.entries()) visit(one, `${pointer}/${position}`, depth + 1);
    else if (isJsonObject(value))
      for (const [key, one] of Object.entries(value)) visit(one, `${pointer}/${escaped(key)}`, depth + 1);
  };
  visit(json, '', 0);
  return leaves;
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

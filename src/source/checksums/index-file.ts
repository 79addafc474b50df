/**
 * An index in JSON: a file of the publisher that names the URL, the digest and the version of an image. Streams of Fedora CoreOS,
 * Debian's file for each image and Fedora's list of releases are such files.
 *
 * Guarantees: pure; the text is checked against bounds before it is parsed; of several entries the latest version is chosen, and two
 * different ones of that version are an error.
 */
import { describeExcess, excessOf } from '../../http/json-bounds.ts';
import { isJsonObject, type JsonValue, parseJsonWithTexts } from '../../openstack/json.ts';
import { type Digest, digestOf, isWeak } from '../digest.ts';
import { compareVersions, isPattern, matchPattern } from './names.ts';

/** All pointers but `entries` are relative to an entry. */
export interface IndexLayout {
  /** A list of which one entry is the image. Absent: the document is the entry. */
  entries?: string | undefined;
  /** By pointer: the value that the entry must have, or a pattern for it. */
  where?: Readonly<Record<string, string>> | undefined;
  /** The URL of the image, or its path below `base`. */
  file: string;
  base: string;
  digest: string;
  version?: string | undefined;
}

export interface IndexedFile {
  url: string;
  digest: Digest;
  version: string | undefined;
}

export type Found = { ok: true; file: IndexedFile } | { ok: false; why: string };

/** Fedora's list of releases has 1100 values, and the stream of Fedora CoreOS 2000. */
export const indexBounds = { bytes: 4 * 2 ** 20, values: 100_000, depth: 32, text: 65_536 } as const;

/** `why` continues a sentence that begins with the URL of the index. Values appear in it only if the index has a public address. */
export function findInIndex(bytes: Uint8Array, layout: IndexLayout, isPublic: boolean): Found {
  const document = indexDocument(bytes);
  if (!document.ok) return document;
  const shown = (value: string) => (isPublic ? `: ${JSON.stringify(value.slice(0, 200))}` : '');
  const entries = entriesIn(document.value, layout);
  if (entries === undefined) return failed(`has no list at ${layout.entries}: correct the pointer \`entries\``);
  const matching = entries.filter((entry) => fits(entry, layout.where ?? {}));
  if (matching.length === 0)
    return failed(
      entries.length === 0
        ? 'has an empty list of entries'
        : 'has no entry that matches the values of `where`: correct them',
    );
  const files: IndexedFile[] = [];
  for (const entry of matching) {
    const file = fileIn(entry, layout, shown);
    if (!file.ok) return file;
    files.push(file.file);
  }
  return latestOf(files, layout, shown);
}

/** The JSON of an index, within its bounds. Numbers are the texts that the publisher wrote, because a version may be one. */
export function indexDocument(bytes: Uint8Array): { ok: true; value: JsonValue } | { ok: false; why: string } {
  if (bytes.byteLength > indexBounds.bytes)
    return failed(`is longer than ${indexBounds.bytes} bytes, the limit for an index`);
  const text = Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
  const excess = excessOf(text, indexBounds);
  if (excess !== undefined) return failed(describeExcess(excess));
  const value = parseJsonWithTexts(text);
  return value === undefined ? failed('is not JSON, so it is no index') : { ok: true, value };
}

function entriesIn(document: JsonValue, { entries }: IndexLayout): JsonValue[] | undefined {
  if (entries === undefined) return [document];
  const list = valueAt(document, entries);
  if (Array.isArray(list)) return list;
  return isJsonObject(list) ? Object.values(list) : undefined;
}

function fits(entry: JsonValue, where: Readonly<Record<string, string>>): boolean {
  return Object.entries(where).every(([pointer, wanted]) => {
    const text = textOf(valueAt(entry, pointer));
    if (text === undefined) return false;
    if (!isPattern(wanted)) return text === wanted;
    // A star stands for no slash, so a pattern without one is for the last part of a path.
    const compared = wanted.includes('/') ? text : text.slice(text.lastIndexOf('/') + 1);
    return matchPattern(wanted, compared) !== undefined;
  });
}

/** The value at a JSON Pointer (RFC 6901), of what was sent and never of what objects inherit; undefined if there is none. */
function valueAt(root: JsonValue, pointer: string): JsonValue | undefined {
  let value: JsonValue | undefined = root;
  for (const token of pointer.split('/').slice(1)) {
    value = memberOf(value, token.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (value === undefined) return undefined;
  }
  return value;
}

function memberOf(value: JsonValue, name: string): JsonValue | undefined {
  if (Array.isArray(value)) return /^(?:0|[1-9]\d{0,8})$/.test(name) ? value[Number(name)] : undefined;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return value[name];
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function fileIn(entry: JsonValue, layout: IndexLayout, shown: (value: string) => string): Found {
  const [file, digest] = [textOf(valueAt(entry, layout.file)), textOf(valueAt(entry, layout.digest))];
  if (file === undefined) return failed(`has no text at ${layout.file}: correct the pointer \`file\``);
  if (digest === undefined) return failed(`has no text at ${layout.digest}: correct the pointer \`digest\``);
  const url = URL.parse(file, layout.base);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    return failed(`has no usable URL at ${layout.file}${shown(file)}`);
  const read = readDigest(digest);
  if (read === undefined) return failed(`has no digest of a known form at ${layout.digest}${shown(digest)}`);
  if (isWeak(read.algorithm))
    return failed(`has a weak digest (${read.algorithm}) at ${layout.digest}: point to sha256 or sha512`);
  const version = layout.version === undefined ? undefined : textOf(valueAt(entry, layout.version));
  if (layout.version !== undefined && version === undefined)
    return failed(`has no text at ${layout.version}: correct the pointer \`version\``);
  return { ok: true, file: { url: url.href, digest: read, version } };
}

function latestOf(files: readonly IndexedFile[], layout: IndexLayout, shown: (value: string) => string): Found {
  const [first] = files;
  if (first === undefined) return failed('has no entry');
  const latest = files.reduce((best, one) => (compareVersions(one.version ?? '', best.version ?? '') > 0 ? one : best));
  const other = files.find(
    (one) =>
      compareVersions(one.version ?? '', latest.version ?? '') === 0 &&
      (one.digest.hex !== latest.digest.hex || one.url !== latest.url),
  );
  if (other === undefined) return { ok: true, file: latest };
  const remedy = layout.version === undefined ? 'narrow `where`, or declare `version`' : 'narrow `where`';
  return failed(`has several entries that match${shown(`${latest.url}, ${other.url}`)}: ${remedy}`);
}

const byBytes = { 32: 'sha256', 48: 'sha384', 64: 'sha512', 20: 'sha1', 16: 'md5' } as const;

/** Hex or base64, with and without padding; with and without the name of the algorithm in front. */
export function readDigest(text: string): Digest | undefined {
  const [, prefix, value = ''] =
    /^(?:((?:md|sha)\d{1,3})[:-])?([A-Za-z0-9+/_-]{22,128}={0,2})$/i.exec(text.trim()) ?? [];
  const isHex = /^[0-9A-Fa-f]+$/.test(value) && value.length % 8 === 0;
  const bytes = isHex ? Buffer.from(value, 'hex') : Buffer.from(value, 'base64');
  const algorithm = Object.entries(byBytes).find(([length]) => Number(length) === bytes.length)?.[1];
  if (algorithm === undefined || (prefix !== undefined && prefix.toLowerCase() !== algorithm)) {
    return isHex && prefix !== undefined ? fromBase64(prefix, value) : undefined;
  }
  return digestOf(algorithm, bytes.toString('hex'));
}

/** Base64 that consists of hexadecimal digits alone. */
function fromBase64(prefix: string, value: string): Digest | undefined {
  return digestOf(prefix.toLowerCase(), Buffer.from(value, 'base64').toString('hex'));
}

function failed(why: string): { ok: false; why: string } {
  return { ok: false, why };
}

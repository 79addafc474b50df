/**
 * YAML of manifests as kubectl reads it: YAML 1.1, with the numbers of Go.
 *
 * Guarantees: a value is what the API server stores and returns, integers beyond 2^53 included. A text without quotes is a number exactly
 * where go-yaml takes it for one: `0o17`, `017` and `1_5` are, `1:30`, a date and `0x` are not. The content is plain data without cycles.
 */
import { type Document, isNode, isScalar, type Pair, parseAllDocuments, type ScalarTag, type Tags, visit } from 'yaml';
import { describe } from '../lib/errors.ts';

/** Each `_` after the first character is dropped first. Only what begins with a digit or a sign is one. */
const integer =
  /^(?:[-+]_*)?(?:0_*[xX][\da-fA-F_]*[\da-fA-F][\da-fA-F_]*|0_*[oO][0-7_]*[0-7][0-7_]*|0_*[bB][01_]*[01][01_]*|0[0-7_]*|[1-9][\d_]*)$/;
/** Go parses the digits after `0b` with their sign. */
const signedBinary = /^0_*b_*[-+][01_]*[01][01_]*$/;
/** With a digit or a sign at its beginning each `_` is dropped, with a dot none is. */
const float = /^(?:[-+]_*\.[\d_]*\d[\d_]*|(?:[-+]_*)?\d[\d_]*(?:\.[\d_]*)?|\.\d+)(?:[eE]_*[-+]?[\d_]*\d[\d_]*)?$/;

const scalars: ScalarTag[] = [
  { tag: 'tag:yaml.org,2002:binary', resolve: textOfBase64 },
  tagOf('int', integer, integerOf),
  tagOf('int', signedBinary, (text) => integerOf(text.replace(/^0b\+?(-?)/, '$10b'))),
  tagOf('float', float, (text) => floatOf(text)),
];

function tagOf(name: string, test: RegExp, read: (text: string) => unknown): ScalarTag {
  return { tag: `tag:yaml.org,2002:${name}`, default: true, test, resolve: (text) => read(text.replaceAll('_', '')) };
}

/** kubectl sends binary data as text. */
function textOfBase64(text: string, onError: (message: string) => void): string {
  const bare = text.replace(/\s+/g, '');
  if (!/^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/.test(bare)) onError('!!binary is not base64');
  return Buffer.from(bare, 'base64').toString('utf8');
}

const [least, most, mostUnsigned] = [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 64n - 1n];

/** Go keeps 64 bits. The API server returns more as a float. */
function integerOf(text: string): unknown {
  const sign = text.startsWith('-') ? -1n : 1n;
  const digits = text.replace(/^[-+]/, '');
  const value = sign * BigInt(digits.replace(/^0(?=\d)/, '0o'));
  if (value >= least && value <= most) return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  // Only decimal digits can be those of a float.
  const isNumber = /^\d+$/.test(digits) || (sign === 1n && !/^\+/.test(text) && value <= mostUnsigned);
  return isNumber ? floatOf(String(value)) : text;
}

/** As Go writes it in JSON: with all digits below 1e21. */
function floatOf(text: string): unknown {
  const value = Number(text);
  if (!Number.isFinite(value)) return text;
  if (Number.isSafeInteger(value) || !Number.isInteger(value) || Math.abs(value) >= 1e21) return value;
  return BigInt(value.toString());
}

/** For go-yaml a set is a map, and a list with a tag is a list. */
function tagsOfKubectl(tags: Tags): Tags {
  const replaced = ['int', 'float', 'timestamp', 'binary', 'set', 'omap', 'pairs'].map(
    (name) => `tag:yaml.org,2002:${name}`,
  );
  const kept = tags.filter((tag) => typeof tag !== 'string' && (!replaced.includes(tag.tag) || isNaNTag(tag)));
  return [...kept, ...scalars];
}

/** `.nan` and `.inf`, which no JSON has. */
function isNaNTag(tag: Exclude<Tags[number], string>): boolean {
  return 'test' in tag && tag.test?.test('.inf') === true;
}

export type Parsed = { ok: true; content: unknown } | { ok: false; problem: string };

/** One for each document. */
export function readAsKubectl(text: string): Parsed[] {
  const documents = parseAllDocuments(text, { version: '1.1', merge: true, customTags: tagsOfKubectl });
  return Array.isArray(documents) ? documents.map(contentOf) : [];
}

function contentOf(document: Document): Parsed {
  const [problem] = document.errors;
  if (problem !== undefined) return { ok: false, problem: problem.message.split('\n')[0] ?? '' };
  try {
    const content: unknown = document.toJS({ maxAliasCount });
    if (holdsItself(content)) return { ok: false, problem: 'the value of an anchor contains itself' };
    if (!hidesByMerge(document)) return { ok: true, content };
    return { ok: true, content: document.toJS({ maxAliasCount }) };
  } catch (error) {
    return { ok: false, problem: describe(error) };
  }
}

const maxAliasCount = 1000;

/** Each value is visited once, however many aliases lead to it. */
function holdsItself(value: unknown, above = new Set<unknown>(), seen = new Set<unknown>()): boolean {
  if (typeof value !== 'object' || value === null || seen.has(value)) return above.has(value);
  seen.add(value);
  above.add(value);
  const found = Object.values(value).some((one) => holdsItself(one, above, seen));
  above.delete(value);
  return found;
}

/** For go-yaml a merge also replaces the keys before it. Removes those, and returns whether there were any. */
function hidesByMerge(document: Document): boolean {
  let found = false;
  visit(document, {
    Map(_, map) {
      for (const merge of map.items.filter(isMerge)) {
        const merged = namesIn(isNode(merge.value) ? merge.value.toJS(document, { maxAliasCount }) : undefined);
        const hidden = map.items
          .slice(0, map.items.indexOf(merge))
          .filter((pair) => !isMerge(pair) && isScalar(pair.key) && merged.has(String(pair.key.value)));
        if (hidden.length > 0) found = true;
        map.items = map.items.filter((pair) => !hidden.includes(pair));
      }
    },
  });
  return found;
}

function isMerge({ key }: Pair): boolean {
  return isScalar(key) && typeof key.value === 'symbol' && key.value.description === '<<';
}

function namesIn(source: unknown): Set<string> {
  const maps: unknown[] = Array.isArray(source) ? source : [source];
  return new Set(maps.flatMap((map) => (typeof map === 'object' && map !== null ? Object.keys(map) : [])));
}

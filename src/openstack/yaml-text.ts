/**
 * Parses the YAML text of a user.
 *
 * Guarantees: time and memory are bounded for any text; every scalar is read as text, so that a password `0123` and a project id
 * `1234e5` stay unchanged; an error names the file, the line and what to change, and quotes no value.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  type ParsedNode,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml';
import { ConfigurationError } from './errors.ts';

/** Keys to texts, lists and mappings. */
export type Mapping = Record<string, unknown>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Real files have a few KiB. */
const largestFile = 64 * 1024;
/** More aliases than real files have, far fewer than an alias bomb needs. */
const mostAliases = 50;

/** Real files have six levels. Without a bound, the stack would be one. */
const deepest = 32;
const tooDeep: Sentence = { problem: `is nested more than ${deepest} levels deep` };

interface Sentence {
  problem: string;
  advice?: string;
}

/** What the parser reports, where its code would not be a true sentence, or where there is advice. */
const sentences: ReadonlyMap<string, Sentence> = new Map([
  ['MULTIPLE_DOCS', { problem: 'has a second document', advice: 'remove the line --- and what follows it' }],
  ['RESOURCE_EXHAUSTION', tooDeep],
  ['TAB_AS_INDENT', { problem: 'is not YAML: TAB_AS_INDENT', advice: 'indent with blanks' }],
]);

/** Codes of the parser for an unquoted value that is not a value of YAML. */
const unquoted: ReadonlySet<string> = new Set([
  'BAD_ALIAS',
  'BAD_INDENT',
  'BAD_SCALAR_START',
  'BLOCK_AS_IMPLICIT_KEY',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
  'UNEXPECTED_TOKEN',
]);
const quotes = 'put the value in quotes';
/** A value such as `{{ password }}`. */
const braces = `${quotes} if it begins with a brace`;

/**
 * The content of `file`. Mappings on the way along `path`, and everything below its end, must not have a key twice; elsewhere the
 * last one counts, as other tools read it. Throws ConfigurationError.
 */
export function parseYaml(file: string, given: string, path: readonly string[]): unknown {
  if (given.length > largestFile) {
    throw new ConfigurationError('SecretInvalid', `${file} is larger than ${largestFile / 1024} KiB`);
  }
  // YAML reads a carriage return alone as a line break. The parser does not.
  const text = given.replace(/\r\n?/g, '\n');
  const lines = new LineCounter();
  const invalid: Invalid = (problem, offset, advice) => {
    const { line, col } = lines.linePos(offset);
    const hint = advice === undefined ? '' : `: ${advice}`;
    return new ConfigurationError('SecretInvalid', `${file} ${problem} at line ${line}, column ${col}${hint}`);
  };
  // Where bytes are not UTF-8, the text has this character. A password with it would be another one.
  const foreign = text.indexOf('\ufffd');
  if (foreign !== -1) {
    const line = text.slice(0, foreign).split('\n').length;
    throw new ConfigurationError('SecretInvalid', `${file} is not UTF-8 at line ${line}: save it in UTF-8`);
  }
  try {
    const document = parseDocument(text, {
      schema: 'failsafe',
      customTags: ['null', 'merge'],
      // The parser compares each key with all before it, which takes seconds. The checks below are linear.
      uniqueKeys: false,
      prettyErrors: false,
      // Warnings of the parser go to standard error and quote the text.
      logLevel: 'error',
      lineCounter: lines,
    });
    const error = document.errors.find(({ code }) => code === 'RESOURCE_EXHAUSTION') ?? document.errors[0];
    if (error !== undefined) {
      const { problem, advice } = sentenceOf(error.code);
      throw invalid(problem, error.pos[0], advice);
    }
    checkReferences(document, invalid);
    checkAlong(document.contents, path, invalid);
    return document.toJS({ maxAliasCount: mostAliases });
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    // Messages of the library may quote the text. Of what is checked above, only the number of aliases is left to it.
    throw new ConfigurationError(
      'SecretInvalid',
      `${file} cannot be used: its aliases stand for too many values: write them out`,
    );
  }
}

type Invalid = (problem: string, offset: number, advice?: string) => ConfigurationError;

function sentenceOf(code: string): Sentence {
  const sentence = sentences.get(code);
  if (sentence !== undefined) return sentence;
  const problem = `is not YAML: ${code}`;
  return unquoted.has(code) ? { problem, advice: `${quotes} if it contains a special character` } : { problem };
}

/**
 * Keys are texts, aliases refer to anchors outside of which they are, merge keys have mappings, and the depth is bounded. A password
 * that begins with `*` is an alias for YAML.
 */
function checkReferences(document: Document.Parsed, invalid: Invalid): void {
  const anchors = new Map<string, Node>();

  function checkAlias(alias: Alias, path: readonly unknown[]): void {
    const target = anchors.get(alias.source);
    if (target === undefined) throw invalid('has a * without a matching anchor', startOf(alias), quotes);
    if (path.includes(target))
      throw invalid('has a * inside of the value of its own anchor', startOf(alias), 'write the value out');
  }

  function checkPair({ key, value }: Pair): void {
    if (!isScalar(key)) throw invalid('has a key that is not text', isNode(key) ? startOf(key) : 0, braces);
    if (!isMergeKey(key) || isMergeable(value, anchors)) return;
    const advice = 'merge the anchor of a mapping, such as *defaults';
    throw invalid('has a << without a mapping', startOf(isNode(value) ? value : key), advice);
  }

  visit(document, {
    Node(_, node, path) {
      if (isAlias(node)) return checkAlias(node, path);
      if (isCollection(node) && path.filter(isCollection).length >= deepest)
        throw invalid(tooDeep.problem, startOf(node));
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      if (isMap(node)) node.items.forEach(checkPair);
    },
  });
}

function isMergeKey({ value }: Scalar): boolean {
  return typeof value === 'symbol';
}

/** A mapping or a list of them, each also by an alias; those without an anchor are reported as such. */
function isMergeable(value: unknown, anchors: ReadonlyMap<string, Node>): boolean {
  const target = isAlias(value) ? anchors.get(value.source) : value;
  return isSeq(target) ? target.items.every((one) => isMergeableOne(one, anchors)) : isMergeableOne(value, anchors);
}

function isMergeableOne(value: unknown, anchors: ReadonlyMap<string, Node>): boolean {
  if (!isAlias(value)) return isMap(value);
  const target = anchors.get(value.source);
  return target === undefined || isMap(target);
}

function checkAlong(node: ParsedNode | null, path: readonly string[], invalid: Invalid): void {
  const [step, ...rest] = path;
  if (node !== null && step === undefined) checkBelow(node, invalid);
  if (!isMap(node) || step === undefined) return;
  checkKeys(node, invalid);
  const next = node.items.find(({ key }) => isScalar(key) && key.value === step)?.value;
  checkAlong(next ?? null, rest, invalid);
}

function checkBelow(node: Node, invalid: Invalid): void {
  visit(node, {
    Map: (_, map) => checkKeys(map, invalid),
    Scalar(_, { tag, anchor, value, range }) {
      const isEmpty = value === null || value === '';
      const isForeign = tag !== undefined && !tag.startsWith('tag:yaml.org,2002:');
      // `!abc` is a tag without a value, and `&abc` an anchor without one.
      if (isForeign) throw invalid('has a value with a tag (!)', range?.[0] ?? 0, quotes);
      if (isEmpty && anchor !== undefined) throw invalid('has an anchor (&) without a value', range?.[0] ?? 0, quotes);
    },
  });
}

function checkKeys({ items }: YAMLMap, invalid: Invalid): void {
  const seen = new Set<unknown>();
  for (const { key } of items) {
    if (!isScalar(key)) continue;
    if (seen.has(key.value)) {
      // A key of another form may be a value in the wrong place.
      const isName = typeof key.value === 'string' && /^[a-z]+(?:[_-][a-z]+)*$/.test(key.value);
      throw invalid(
        `has ${isName ? `the key ${key.value}` : 'a key'} twice, the second time`,
        startOf(key),
        'remove one',
      );
    }
    seen.add(key.value);
  }
}

function startOf({ range }: Node): number {
  return range?.[0] ?? 0;
}

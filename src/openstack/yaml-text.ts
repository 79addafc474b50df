/**
 * Parses the YAML text of a user.
 *
 * Guarantees: time and memory are bounded for any text; every scalar is read as text, so that a password `0123` and a project id
 * `1234e5` stay unchanged; an error names the file, the line and what to change, and quotes no value.
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
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

/**
 * The content of `file`. Mappings on the way along `path`, and everything below its end, must not have a key twice; elsewhere the
 * last one counts, as other tools read it. Throws ConfigurationError.
 */
export function parseYaml(file: string, text: string, path: readonly string[]): unknown {
  if (text.length > largestFile) {
    throw new ConfigurationError('SecretInvalid', `${file} is larger than ${largestFile / 1024} KiB`);
  }
  const lines = new LineCounter();
  const invalid: Invalid = (problem, offset, advice) => {
    const { line, col } = lines.linePos(offset);
    const hint = advice === undefined ? '' : `: ${advice}`;
    return new ConfigurationError('SecretInvalid', `${file} ${problem} at line ${line}, column ${col}${hint}`);
  };
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
    const [error] = document.errors;
    if (error !== undefined) {
      const advice = unquoted.has(error.code) ? `${quotes} if it contains a special character` : undefined;
      throw invalid(`is not YAML: ${error.code}`, error.pos[0], advice);
    }
    checkReferences(document, invalid);
    checkAlong(document.contents, path, invalid);
    return document.toJS({ maxAliasCount: mostAliases });
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    // Messages of the library may quote the text. The causes are too many aliases, and nesting deeper than the stack.
    throw new ConfigurationError(
      'SecretInvalid',
      `${file} cannot be used: it has too many aliases, or is nested too deeply`,
    );
  }
}

type Invalid = (problem: string, offset: number, advice?: string) => ConfigurationError;

/** Keys are texts, and aliases refer to anchors: a password that begins with `*` is an alias for YAML. */
function checkReferences(document: Document.Parsed, invalid: Invalid): void {
  const anchors = new Set<string>();
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) {
        if (!anchors.has(node.source)) throw invalid('has a * without a matching anchor', startOf(node), quotes);
        return;
      }
      if (node.anchor !== undefined) anchors.add(node.anchor);
      for (const { key } of isMap(node) ? node.items : []) {
        if (!isScalar(key)) throw invalid('is not YAML: KEY_IS_NO_TEXT', isNode(key) ? startOf(key) : 0);
      }
    },
  });
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

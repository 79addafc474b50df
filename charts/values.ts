/**
 * Reads values.yaml: names, defaults, and descriptions, which are comments `# -- …` above a value. Invariant: every value has a
 * description, or is a map whose values all have one.
 */
import { isMap, isNode, isScalar, type Pair, parseDocument } from 'yaml';

/** A value that a user sets. */
export interface Value {
  kind: 'value';
  path: string;
  default: unknown;
  description: string;
}

/** A map of values. */
export interface Group {
  kind: 'group';
  path: string;
  members: ReadonlyMap<string, Entry>;
}

export type Entry = Value | Group;

/** Throws an Error that names a value without a description. */
export function readValues(text: string): Group {
  const document = parseDocument(text);
  return groupOf('', document.contents);
}

export function listValues(group: Group): Value[] {
  return [...group.members.values()].flatMap((entry) => (entry.kind === 'value' ? [entry] : listValues(entry)));
}

function groupOf(path: string, node: unknown): Group {
  if (!isMap(node)) throw new Error(`${path || 'values.yaml'} has no description and is not a map`);
  const members = node.items.map((pair, index) => {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    // The parser attaches the comment above the first entry of a map to the map.
    const comment = commentAbove(pair) ?? (index === 0 ? node.commentBefore : undefined) ?? '';
    return [name, entryOf(path === '' ? name : `${path}.${name}`, pair.value, comment)] as const;
  });
  if (members.length === 0) throw new Error(`${path} has no description`);
  return { kind: 'group', path, members: new Map(members) };
}

function commentAbove({ key }: Pair<unknown, unknown>): string | undefined {
  return isNode(key) ? (key.commentBefore ?? undefined) : undefined;
}

function entryOf(path: string, node: unknown, comment: string): Entry {
  const [, text] = /(?:^|\n) -- ([\s\S]*)$/.exec(comment) ?? [];
  if (text === undefined) return groupOf(path, node);
  const value: unknown = isNode(node) ? node.toJSON() : null;
  return { kind: 'value', path, default: value, description: text.replace(/\s*\n\s*/g, ' ').trim() };
}

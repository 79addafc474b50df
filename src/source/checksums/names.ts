/**
 * Names of files that change with each release: patterns, the version in a name, and the order of versions.
 *
 * Guarantees: pure; linear in the length of the name, whatever the pattern; 1.9 is before 1.10, and 2.0-rc1 before 2.0.
 */

export function isPattern(name: string): boolean {
  return name.includes('*');
}

/**
 * What the stars of `pattern` stand for in `name`; undefined if the name does not match. A star stands for any characters but
 * `/`, and every other character for itself. Each star takes as little as possible.
 */
export function matchPattern(pattern: string, name: string): string[] | undefined {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return name === pattern ? [] : undefined;
  if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return undefined;
  const end = name.length - tail.length;
  const parts: string[] = [];
  let at = head.length;
  for (const literal of rest) {
    const found = name.indexOf(literal, at);
    if (found === -1 || found + literal.length > end) return undefined;
    parts.push(name.slice(at, found));
    at = found + literal.length;
  }
  parts.push(name.slice(at, end));
  return parts.some((part) => part.includes('/')) ? undefined : parts;
}

/**
 * The version in `dated`, another name of the same file: what `name` does not have. `name-latest.img` and `name-9.8-1.img` give
 * `9.8-1`.
 */
export function versionBetween(name: string, dated: string): string {
  let start = 0;
  while (start < name.length && name[start] === dated[start]) start++;
  let end = 0;
  const most = Math.min(name.length, dated.length) - start;
  while (end < most && name.at(-1 - end) === dated.at(-1 - end)) end++;
  return dated.slice(start, dated.length - end).replace(/^[-._]+|[-._]+$/g, '');
}

/** Digits of a name. A dated name has more of them than `latest` has. */
export function digitsIn(name: string): number {
  return name.replace(/\D/g, '').length;
}

/** What two versions of one file have in common: the text without its numbers, and without marks of a preview. */
export function skeletonOf(version: string): string {
  return partsOf(version)
    .filter((part) => !isNumber(part) && !isPreview(part))
    .join('-');
}

/** Negative if `one` is older. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [partsOf(one), partsOf(other)];
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const order = compareParts(a[at], b[at]);
    if (order !== 0) return order;
  }
  return 0;
}

/** Numbers and words, without what separates them. */
function partsOf(version: string): string[] {
  return version.match(/\d+|\p{L}+/gu) ?? [];
}

/** A preview is before the end, the end before a word, and a word before a number. */
function compareParts(a: string | undefined, b: string | undefined): number {
  const [rankA, rankB] = [rankOf(a), rankOf(b)];
  if (rankA !== rankB) return rankA - rankB;
  if (a === undefined || b === undefined || a === b) return 0;
  if (rankA !== numberRank) return inOrder(a.toLowerCase(), b.toLowerCase());
  const [numberA, numberB] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return numberA.length - numberB.length || inOrder(numberA, numberB);
}

function inOrder(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

const numberRank = 3;

function rankOf(part: string | undefined): number {
  if (part === undefined) return 1;
  if (isPreview(part)) return 0;
  return isNumber(part) ? numberRank : 2;
}

function isNumber(part: string): boolean {
  return /^\d/.test(part);
}

function isPreview(part: string): boolean {
  return /^(?:alpha|beta|rc|pre|preview|dev|snapshot|daily)$/i.test(part);
}

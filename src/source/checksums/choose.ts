/**
 * Which digest of a list is that of one file, and under which name to fetch the file.
 *
 * Guarantees: pure; a name is never matched by a part of it; two digests for one name are an error, because neither the first nor the
 * last is more right; where the list also has a dated name of the same bytes, that name is given, because it does not move.
 */
import type { ChecksumList, ListedDigest, ListedFile } from './list.ts';
import { compareVersions, digitsIn, isPattern, matchPattern, skeletonOf, versionBetween } from './names.ts';

export interface ListChoice {
  digest: ListedDigest;
  /** The name of the file in the list; undefined if the list is a digest alone. */
  name: string | undefined;
  /** Another name of the same bytes in the same folder, with a date or a version. */
  dated: string | undefined;
  /** From the name; undefined if no name has one. */
  version: string | undefined;
}

export type ChoiceFault =
  | { fault: 'absent'; near: string[] }
  /** Equal base names in several folders. */
  | { fault: 'folders'; names: string[] }
  | { fault: 'twoDigests'; name: string | undefined }
  | { fault: 'length'; name: string }
  | { fault: 'algorithm'; name: string; algorithm: string }
  /** A digest alone in a list with names. */
  | { fault: 'bareAmongNames' }
  /** The pattern matches names that differ in more than their version. */
  | { fault: 'unlike'; names: string[] };

export type Chosen = { ok: true; choice: ListChoice } | { ok: false; fault: ChoiceFault };

/** `wanted`: a name, or a pattern of which the latest version is chosen. */
export function choose(list: ChecksumList, wanted: string): Chosen {
  if (isPattern(wanted)) return chooseLatest(list, wanted);
  const { files, unusable, bare } = list;
  const matching = matchesOf(files, wanted);
  const usable = strongestOf(matching.found);
  if (usable === 'twoDigests') {
    const names = [...new Set(matching.found.map(({ name }) => name))];
    return fail(names.length > 1 ? { fault: 'folders', names } : { fault: 'twoDigests', name: wanted });
  }
  if (usable !== undefined) return { ok: true, choice: withDatedName(files, usable, usable.name) };
  const [line] = matchesOf(unusable, wanted).found;
  if (line !== undefined) return fail(faultOf(line));
  if (bare.length === 0) return fail({ fault: 'absent', near: nearNames(files, wanted) });
  if (files.length + unusable.length > 0)
    return fail(files.length === 0 ? { fault: 'bareAmongNames' } : { fault: 'absent', near: nearNames(files, wanted) });
  const digest = strongestOf(bare);
  return digest === 'twoDigests' || digest === undefined
    ? fail({ fault: 'twoDigests', name: undefined })
    : { ok: true, choice: { digest, name: undefined, dated: undefined, version: undefined } };
}

/** The full name first, and then the base name, if no folder is asked for. */
function matchesOf<T extends { name: string }>(lines: readonly T[], wanted: string): { found: readonly T[] } {
  const name = wanted.replace(/^\.\//, '');
  const exact = lines.filter((line) => line.name === name);
  if (exact.length > 0 || name.includes('/')) return { found: exact };
  return { found: lines.filter((line) => baseOf(line.name) === name) };
}

function chooseLatest(list: ChecksumList, pattern: string): Chosen {
  const byBase = !pattern.includes('/');
  const matches = list.files.flatMap((file) => {
    const stars = matchPattern(pattern, byBase ? baseOf(file.name) : file.name);
    return stars === undefined ? [] : [{ ...file, version: stars.join('-') }];
  });
  if (matches.length === 0) {
    const line = list.unusable.find(({ name }) => matchPattern(pattern, byBase ? baseOf(name) : name) !== undefined);
    return fail(line === undefined ? { fault: 'absent', near: nearNames(list.files, pattern) } : faultOf(line));
  }
  // A name such as -latest is another name of a dated one, and has no version.
  const mostDigits = new Map<string, number>();
  for (const { hex, version } of matches) mostDigits.set(hex, Math.max(mostDigits.get(hex) ?? 0, digitsIn(version)));
  const candidates = matches.filter(({ hex, version }) => digitsIn(version) === mostDigits.get(hex));
  const [first] = candidates;
  const stranger = candidates.find(({ version }) => first && skeletonOf(version) !== skeletonOf(first.version));
  if (first !== undefined && stranger !== undefined)
    return fail({ fault: 'unlike', names: [first.name, stranger.name] });
  const latest = candidates.reduce((best, one) => (compareVersions(one.version, best.version) > 0 ? one : best));
  const equal = candidates.filter(({ version }) => compareVersions(version, latest.version) === 0);
  const usable = strongestOf(equal);
  if (usable === 'twoDigests' || usable === undefined) {
    const names = [...new Set(equal.map(({ name }) => name))];
    return fail(names.length > 1 ? { fault: 'folders', names } : { fault: 'twoDigests', name: latest.name });
  }
  const { version } = latest;
  return { ok: true, choice: { ...choiceOf(usable), version: version === '' ? undefined : version } };
}

/** All lines that are given are of one file. */
function strongestOf<T extends ListedDigest>(lines: readonly T[]): T | 'twoDigests' | undefined {
  const byAlgorithm = new Map<string, T>();
  for (const line of lines) {
    const other = byAlgorithm.get(line.algorithm);
    if (other !== undefined && other.hex !== line.hex) return 'twoDigests';
    byAlgorithm.set(line.algorithm, line);
  }
  // A longer digest is a stronger one.
  return [...byAlgorithm.values()].sort((a, b) => b.hex.length - a.hex.length)[0];
}

function choiceOf({ algorithm, hex, name }: ListedFile): ListChoice {
  return { digest: { algorithm, hex }, name, dated: undefined, version: undefined };
}

function withDatedName(files: readonly ListedFile[], chosen: ListedFile, name: string): ListChoice {
  const folder = folderOf(name);
  const others = files.filter(
    (file) => hasSameBytes(file, chosen) && folderOf(file.name) === folder && digitsIn(file.name) > digitsIn(name),
  );
  const [first] = others;
  if (first === undefined) return choiceOf(chosen);
  const dated = others.reduce((best, one) => (digitsIn(one.name) > digitsIn(best.name) ? one : best), first).name;
  const version = versionBetween(name, dated);
  return { ...choiceOf(chosen), dated, version: version === '' ? undefined : version };
}

function hasSameBytes(one: ListedDigest, other: ListedDigest): boolean {
  return one.algorithm === other.algorithm && one.hex === other.hex;
}

export function baseOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

function faultOf({ name, why, algorithm }: ChecksumList['unusable'][number]): ChoiceFault {
  return why === 'algorithm'
    ? { fault: 'algorithm', name, algorithm: algorithm ?? 'unknown' }
    : { fault: 'length', name };
}

const mostNear = 3;

/** Names that a reader may take for the wanted one. */
function nearNames(files: readonly ListedFile[], wanted: string): string[] {
  const text = wanted.replaceAll('*', '').toLowerCase();
  const names = [...new Set(files.map(({ name }) => name))];
  const isNear = (name: string) => {
    const other = baseOf(name).toLowerCase();
    return other.includes(text) || text.includes(other);
  };
  const near = names.filter(isNear);
  return (near.length > 0 ? near : names).slice(0, mostNear);
}

function fail(fault: ChoiceFault): Chosen {
  return { ok: false, fault };
}

/**
 * Chooses the file of an archive that becomes the image: the only one, or the one that the declaration names.
 *
 * Guarantees: exactly one file is chosen, or the archive is rejected; the number of entries and the length of everything that is not
 * data are limited; no name leads outside the archive, and each has one spelling only.
 */
import { formatBytes } from '../../lib/bytes.ts';
import { type ArchiveJob, damagedArchive, noMember, rejectedArchive, shownName } from './errors.ts';

/** Files, directories and other entries. Archives of images have fewer than ten. */
const mostEntries = 1000;
/** Of names, comments and extended headers, in all. */
const mostHeaderBytes = 2 ** 20;
const longestName = 4096;
/** That many names are in a message. */
const mostShown = 5;

const advice = 'set member to the name of the disk image';

export class MemberChoice {
  readonly #job: ArchiveJob;
  #entries = 0;
  #headerBytes = 0;
  #chosen: string | undefined;
  #others: string[] = [];
  #otherCount = 0;

  constructor(job: ArchiveJob) {
    this.#job = job;
  }

  /** The name of the chosen file. */
  get chosen(): string | undefined {
    return this.#chosen;
  }

  /** Call it for each entry, before its header is parsed. */
  countEntry(): void {
    this.#entries++;
    if (this.#entries > mostEntries) throw rejectedArchive(this.#job, `has more than ${mostEntries} entries`);
  }

  /** Call it before so many bytes of a header are held. */
  countHeader(bytes: number): void {
    this.#headerBytes += bytes;
    if (this.#headerBytes > mostHeaderBytes)
      throw rejectedArchive(this.#job, `has more than ${formatBytes(mostHeaderBytes)} of names and other metadata`);
  }

  /** Whether to take this file. `at`: the byte of the archive where it begins. */
  takes(name: Uint8Array, at: number): boolean {
    const path = this.checkName(name, at);
    if (path === '') throw damagedArchive(this.#job, 'has a file without a name', at);
    const { member } = this.#job;
    if (member !== undefined && !matches(member.replace(/^(?:\.\/)+/, ''), path)) {
      this.#otherCount++;
      if (this.#others.length < mostShown) this.#others.push(path);
      return false;
    }
    if (this.#chosen !== undefined) throw this.#several(this.#chosen, path);
    this.#chosen = path;
    return true;
  }

  /** The name without `./`. Throws if it might mean another file somewhere else. */
  checkName(name: Uint8Array, at: number): string {
    if (name.length > longestName) throw rejectedArchive(this.#job, `has a name of ${name.length} bytes`);
    const text = decoded(name);
    if (text === undefined) throw damagedArchive(this.#job, 'has a name that is not UTF-8', at);
    if (/[\p{Cc}\\]/u.test(text))
      throw damagedArchive(this.#job, 'has a name with a backslash or a control character', at);
    if (text.startsWith('/') || text.split('/').includes('..'))
      throw rejectedArchive(this.#job, `has a name that leads outside of it, ${shownName(this.#job, text)}`);
    const parts = text.split('/');
    return parts.filter((part) => part !== '' && part !== '.').join('/');
  }

  /** Call it at the end of the archive. Throws if no file was taken. */
  finish(): string {
    if (this.#chosen !== undefined) return this.#chosen;
    const { member } = this.#job;
    if (member === undefined) throw noMember(this.#job, 'has no file in it', 'declare another file');
    const has = this.#otherCount === 0 ? 'has no file at all' : `has ${this.#namesOfOthers()}`;
    throw noMember(this.#job, `has no file ${JSON.stringify(member)}; it ${has}`, advice);
  }

  #namesOfOthers(): string {
    if (!this.#job.isPublic()) return `${this.#otherCount} others, whose names are shown for public addresses only`;
    const names = this.#others.map((name) => shownName(this.#job, name));
    const more = this.#otherCount - names.length;
    return `${names.join(', ')}${more === 0 ? '' : ` and ${more} more`}`;
  }

  #several(first: string, second: string): Error {
    const { member } = this.#job;
    if (first === second)
      return rejectedArchive(
        this.#job,
        `has the file ${shownName(this.#job, first)} twice, and programs differ in which they take`,
      );
    const names = `${shownName(this.#job, first)} and ${shownName(this.#job, second)}`;
    const what = member === undefined ? 'has several files' : `has several files that match ${JSON.stringify(member)}`;
    return noMember(this.#job, `${what}, ${names} among them`, advice);
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(name: Uint8Array): string | undefined {
  try {
    return utf8.decode(name);
  } catch {
    return undefined;
  }
}

/**
 * Whether the whole path fits a pattern, in which `*` stands for any characters but `/`. In time proportional to the product of
 * their lengths at most, because both come from others.
 */
export function matches(pattern: string, path: string): boolean {
  let star = -1;
  let from = 0;
  let at = 0;
  let next = 0;
  while (at < path.length) {
    if (pattern[next] === '*') {
      star = next++;
      from = at;
    } else if (pattern[next] === path[at]) {
      next++;
      at++;
    } else if (star >= 0 && path[from] !== '/') {
      next = star + 1;
      at = ++from;
    } else return false;
  }
  while (pattern[next] === '*') next++;
  return next === pattern.length;
}

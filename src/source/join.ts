/**
 * Whether the bytes of another answer may follow those that were given out. Law: two answers are joined when a validator shows
 * that they are of one version of the file, or when the lengths agree and a digest will tell; never on trust alone.
 */
import { retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { SourceError } from './errors.ts';
import type { Part } from './part.ts';
import { compareVersions, type Version } from './version.ts';

/** The file as it is known from the answers so far. */
export interface KnownFile {
  /** As its first bytes were served. */
  version: Version;
  /** In bytes. */
  size: number | undefined;
  /** False while only the end of a connection could end it. */
  endIsCertain: boolean;
}

/**
 * Nothing was given out yet: any version may begin, if it keeps what was promised with the first answer, the length and that
 * its end can be told from a break. Throws SourceChanged.
 */
export function checkBeginning(part: Part, promised: Omit<KnownFile, 'version'>, hasDigest: boolean): void {
  checkSize(part, promised.size);
  const endIsCertain = part.endIsCertain || promised.size !== undefined;
  if (promised.endIsCertain && !endIsCertain && !hasDigest) throw changed(part, 'no longer says where the file ends');
}

/**
 * How sure it is that the part belongs to the file: `proven` by a validator, or `assumed` until the digest has been compared.
 * `last` is the version that its address had when its bytes were last used. Throws SourceChanged if it must not be used.
 */
export function joinPart(
  part: Part,
  file: KnownFile,
  last: Version | undefined,
  hasDigest: boolean,
): 'proven' | 'assumed' {
  checkSize(part, file.size);
  // An address can lead to another server each time. One that has served the file before is held to its own words.
  const compared = last?.origin === part.version.origin ? last : file.version;
  const result = compareVersions(compared, part.version);
  if (result === 'changed') throw changed(part, 'has another version of the file by now');
  // A date is not much: between servers the length has to bear it out.
  const isAsLong = part.size === file.size;
  if (result === 'same' && (isAsLong || compared.origin === part.version.origin)) return 'proven';
  if (!hasDigest) throw changed(part, 'does not show that it has the same version of the file; declare a digest');
  if (!isAsLong) throw changed(part, 'does not show that its file is as long');
  return 'assumed';
}

function checkSize({ url, size }: Part, known: number | undefined): void {
  if (size !== undefined && known !== undefined && size !== known)
    throw changed({ url }, `has ${size} bytes, where the file had ${known}`);
}

function changed({ url }: Pick<Part, 'url'>, why: string): SourceError {
  return new SourceError('SourceChanged', retry.backoff, `the download cannot go on: ${safeUrl(url)} ${why}`);
}

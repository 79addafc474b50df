/**
 * Whether the bytes of another answer may follow those that were given out. Law: two answers are joined when a validator shows
 * that they are of one version of the file, or when the lengths agree and a digest will tell; never on trust alone. Between two
 * origins of which one is not public, only equal strong entity tags join them: otherwise the author of a resource could put the
 * first bytes of their own server in front of a file of this network, and read that file from the image.
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

export interface Circumstances {
  /** A digest is declared. */
  hasDigest: boolean;
  /** All answers so far, and this one, came from public addresses. */
  isPublic: boolean;
}

/**
 * Nothing was given out yet: any version may begin, if it keeps what was promised with the first answer, the length and that
 * its end can be told from a break. Throws SourceChanged.
 */
export function checkBeginning(
  part: Part,
  promised: Omit<KnownFile, 'version'>,
  { hasDigest, isPublic }: Circumstances,
): void {
  checkSize(part, promised.size, isPublic);
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
  { hasDigest, isPublic }: Circumstances,
): 'proven' | 'assumed' {
  checkSize(part, file.size, isPublic);
  // An address can lead to another server each time. One that has served the file before is held to its own words.
  const compared = last?.origin === part.version.origin ? last : file.version;
  const { origin, etag } = part.version;
  const isProof = etag !== undefined && etag === compared.etag;
  if (!isPublic && origin !== compared.origin && !isProof)
    throw changed(
      part,
      'does not show by a strong entity tag that it has the same file, as servers without a public address must',
    );
  const result = compareVersions(compared, part.version);
  if (result === 'changed') throw changed(part, 'has another version of the file by now');
  // A date is not much: between servers the length has to bear it out.
  const isAsLong = part.size === file.size;
  if (result === 'same' && (isAsLong || compared.origin === part.version.origin)) return 'proven';
  if (!hasDigest) throw changed(part, 'does not show that it has the same version of the file; declare a digest');
  if (!isAsLong) throw changed(part, 'does not show that its file is as long');
  return 'assumed';
}

function checkSize({ url, size }: Part, known: number | undefined, isPublic: boolean): void {
  if (size !== undefined && known !== undefined && size !== known)
    throw changed(
      { url },
      isPublic ? `has ${size} bytes, where the file had ${known}` : 'has a file of another length',
    );
}

function changed({ url }: Pick<Part, 'url'>, why: string): SourceError {
  return new SourceError('SourceChanged', retry.backoff, `the download cannot go on: ${safeUrl(url)} ${why}`);
}

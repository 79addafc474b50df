/**
 * Whether the bytes of another response may continue a download: validators (RFC 9110, section 8.8) and the resume check.
 *
 * Guarantees: two responses are joined only if a validator proves that they are of one version of the file, or if their lengths
 * agree and a digest is compared in the end: the nodes of one address may have a tag each. Only validators that change with every
 * byte of the file count; weaker ones are not kept.
 *
 * Between two servers of which one is not public, and between two URLs of such a server, only equal strong entity tags join two
 * responses: otherwise the author of a resource could put known bytes in front of a file of this network, and find out its bytes one by
 * one, by the digests that fit.
 */
import { safeUrl } from '../lib/secret.ts';
import { SourceError } from './errors.ts';
import type { SourceResponse } from './transport.ts';

export interface Validators {
  /** The server that sent them: see `serverOf`. */
  readonly server: string;
  /** Where they were sent from, after all redirects. */
  readonly url: string;
  /** A strong entity tag, quotes included. */
  readonly etag: string | undefined;
  /** Last-Modified as the server sent it, if it is as reliable as a strong entity tag. */
  readonly lastModified: string | undefined;
}

type Header = SourceResponse['header'];

/**
 * A file can change twice within the second of a Last-Modified. That is impossible when the response was created well after
 * that second. The margin allows for a date from another clock (RFC 9110, section 8.8.2.2).
 */
const settledMs = 60_000;

export function validatorsOf(url: URL, response: Omit<SourceResponse, 'status' | 'body'>): Validators {
  const { header } = response;
  return {
    server: serverOf(url, response),
    url: url.href,
    etag: strongTag(header('etag')),
    lastModified: settledDate(header),
  };
}

/**
 * The origin; for a server without a public address, the origin and the address of its peer. DNS can move the name of an author's
 * server to an address of this network, and then the same origin is another server. It cannot where the installation names the host.
 */
function serverOf(
  { origin }: URL,
  { isPublic, isNamed = false, peer }: Omit<SourceResponse, 'status' | 'body'>,
): string {
  return isPublic || isNamed ? origin : `${origin} at ${peer ?? 'an unknown address'}`;
}

/** Blanks, which older servers use, are accepted. Without quotes it is no entity tag. */
function strongTag(etag: string | undefined): string | undefined {
  return etag !== undefined && /^"[\x20\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : undefined;
}

function settledDate(header: Header): string | undefined {
  const [modified, date] = [header('last-modified'), header('date')];
  if (modified === undefined || date === undefined) return undefined;
  // An unreadable date is NaN, and every comparison with it is false.
  return Date.parse(date) - Date.parse(modified) >= settledMs ? modified : undefined;
}

/** The value for If-Range; undefined if the server cannot be asked for the rest of the same version. */
export function ifRangeOf({ etag, lastModified }: Validators): string | undefined {
  return etag ?? lastModified;
}

/**
 * `unknown`: they have no validator in common. On one server a difference is a change. Between two servers it means nothing,
 * because each names versions in its own way.
 */
export function compareValidators(one: Validators, other: Validators): 'same' | 'changed' | 'unknown' {
  const different = one.server === other.server ? 'changed' : 'unknown';
  for (const key of ['etag', 'lastModified'] as const) {
    if (one[key] === undefined || other[key] === undefined) continue;
    if (one[key] === other[key]) return 'same';
    if (different === 'changed') return 'changed';
  }
  return 'unknown';
}

/** The description of a file in a response. */
export interface FileFacts {
  readonly url: URL;
  readonly validators: Validators;
  /** Length of the whole file, if the response has it. */
  readonly size: number | undefined;
  /** False when only the end of the connection ends the body. */
  readonly endIsCertain: boolean;
}

/** The file as known from the responses so far. */
export interface KnownFile {
  /** Those of its first bytes. */
  validators: Validators;
  /** In bytes. */
  size: number | undefined;
  /** False while only the end of a connection could end it. */
  endIsCertain: boolean;
}

export interface Circumstances {
  /** A digest is declared. */
  hasDigest: boolean;
  /** All responses so far, and this one, came from public addresses. */
  isPublic: boolean;
}

/**
 * Before any byte was delivered, another version of the file may take its place if it keeps what the first response announced:
 * its length, and that its end can be distinguished from a broken connection. Throws SourceChanged.
 */
export function checkRestart(
  next: FileFacts,
  announced: Omit<KnownFile, 'validators'>,
  { hasDigest, isPublic }: Circumstances,
): void {
  checkLength(next, announced.size, isPublic);
  const endIsCertain = next.endIsCertain || announced.size !== undefined;
  if (announced.endIsCertain && !endIsCertain && !hasDigest)
    throw changed(next, 'no longer announces where the file ends');
}

/**
 * How certain it is that the response continues the file: `proven` by a validator, or `assumed` until the digest is compared.
 * `last`: the validators that its address had when its bytes were last used. Throws SourceChanged if it must not be used.
 */
export function checkResume(
  next: FileFacts,
  file: KnownFile,
  last: Validators | undefined,
  { hasDigest, isPublic }: Circumstances,
): 'proven' | 'assumed' {
  checkLength(next, file.size, isPublic);
  // An address can lead to another server each time. A server that sent bytes of the file before is compared with itself.
  const compared = last?.server === next.validators.server ? last : file.validators;
  const { server, url, etag } = next.validators;
  const isProof = etag !== undefined && etag === compared.etag;
  const isOnePlace = isPublic || (server === compared.server && url === compared.url);
  if (!isOnePlace && !isProof)
    throw changed(
      next,
      'does not prove by a strong entity tag that it has the same file, as servers without a public address must',
    );
  const result = compareValidators(compared, next.validators);
  // A date proves little. Between servers the length must confirm it.
  const hasSameLength = next.size === file.size;
  const mayBeSame =
    hasDigest && isOnePlace && hasSameLength && next.size !== undefined && !isOlderOrNewer(compared, next.validators);
  if (result === 'changed' && !mayBeSame) throw changed(next, 'has another version of the file by now');
  if (result === 'same' && (hasSameLength || compared.server === next.validators.server)) return 'proven';
  if (!hasDigest) throw changed(next, 'does not prove that it has the same version of the file; declare a digest');
  if (!hasSameLength) throw changed(next, 'does not prove that its file has the same length');
  return 'assumed';
}

/** Whether both have a date, and not the same. The copies of a file on the nodes of one address usually have one date. */
function isOlderOrNewer(one: Validators, other: Validators): boolean {
  const dates = [one.lastModified, other.lastModified];
  return !dates.includes(undefined) && dates[0] !== dates[1];
}

function checkLength({ url, size }: FileFacts, known: number | undefined, isPublic: boolean): void {
  if (size !== undefined && known !== undefined && size !== known)
    throw changed(
      { url },
      isPublic ? `has ${size} bytes, where the file had ${known}` : 'has a file of another length',
    );
}

function changed({ url }: Pick<FileFacts, 'url'>, why: string): SourceError {
  return new SourceError('SourceChanged', `the download cannot continue: ${safeUrl(url)} ${why}`);
}

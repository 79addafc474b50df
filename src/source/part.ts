/**
 * What an answer holds of a file. Law: an answer is believed only as far as it says so itself: the place of its first byte, its
 * length and its coding are checked before a byte is read, and anything but the file or the asked rest of it is an error.
 */
import { Readable } from 'node:stream';
import { retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { progress, SourceError, statusError, upstreamRetry } from './errors.ts';
import type { SourceResponse } from './transport.ts';
import { type Version, versionOf } from './version.ts';

export interface Part {
  /** Who answered in the end. */
  readonly url: URL;
  readonly version: Version;
  /** The entity tag as it was sent, weak or strong. */
  readonly etag: string | undefined;
  /** Whether it came from a public address. */
  readonly isPublic: boolean;
  /** Where in the file the body begins… */
  readonly start: number;
  /** …and ends, exclusive; undefined when the answer does not say. */
  readonly end: number | undefined;
  /** Length of the whole file, where the answer says it. */
  readonly size: number | undefined;
  /** False when only the end of the connection ends the body. */
  readonly endIsCertain: boolean;
  readonly body: Readable;
}

export interface Question {
  /** The answer was asked for from this byte on; 0 when it was asked for the whole file. */
  from: number;
  /** Length of the file as far as it is known already. */
  size: number | undefined;
  /** The version whose validator went along as If-Range, if one did. */
  ifRange: Version | undefined;
  /** Headers were declared, but not for the server that answered. */
  withheld: boolean;
}

/** The part in an answer; throws SourceError. The caller destroys the body then. */
export function readPart(url: URL, response: SourceResponse, question: Question): Part {
  const { status, header, body, isPublic } = response;
  const { from } = question;
  if (from > 0 && status === 416) return nothingLeft(url, response, question);
  if (status !== 200 && !(status === 206 && from > 0))
    throw statusError(url, status, header('retry-after'), question.withheld);
  checkCoding(url, header('content-encoding'));
  const version = versionOf(url.origin, header);
  const common = { url, version, etag: header('etag'), isPublic, body };
  if (status === 206) return { ...common, ...rangeIn(url, header('content-range'), from), endIsCertain: true };
  const size = wholeNumber(header('content-length'));
  const endIsCertain = size !== undefined || header('transfer-encoding') !== undefined;
  return { ...common, start: 0, end: size, size, endIsCertain };
}

/** 416: the file ends at or before the byte that was to be the next. */
function nothingLeft(url: URL, { status, header, body, isPublic }: SourceResponse, question: Question): Part {
  const { from, size, ifRange } = question;
  const total = wholeNumber(/^bytes \*\/(\d+)$/.exec(header('content-range') ?? '')?.[1]);
  const options = { httpStatus: status };
  if (total === undefined)
    throw new SourceError('SourceRefused', retry.backoff, `${safeUrl(url)} refused to go on at byte ${from}`, options);
  if (total !== from)
    throw new SourceError('SourceChanged', retry.backoff, `${safeUrl(url)} now has only ${total} bytes`, options);
  if (size !== undefined && size !== total) {
    const message = `${safeUrl(url)} ended after ${progress(from, size)}: it has no more`;
    throw new SourceError('SourceTooShort', retry.backoff, message);
  }
  // All of it had come; only the sign of the end had not. Of another version If-Range would have brought the whole file.
  body.destroy();
  const common = { url, etag: header('etag'), isPublic, endIsCertain: true, body: Readable.from([]) };
  return { ...common, version: ifRange ?? versionOf(url.origin, header), start: from, end: from, size: total };
}

/** `bytes 100-199/200`. Part of what was asked for is enough: the rest is asked for again. */
function rangeIn(url: URL, range: string | undefined, from: number): Pick<Part, 'start' | 'end' | 'size'> {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range ?? '') ?? [];
  const [start, lastByte] = [wholeNumber(first), wholeNumber(last)];
  const size = total === '*' ? undefined : wholeNumber(total);
  const isSound =
    start === from && lastByte !== undefined && lastByte >= start && (size === undefined || lastByte < size);
  if (isSound) return { start, end: lastByte + 1, size };
  const answered = range === undefined ? 'a part without saying which' : `the part "${range.slice(0, 80)}"`;
  throw new SourceError(
    'SourceInvalid',
    upstreamRetry,
    `${safeUrl(url)} was asked for the bytes from ${from} on and answered with ${answered}`,
    { httpStatus: 206 },
  );
}

/** Codings that servers also announce for files which are stored that way, and the endings by which such files are known. */
const storedCodings: Record<string, RegExp> = {
  gzip: /\.(?:gz|tgz)$/i,
  compress: /\.z$/i,
  bzip2: /\.t?bz2?$/i,
  xz: /\.t?xz$/i,
  zstd: /\.t?zst$/i,
};

/**
 * We ask for no coding. A server that names the one in which `image.raw.gz` is stored sends the file as it is, which is what
 * we want; one that packs `image.raw` on the way sends bytes that nobody has made a digest of.
 */
function checkCoding(url: URL, coding: string | undefined): void {
  const name = coding?.trim().toLowerCase().replace(/^x-/, '') ?? '';
  if (name === '' || name === 'identity') return;
  if (Object.hasOwn(storedCodings, name) && storedCodings[name]?.test(url.pathname) === true) return;
  const message = `${safeUrl(url)} sends the file with content-encoding ${name.slice(0, 40)}, although it was asked for it as it is`;
  throw new SourceError('SourceInvalid', upstreamRetry, `${message}: the server has to leave it alone`);
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

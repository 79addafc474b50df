/**
 * The range of a file that a response holds.
 *
 * Guarantees: the offset of its first byte, its length and its coding are checked before a byte is read; anything but the file,
 * or the requested rest of it, is an error.
 */
import { Readable } from 'node:stream';
import { safeUrl } from '../lib/secret.ts';
import { progress, SourceError, statusError } from './errors.ts';
import type { SourceResponse } from './transport.ts';
import { type FileFacts, type Validators, validatorsOf } from './validators.ts';

/** `url` is that of the last redirect. */
export interface ResponseRange extends FileFacts {
  /** Whether it came from a public address. */
  readonly isPublic: boolean;
  /** Whether the installation names the host. */
  readonly isNamed: boolean;
  /** Offset in the file at which the body begins… */
  readonly start: number;
  /** …and ends, exclusive; undefined if the response does not have it. */
  readonly end: number | undefined;
  readonly body: Readable;
}

export interface RangeRequest {
  /** The first byte that was requested; 0: the whole file. */
  from: number;
  /** Length of the file, if it is known already. */
  size: number | undefined;
  /** The validators of which one was sent as If-Range. */
  ifRange: Validators | undefined;
  /** Headers are declared, but not for the server of this response. */
  withheld: boolean;
  /** A digest is compared in the end. */
  hasDigest: boolean;
}

/** Throws SourceError; the caller destroys the body then. */
export function rangeIn(url: URL, response: SourceResponse, request: RangeRequest): ResponseRange {
  const { status, header, body, isPublic, isNamed = false } = response;
  const { from } = request;
  if (from > 0 && status === 416) return nothingLeft(url, response, request);
  // Some servers send the whole file as a range, without a request for one.
  const isRange = status === 206 && (from > 0 || header('content-range') !== undefined);
  if (status !== 200 && !isRange) throw statusError(url, response, request.withheld);
  checkCoding(url, header('content-encoding'), request.hasDigest);
  const validators = validatorsOf(url, response);
  const common = { url, validators, isPublic, isNamed, body };
  if (isRange) return { ...common, ...contentRange(url, header('content-range'), from), endIsCertain: true };
  const size = wholeNumber(header('content-length'));
  const endIsCertain = size !== undefined || header('transfer-encoding') !== undefined;
  return { ...common, start: 0, end: size, size, endIsCertain };
}

/** With what servers respond to a request for a range that they do not understand or permit, if not with the whole file. */
const rangeRejections: readonly number[] = [400, 403, 405, 406, 412, 416, 501];

/** Whether the response to a request for a range may be about the range, and not about the file. */
export function rejectsRange({ status, header }: Pick<SourceResponse, 'status' | 'header'>): boolean {
  return rangeRejections.includes(status) && unsatisfiedTotal(header) === undefined;
}

/** The length of the file in a response with 416. */
function unsatisfiedTotal(header: SourceResponse['header']): number | undefined {
  return wholeNumber(/^bytes \*\/(\d+)$/.exec(header('content-range') ?? '')?.[1]);
}

/** 416: the file ends at or before the next byte. */
function nothingLeft(url: URL, response: SourceResponse, request: RangeRequest): ResponseRange {
  const { status, header, body, isPublic, isNamed = false } = response;
  const { from, size, ifRange } = request;
  const total = unsatisfiedTotal(header);
  const options = { httpStatus: status };
  if (total === undefined)
    throw new SourceError('SourceRefused', `${safeUrl(url)} rejected a request for the bytes from ${from} on`, options);
  if (total !== from) throw new SourceError('SourceChanged', `${safeUrl(url)} now has only ${total} bytes`, options);
  if (size !== undefined && size !== total) {
    const message = `${safeUrl(url)} ended after ${progress(from, size)}: it has no more`;
    throw new SourceError('SourceTooShort', message);
  }
  // The whole file was received before the connection broke. If-Range would have brought the whole file of another version.
  body.destroy();
  const common = { url, isPublic, isNamed, endIsCertain: true, body: Readable.from([]) };
  return {
    ...common,
    validators: ifRange ?? validatorsOf(url, response),
    start: from,
    end: from,
    size: total,
  };
}

/** `bytes 100-199/200`. A shorter range than requested is accepted: the rest is requested again. */
function contentRange(
  url: URL,
  range: string | undefined,
  from: number,
): Pick<ResponseRange, 'start' | 'end' | 'size'> {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range ?? '') ?? [];
  const [start, lastByte] = [wholeNumber(first), wholeNumber(last)];
  const size = total === '*' ? undefined : wholeNumber(total);
  const isSound =
    start === from && lastByte !== undefined && lastByte >= start && (size === undefined || lastByte < size);
  if (isSound) return { start, end: lastByte + 1, size };
  const sent = range === undefined ? 'a range without content-range' : `the range "${range.slice(0, 80)}"`;
  throw new SourceError('SourceInvalid', `${safeUrl(url)} was asked for the bytes from ${from} on and sent ${sent}`, {
    httpStatus: 206,
  });
}

/** Codings that a server applies while it sends a file, and in which no file is published. Nothing here decodes them. */
const appliedCodings: readonly string[] = ['br', 'deflate'];
/** Codings that servers also announce for files that are stored compressed, and the extensions of such files. */
const storedCodings: Record<string, RegExp> = {
  gzip: /\.(?:gz|tgz)$/i,
  compress: /\.z$/i,
  bzip2: /\.t?bz2?$/i,
  xz: /\.t?xz$/i,
  zstd: /\.t?zst$/i,
};

/**
 * The request accepts no coding, so the header describes the stored file, or repeats a header of its upload (`aws-chunked`).
 * Whether the bytes are unchanged is decided by the digest. Without one, the name of the file must fit.
 */
function checkCoding(url: URL, coding: string | undefined, hasDigest: boolean): void {
  const name = coding?.trim().toLowerCase().replace(/^x-/, '') ?? '';
  if (name === '' || name === 'identity') return;
  const isApplied = name.split(',').some((one) => appliedCodings.includes(one.trim()));
  if (hasDigest && !isApplied) return;
  if (Object.hasOwn(storedCodings, name) && storedCodings[name]?.test(url.pathname) === true) return;
  const message = `${safeUrl(url)} sends the file with content-encoding ${name.slice(0, 40)}, although the request accepts none`;
  throw new SourceError('SourceInvalid', `${message}: the server must send the file unchanged`);
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

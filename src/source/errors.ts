/**
 * How a source can fail. Law: each message names the URL (without what may be secret in it) and, where there is an answer,
 * its status; whether and when it is tried again is decided here.
 */
import { STATUS_CODES } from 'node:http';
import { describe, errorCode, OperatorError, type Retry, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { certificateProblem } from './certificate.ts';

export type SourceCode =
  | 'SourceNotFound'
  | 'SourceForbidden'
  | 'SourceRefused'
  | 'SourceUnreachable'
  | 'SourceUntrusted'
  | 'SourceUnavailable'
  | 'SourceSilent'
  | 'SourceStalled'
  | 'SourceTooSlow'
  | 'SourceTooShort'
  | 'SourceTooLong'
  | 'SourceChanged'
  | 'SourceInvalid'
  | 'EmptySource';

export class SourceError extends OperatorError {
  declare readonly code: SourceCode;
  constructor(
    code: SourceCode,
    retry: Retry,
    message: string,
    options: { cause?: unknown; httpStatus?: number | undefined; requestId?: string | undefined } = {},
  ) {
    const { cause, httpStatus, requestId } = options;
    super(message, {
      code,
      retry,
      cause,
      ...(httpStatus === undefined ? {} : { httpStatus }),
      ...(requestId === undefined ? {} : { requestId }),
    });
  }
}

/** What only the publisher of the file can change is looked at again after this time. */
export const upstreamRetry = retry.after(5 * 60_000);

/**
 * The error for an answer whose status is neither the file nor a redirect. `retryAfter` is the header of that name;
 * `withheld` says that headers were declared, but for another server than this one.
 */
export function statusError(url: URL, status: number, retryAfter: string | undefined, withheld: boolean): SourceError {
  const answer = `${safeUrl(url)} answered ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd();
  const options = { httpStatus: status };
  if (status === 404 || status === 410)
    return new SourceError('SourceNotFound', upstreamRetry, `${answer}: correct the URL, or publish the file`, options);
  if (status === 401 || status === 403) {
    const why = withheld
      ? 'the declared headers are only sent to the server of the declared URL, which this is not'
      : 'the file must be readable for all, or with the headers of headersSecretRef';
    return new SourceError('SourceForbidden', upstreamRetry, `${answer}: ${why}`, options);
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return new SourceError('SourceUnavailable', afterHeader(retryAfter), answer, options);
  if (status === 204)
    return new SourceError('EmptySource', upstreamRetry, `${answer}: there is nothing to upload`, options);
  return new SourceError('SourceRefused', upstreamRetry, `${answer}, which is not the file: check the URL`, options);
}

/** The error for a request that got no answer; `error` is what Node or undici threw. */
export function connectionError(url: URL, error: unknown): SourceError {
  const code = errorCode(error);
  // undici's parser errors have a name, but not always a code.
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || (error instanceof Error && error.name === 'HTTPParserError'))
    return new SourceError('SourceInvalid', upstreamRetry, `${safeUrl(url)} does not speak HTTP: ${describe(error)}`, {
      cause: error,
    });
  if (code === 'DeadlineExceeded')
    return new SourceError('SourceSilent', retry.backoff, `${safeUrl(url)} gave no answer: ${describe(error)}`, {
      cause: error,
    });
  const problem = code === undefined ? undefined : certificateProblem(code);
  if (problem !== undefined)
    return new SourceError(
      'SourceUntrusted',
      // Certificates are renewed by people or once in months, not within seconds.
      retry.changeOrAfter(10 * 60_000),
      `the certificate of ${url.host} is not trusted: ${problem.check} (${code}); ${problem.remedy}`,
      { cause: error },
    );
  const message = `no connection to the source ${safeUrl(url)}: ${describe(error)}`;
  return new SourceError('SourceUnreachable', retry.backoff, message, { cause: error });
}

/** The error for a file beyond the limit; `fact` says how that was seen. */
export function tooLong(url: URL | string, fact: string, maxBytes: number): SourceError {
  return new SourceError('SourceTooLong', retry.change, `${safeUrl(url)} ${fact}; the limit is ${maxBytes} bytes`);
}

/** `11 of 100 bytes`: how messages say how far a download has come. */
export function progress(bytes: number, size: number | undefined): string {
  return size === undefined ? `${bytes} bytes` : `${bytes} of ${size} bytes`;
}

/** Servers that ask for a pause get it, within reason; only the form in seconds is in use among file servers. */
function afterHeader(retryAfter: string | undefined): Retry {
  if (retryAfter === undefined || !/^\d{1,9}$/.test(retryAfter)) return retry.backoff;
  return retry.after(Math.min(Math.max(Number(retryAfter), 1), 3600) * 1000);
}

/**
 * The errors of sources.
 *
 * Guarantees: each message has the URL, without its secrets, and the HTTP status if there is a response.
 */
import { invalidityOf } from '../http/invalid-response.ts';
import { statusWithPhrase } from '../http/node-http.ts';
import { orForwarder } from '../http/proxy.ts';
import { retryAfterMs } from '../http/retry-after.ts';
import { describe, errorCode, OperatorError, type OperatorErrorOptions, responseFieldsOf } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { certificateProblem } from './certificate.ts';
import type { SourceResponse } from './transport.ts';

export type SourceCode =
  | 'SourceNotFound'
  | 'SourceForbidden'
  | 'SourceDeactivated'
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
  | 'SourceURLInvalid'
  | 'SourceNotReady'
  | 'EmptySource'
  | 'ConversionNeedsRanges';

export class SourceError extends OperatorError {
  declare readonly code: SourceCode;
  constructor(code: SourceCode, message: string, details: Omit<OperatorErrorOptions, 'code'> = {}) {
    super(message, { code, ...details });
  }
}

/** The failure of a server that a redirect led to. The same redirect may lead to another server the next time. */
export class RedirectedError extends OperatorError {}

/** `error`, with the URL that led to the server that failed; unchanged without a redirect. */
export function afterRedirect(error: unknown, redirectedBy: URL | undefined): unknown {
  if (redirectedBy === undefined || !(error instanceof OperatorError) || error instanceof RedirectedError) return error;
  return new RedirectedError(`${error.message} (${safeUrl(redirectedBy)} redirected there)`, {
    code: error.code,
    cause: error,
    ...responseFieldsOf(error),
  });
}

/** The error for a response that is neither the file nor a redirect. `withheld`: headers are declared, but for another server. */
export function statusError(
  url: URL,
  { status, header, forwarder }: Pick<SourceResponse, 'status' | 'header' | 'forwarder'>,
  withheld: boolean,
): SourceError {
  const responded = `${safeUrl(url)} responded with ${statusWithPhrase(status)}${orForwarder(forwarder)}`;
  const options = { httpStatus: status };
  if (status === 404 || status === 410)
    return new SourceError('SourceNotFound', `${responded}: correct the URL, or publish the file`, options);
  if (status === 401 || status === 403) {
    const why = withheld
      ? 'the declared headers are sent to the server of the declared URL only, and this is another server'
      : 'make the file readable without credentials, or declare them in headersSecretRef';
    return new SourceError('SourceForbidden', `${responded}: ${why}`, options);
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return new SourceError('SourceUnavailable', responded, {
      ...options,
      retryAfterMs: retryAfterMs(header('retry-after')),
    });
  if (status === 204) return new SourceError('EmptySource', `${responded}: there are no bytes to upload`, options);
  return new SourceError('SourceRefused', `${responded}, which is not the file: check the URL`, options);
}

/** The error for a request without a response. `error`: as thrown by Node or undici. */
export function connectionError(url: URL, error: unknown): SourceError {
  const code = errorCode(error);
  const invalid = invalidResponse(url, error);
  if (invalid !== undefined) return invalid;
  if (code === 'DeadlineExceeded')
    return new SourceError('SourceSilent', `${safeUrl(url)} did not respond: ${describe(error)}`, {
      cause: error,
    });
  const problem = code === undefined ? undefined : certificateProblem(code);
  if (problem !== undefined)
    return new SourceError(
      'SourceUntrusted',
      `the certificate of ${url.host} is not trusted: ${problem.check} (${code}); ${problem.remedy}`,
      { cause: error },
    );
  const message = `no connection to the source ${safeUrl(url)}: ${describe(error)}`;
  return new SourceError('SourceUnreachable', message, { cause: error });
}

/** The error for a response that is not valid HTTP; undefined if the connection failed for another reason. */
export function invalidResponse(url: URL | string, error: unknown): SourceError | undefined {
  const why = invalidityOf(error);
  return why === undefined
    ? undefined
    : new SourceError('SourceInvalid', `${safeUrl(url)} sent an invalid HTTP response: ${why}`, {
        cause: error,
      });
}

/** The error for a file beyond the limit. `fact` continues the sentence after the URL. */
export function tooLong(url: URL | string, fact: string, maxBytes: number): SourceError {
  return new SourceError('SourceTooLong', `${safeUrl(url)} ${fact}; the limit is ${maxBytes} bytes`);
}

/** `why` is a clause without a full stop. */
export function needsRanges(url: URL | string, why: string, details?: Omit<OperatorErrorOptions, 'code'>): SourceError {
  return new SourceError(
    'ConversionNeedsRanges',
    `${safeUrl(url)} cannot be converted during the transfer, because ${why}: the disk is read in another order than the file, by ` +
      'requests for parts of it. Declare a server that sends parts of an uncompressed qcow2 file, or publish the result of ' +
      'qemu-img convert -O raw and leave content.convert out',
    details,
  );
}

/** The progress of a download for messages: `11 of 100 bytes`. */
export function progress(bytes: number, size: number | undefined): string {
  return size === undefined ? `${bytes} bytes` : `${bytes} of ${size} bytes`;
}

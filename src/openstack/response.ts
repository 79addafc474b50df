/**
 * Reads responses.
 *
 * Guarantees: a non-2xx response becomes an HttpFailure with status, message and request id; a 2xx response that cannot be parsed
 * becomes a MalformedResponse, never the exception of a parser.
 */
import type { Dispatcher } from 'undici';
import { readBounded } from '../http/body.ts';
import { describeExcess, excessOf, jsonBounds } from '../http/json-bounds.ts';
import { orForwarder } from '../http/proxy.ts';
import { redirectOf } from '../http/redirects.ts';
import { retryAfterMs } from '../http/retry-after.ts';
import type { Clock } from '../lib/clock.ts';
import { errorCode, OperatorError } from '../lib/errors.ts';
import { type SecretString, safeUrl } from '../lib/secret.ts';
import { errorMessageIn } from './error-message.ts';
import { ConnectionFailed, HttpFailure, MalformedResponse } from './errors.ts';
import type { BodyLimit, HttpHead, HttpResponse } from './exchange.ts';
import { type JsonValue, parseJson } from './json.ts';

/** Limit for the body of an error response. */
export const errorLimit: BodyLimit = { bytes: 64 * 1024, values: 2_000 };

/** The status and headers of a response, before its body is read. */
export function headOf(response: Dispatcher.ResponseData): HttpHead {
  const headers = Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : `${value}`,
    ]),
  );
  return { status: response.statusCode, headers, requestId: headers['x-openstack-request-id']?.slice(0, 128) };
}

/**
 * Reads a whole response from `url`. Every response that is read whole comes through here: its JSON is within the limit before
 * anything parses it. One above the limit is an error; an error response is truncated, or loses its message.
 */
export async function readResponse(
  response: Dispatcher.ResponseData,
  limit: BodyLimit,
  url: string,
): Promise<HttpResponse> {
  const head = headOf(response);
  const { requestId } = head;
  const body = await readBounded(response.body, limit.bytes);
  // The status of an error response is enough, even if a reset truncated the message.
  if (head.status < 300) {
    if (body.end === 'limit') throw tooLarge(url, `is larger than ${limit.bytes} bytes, which is the limit`, requestId);
    if (body.end === 'failed') throw body.error;
  }
  const text = body.bytes.toString('utf8');
  const excess = excessOf(text, jsonBounds(limit.values));
  // Nothing builds values from a text that is no JSON.
  if (excess === undefined || !looksLikeJson(text)) return { ...head, text };
  if (head.status < 400) throw tooLarge(url, describeExcess(excess), requestId);
  return { ...head, text: '' };
}

function tooLarge(url: string, problem: string, requestId: string | undefined): MalformedResponse {
  return new MalformedResponse(`the response of ${new URL(url).host} ${problem}`, requestId);
}

function looksLikeJson(text: string): boolean {
  return /^[\s\uFEFF]*[[{]/.test(text);
}

/** The target of a redirect, if it has the same scheme, host and port: the token is sent there. */
export function redirectTarget(response: HttpHead, from: string): string | undefined {
  const { status, headers } = response;
  const redirect = redirectOf({ status, location: headers['location'] }, from, 'same-origin');
  return redirect.kind === 'follow' ? redirect.url.href : undefined;
}

/** The error for a request without a response. Errors of ours and programming errors stay unchanged. */
export function asConnectionFailed(url: string, error: unknown): unknown {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof OperatorError) return at;
  }
  if (error instanceof TypeError || errorCode(error) === 'UND_ERR_INVALID_ARG') return error;
  return new ConnectionFailed(new URL(url).origin, error);
}

/** `secrets` are those that were sent: a server may quote them. */
export function failureOf(
  method: string,
  url: string,
  response: HttpResponse,
  { clock, secrets = [] }: { clock: Clock; secrets?: readonly SecretString[] },
): HttpFailure {
  const { status, headers, text, requestId, forwarder } = response;
  const message = errorMessageIn(headers['content-type'], text, secrets);
  return new HttpFailure({
    method,
    url: safeUrl(url),
    status,
    serverMessage: `${message}${orForwarder(forwarder)}`.trim(),
    isPage: /^\s*text\/html\b/i.test(headers['content-type'] ?? ''),
    requestId,
    retryAfterMs: retryAfterMs(headers['retry-after'], clock.now()),
  });
}

export function jsonOf(response: HttpResponse): JsonValue {
  const value = parseJson(response.text);
  if (value === undefined) {
    throw new MalformedResponse(`its response is not JSON: ${quoted(response)}`, response.requestId);
  }
  return value;
}

/** Throws MalformedResponse for a body where a service sends none, or JSON: the page of a proxy in front of it, or of its sign-in. */
export function expectNoPage(response: HttpResponse): void {
  if (response.text.trim() !== '') jsonOf(response);
}

function quoted({ headers, text, secrets = [] }: HttpResponse): string {
  if (text.trim() === '') return 'it is empty';
  const message = errorMessageIn(headers['content-type'], text, secrets).slice(0, 120);
  return message === '' ? 'it has no text to quote' : message;
}

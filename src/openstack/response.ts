/**
 * Reading answers. Law: an answer that says no becomes one HttpFailure with status, words and request id; one that says yes
 * in a way nobody understands becomes an MalformedResponse, never an exception of a parser.
 */
import type { Dispatcher } from 'undici';
import { readBounded } from '../http/body.ts';
import { redirectOf } from '../http/redirects.ts';
import type { Clock } from '../lib/clock.ts';
import { errorCode, OperatorError } from '../lib/errors.ts';
import { type SecretString, safeUrl } from '../lib/secret.ts';
import { errorMessageIn } from './error-message.ts';
import { ConnectionFailed, HttpFailure, MalformedResponse } from './errors.ts';
import type { HttpHead, HttpResponse } from './exchange.ts';
import { type JsonValue, parseJson } from './json.ts';
import { retryAfterMs } from './retry.ts';

/** Of the words of a refusal. */
export const errorBodyLimitBytes = 64 * 1024;

/** What is known of an answer before its body. */
export function headOf(answer: Dispatcher.ResponseData): HttpHead {
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : `${value}`]),
  );
  return { status: answer.statusCode, headers, requestId: headers['x-openstack-request-id']?.slice(0, 128) };
}

/** Reads a whole answer. One above `limit` bytes is an error, a refusal is only cut. */
export async function readResponse(answer: Dispatcher.ResponseData, limit: number): Promise<HttpResponse> {
  const head = headOf(answer);
  const { requestId } = head;
  const body = await readBounded(answer.body, limit);
  // An error response counts even if its message was cut off.
  if (head.status < 300) {
    if (body.end === 'limit') throw new MalformedResponse(`its answer is larger than ${limit} bytes`, requestId);
    if (body.end === 'failed') throw body.error;
  }
  return { ...head, text: body.bytes.toString('utf8') };
}

/** Where a GET is sent on to, on the same scheme, host and port only: the token goes along. */
export function redirectTarget(response: HttpHead, from: string): string | undefined {
  const { status, headers } = response;
  const redirect = redirectOf({ status, location: headers['location'] }, from, 'same-origin');
  return redirect.kind === 'follow' ? redirect.url.href : undefined;
}

/** The answer as it may be quoted: some servers echo what they were sent. */
export function redactSecrets(response: HttpResponse, secrets: readonly SecretString[]): HttpResponse {
  let { text } = response;
  for (const secret of secrets) {
    const plain = secret.reveal();
    // One that short is no secret, and its letters are everywhere.
    if (plain.length < 4) continue;
    for (const form of new Set([plain, JSON.stringify(plain).slice(1, -1)])) text = text.replaceAll(form, '[redacted]');
  }
  return { ...response, text };
}

/** The error for an exchange that had no answer: ours stay what they are, a mistake in the call is no fault of the network. */
export function connectionError(url: string, error: unknown): unknown {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof OperatorError) return at;
  }
  if (error instanceof TypeError || errorCode(error) === 'UND_ERR_INVALID_ARG') return error;
  return new ConnectionFailed(new URL(url).origin, error);
}

export function failureOf(method: string, url: string, response: HttpResponse, clock: Clock): HttpFailure {
  const { status, headers, text, requestId } = response;
  return new HttpFailure({
    method,
    url: safeUrl(url),
    status,
    serverMessage: errorMessageIn(headers['content-type'], text),
    requestId,
    retryAfterMs: retryAfterMs(headers['retry-after'], clock.now()),
  });
}

export function jsonOf(response: HttpResponse): JsonValue {
  const value = parseJson(response.text);
  if (value === undefined) {
    throw new MalformedResponse(`its answer is not JSON: ${quoted(response)}`, response.requestId);
  }
  return value;
}

function quoted(response: HttpResponse): string {
  const words = errorMessageIn(response.headers['content-type'], response.text).slice(0, 120);
  return words === '' ? 'it is empty' : words;
}

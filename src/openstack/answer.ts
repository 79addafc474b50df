/**
 * Reading answers. Law: an answer that says no becomes one HttpFailure with status, words and request id; one that says yes
 * in a way nobody understands becomes an UnreadableAnswer, never an exception of a parser.
 */
import type { Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { safeUrl } from '../lib/secret.ts';
import { HttpFailure, UnreadableAnswer } from './errors.ts';
import { type JsonValue, parseJson } from './json.ts';
import { retryAfterMs } from './retry.ts';
import type { HttpResponse } from './transport.ts';
import { wordsOf } from './words.ts';

/** Reads a whole answer. One above `limit` bytes is an error, a refusal is only cut. */
export async function readAnswer(answer: Dispatcher.ResponseData, limit: number): Promise<HttpResponse> {
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : `${value}`]),
  );
  const refused = answer.statusCode >= 300;
  const requestId = headers['x-openstack-request-id']?.slice(0, 128);
  const response = { status: answer.statusCode, headers, requestId };
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of answer.body) {
      const bytes: Uint8Array = chunk;
      length += bytes.byteLength;
      chunks.push(bytes);
      if (length > limit) {
        if (refused) break;
        throw new UnreadableAnswer(`its answer is larger than ${limit} bytes`, requestId);
      }
    }
  } catch (error) {
    // A refusal counts, even where its words were cut off by a reset.
    if (!refused) throw error;
  }
  return { ...response, text: Buffer.concat(chunks).subarray(0, limit).toString('utf8') };
}

/** Where a GET is sent on to, on the same scheme, host and port only: the token goes along. */
export function redirectTarget(response: HttpResponse, from: string): string | undefined {
  const { location } = response.headers;
  if (location === undefined || ![301, 302, 303, 307, 308].includes(response.status)) return undefined;
  const target = URL.canParse(location, from) ? new URL(location, from) : undefined;
  return target?.origin === new URL(from).origin ? target.href : undefined;
}

export function failureOf(method: string, url: string, response: HttpResponse, clock: Clock): HttpFailure {
  const { status, headers, text, requestId } = response;
  return new HttpFailure({
    method,
    url: safeUrl(url),
    status,
    words: wordsOf(headers['content-type'], text),
    requestId,
    retryAfterMs: retryAfterMs(headers['retry-after'], clock.now()),
  });
}

export function jsonOf(response: HttpResponse): JsonValue {
  const value = parseJson(response.text);
  if (value === undefined) {
    throw new UnreadableAnswer(`its answer is not JSON: ${quoted(response)}`, response.requestId);
  }
  return value;
}

function quoted(response: HttpResponse): string {
  const words = wordsOf(response.headers['content-type'], response.text).slice(0, 120);
  return words === '' ? 'it is empty' : words;
}

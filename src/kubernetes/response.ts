/**
 * Responses of the API server, as JSON, as the error that they stand for, or as lines. Invariant: no body and no line is
 * read without a bound, so a server gone wrong cannot fill the memory.
 */
import type { Dispatcher } from 'undici';
import { readBounded } from '../http/body.ts';
import { excessOf } from '../http/json-bounds.ts';
import { unreachable } from '../lib/errors.ts';
import { errorFromResponse, type KubernetesError, malformedResponse } from './errors.ts';

const maxBodyBytes = 64 * 2 ** 20;
const maxErrorBytes = 2 ** 20;

/** The JSON of a 2xx response to `call`. Throws a KubernetesError for any other. */
export async function readJson(call: string, response: Dispatcher.ResponseData): Promise<unknown> {
  if (response.statusCode >= 300) throw await readError(call, response);
  const body = await readBounded(response.body, maxBodyBytes);
  switch (body.end) {
    case 'complete':
      return parseResponseJson(call, body.bytes.toString('utf8'));
    case 'limit':
      throw malformedResponse(call, `it is longer than ${maxBodyBytes} bytes`);
    case 'failed':
      throw body.error;
    default:
      return unreachable(body);
  }
}

/** The error that a response outside 2xx stands for, even if only a part of its body can be read. */
export async function readError(call: string, response: Dispatcher.ResponseData): Promise<KubernetesError> {
  const { bytes } = await readBounded(response.body, maxErrorBytes);
  const text = bytes.toString('utf8');
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Proxies and the router of the API server respond in plain text, which is shown as it is.
  }
  const header = (name: string) => {
    const value = response.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return errorFromResponse({
    call,
    httpStatus: response.statusCode,
    retryAfter: header('retry-after'),
    auditId: header('audit-id'),
    body,
  });
}

/** Integers are exact. Throws a KubernetesError for text that is not JSON. */
export function parseResponseJson(call: string, text: string): unknown {
  try {
    return canBeExact(text) ? JSON.parse(text, exactInteger) : JSON.parse(text);
  } catch (error) {
    throw malformedResponse(call, `it is not JSON: ${text.slice(0, 100)}`, error);
  }
}

/** An integer that a double may not hold. In JSON a number follows one of these characters. */
const longNumber = /[[,:\s]-?\d{16,}/;
/** A reviver recurses. Objects of the API server with a deeper value are rejected later. */
const reviverBounds = { values: Number.POSITIVE_INFINITY, depth: 200, text: Number.POSITIVE_INFINITY };

/** The reviver takes several times as long, and is rarely needed. */
function canBeExact(text: string): boolean {
  return longNumber.test(text) && excessOf(text, reviverBounds) === undefined;
}

/** An integer beyond 2^53 as a BigInt, with all of its digits: a property such as a build number can be one. */
function exactInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? '';
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/**
 * Yields each line without its newline, and the rest after the last newline unless it is empty. Throws a RangeError at
 * a line of more than `limitBytes`.
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, limitBytes: number): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  const add = (piece: Uint8Array) => {
    length += piece.length;
    if (length > limitBytes) throw new RangeError(`a line is longer than ${limitBytes} bytes`);
    pieces.push(piece);
  };
  // Pieces are joined before they are decoded, so that a character that two chunks share stays whole.
  const take = () => {
    const line = Buffer.concat(pieces).toString('utf8');
    pieces = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      add(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < chunk.length) add(chunk.subarray(start));
  }
  if (length > 0) yield take();
}

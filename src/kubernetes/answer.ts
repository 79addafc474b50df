/**
 * The body of an answer as JSON, or as the error that it stands for. Law: no body is read without a bound.
 */
import type { Dispatcher } from 'undici';
import { badAnswer, errorFromAnswer, type KubernetesError } from './errors.ts';

const maxBodyBytes = 64 * 2 ** 20;
const maxErrorBytes = 2 ** 20;

/** The JSON of a 2xx answer to `call`. Throws a KubernetesError for any other. */
export async function readAnswer(call: string, response: Dispatcher.ResponseData): Promise<unknown> {
  if (response.statusCode >= 300) throw await readRefusal(call, response);
  const text = await readBounded(response.body, maxBodyBytes);
  if (text === undefined) throw badAnswer(call, `it is longer than ${maxBodyBytes} bytes`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badAnswer(call, `it is not JSON: ${text.slice(0, 100)}`, error);
  }
}

/** The error that an answer outside 2xx stands for. */
export async function readRefusal(call: string, response: Dispatcher.ResponseData): Promise<KubernetesError> {
  const text = (await readBounded(response.body, maxErrorBytes)) ?? '';
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Proxies and the server's own router answer in plain text; it is shown as it is.
  }
  const header = (name: string) => {
    const value = response.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return errorFromAnswer({
    call,
    httpStatus: response.statusCode,
    retryAfter: header('retry-after'),
    auditId: header('audit-id'),
    body,
  });
}

/** The body as text, or undefined where it is longer than `limit` bytes. */
async function readBounded(body: AsyncIterable<Uint8Array>, limit: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

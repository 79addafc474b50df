/**
 * One HTTP request and its complete response, for the servers of the test environment.
 *
 * Invariant: nothing is retried and no status is an error here; the test checks the status.
 */
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { z } from 'zod';
import { patienceMs } from './wait.ts';

export interface Ask {
  headers?: OutgoingHttpHeaders;
  /** A Buffer, string or stream goes as it is; anything else as JSON. */
  body?: unknown;
  /** PEM of the certificate authority to trust, for https. */
  ca?: string;
  /** The idle timeout, in milliseconds. Default: the limit of all waits. */
  timeoutMs?: number;
}

export class Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: Buffer;
  readonly #asked: string;

  constructor(asked: string, status: number, headers: IncomingMessage['headers'], bytes: Buffer) {
    this.#asked = asked;
    this.status = status;
    this.headers = headers;
    this.bytes = bytes;
  }

  get text(): string {
    return this.bytes.toString('utf8');
  }

  /** The body as JSON; undefined when there is none. */
  get json(): unknown {
    return this.bytes.length === 0 ? undefined : JSON.parse(this.text);
  }

  /** The body parsed by `schema`; throws, naming the request, unless the response is a success. */
  as<T>(schema: z.ZodType<T>): T {
    return schema.parse(this.ok().json);
  }

  /** Itself, or an error with the request and the server's message unless the status is a success. */
  ok(): this {
    if (this.status < 200 || this.status > 299)
      throw new Error(`${this.#asked} returned ${this.status}: ${this.text.slice(0, 500)}`);
    return this;
  }
}

/** Sends one request and reads the complete response. Rejects only without a response. */
export async function ask(method: string, url: string, { headers = {}, body, ca, timeoutMs = patienceMs }: Ask = {}) {
  const asIs = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) || body instanceof Readable;
  const content = asIs ? body : JSON.stringify(body);
  const type: OutgoingHttpHeaders = asIs ? {} : { 'content-type': 'application/json' };
  const length: OutgoingHttpHeaders =
    content === undefined || content instanceof Readable ? {} : { 'content-length': Buffer.byteLength(content) };
  const secure = url.startsWith('https:');
  const options = { method, headers: { ...type, ...length, ...headers }, agent: false, ...(ca ? { ca } : {}) };
  const sent = secure ? httpsRequest(url, options) : httpRequest(url, options);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', (error) =>
      reject(new Error(`${method} ${url} got no response: ${error.message}`, { cause: error })),
    );
    sent.setTimeout(timeoutMs, () => sent.destroy(new Error(`no data for ${timeoutMs} ms`)));
  });
  if (content instanceof Readable) {
    // A server may respond before it has read everything; then its response counts, not the broken upload.
    pipeline(content, sent).catch(() => {});
  } else {
    sent.end(content);
  }
  const response = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  return new Answer(`${method} ${url}`, response.statusCode ?? 0, response.headers, Buffer.concat(chunks));
}

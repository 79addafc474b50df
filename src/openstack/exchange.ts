/**
 * HTTP as this folder uses it: requests, responses and the interface of a transport.
 */
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { SecretString } from '../lib/secret.ts';
import type { Purpose } from './services.ts';

/** What is read of a response. */
export interface BodyLimit {
  bytes: number;
  /** Elements and members of its JSON, at all levels together. */
  values: number;
}

export interface HttpRequest {
  /** For metrics. */
  purpose: Purpose;
  method: string;
  url: string;
  headers: Record<string, string>;
  /** The global request id. It is sent with the request, and is the same for all attempts of a call. */
  requestId: string;
  body?: string;
  /** From the start to the last byte of the response, redirects included. */
  deadlineMs: number;
  /** A larger response is an error. An error response is truncated to the bytes. */
  limit: BodyLimit;
  signal: AbortSignal;
}

export interface HttpUpload {
  purpose: Purpose;
  method: string;
  url: string;
  headers: Record<string, string>;
  requestId: string;
  /** Read at most once. `upload` throws BodyFailed with the error that it throws, or that its size is wrong. */
  body: AsyncIterable<Uint8Array>;
  /** In bytes, if known. Sent as Content-Length and enforced. */
  size: number | undefined;
  /** The system has taken over this piece of the body, and all before it: their memory is not read any more. */
  onSent?: ((piece: Uint8Array) => void) | undefined;
  /** How long the server may take to accept a chunk, and to respond after the last one. A slow source is not counted. */
  responseDeadlineMs: number;
  signal: AbortSignal;
}

export interface HttpDownload {
  purpose: Purpose;
  url: string;
  headers: Record<string, string>;
  requestId: string;
  /** From the start to the head of the response, redirects included, or to the end of an error response. */
  responseDeadlineMs: number;
  /** How long the server may send nothing within the body. A slow reader is not counted. */
  idleMs: number;
  signal: AbortSignal;
}

export interface HttpHead {
  status: number;
  /** With lower-case names. Repeated headers are joined by commas. */
  headers: Record<string, string>;
  /** The request id of the server. */
  requestId: string | undefined;
}

export interface HttpResponse extends HttpHead {
  text: string;
  /** The proxy that could have sent this response by itself, because it reads the request. */
  forwarder?: string | undefined;
  /** Those that were sent with the request, which the server may echo. A quote of the response is without them. */
  secrets?: readonly SecretString[];
}

export interface HttpStream extends HttpHead {
  /** Ends after all announced bytes or throws ConnectionFailed. Read it, return it, or abort the signal. */
  body: AsyncIterable<Uint8Array>;
}

/** All methods throw ConnectionFailed without a response, and the signal's reason when it aborts. */
export interface Transport {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** `onSending` is called before the first byte of the body is sent. A repetition could do harm from then on. */
  upload(upload: HttpUpload, onSending: () => void): Promise<HttpResponse>;
  /** GET: a stream for a status below 300, otherwise the whole response. */
  download(download: HttpDownload): Promise<{ accepted: HttpStream } | { rejected: HttpResponse }>;
  /** Cancels running requests and closes all connections. */
  close(): Promise<void>;
}

/** One request and its response, for metrics. `code` is the HTTP status, or `<error>` without a response. */
export interface Exchange {
  purpose: Purpose;
  code: string;
  durationMs: number;
}

/** One request, to the head of its response. */
export interface Outgoing {
  purpose: Purpose;
  method: string;
  url: string;
  headers: Record<string, string>;
  requestId: string;
  body?: string | Readable;
  signal: AbortSignal;
}
export type Send = (request: Outgoing) => Promise<Dispatcher.ResponseData>;

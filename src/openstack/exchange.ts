/**
 * HTTP as this folder uses it: requests, responses and the interface of a transport.
 */
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';

export interface HttpRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  /** The global request id: sent along, and the same for all tries of a call. */
  requestId: string;
  body?: string;
  /** From the start to the last byte of the answer, redirects included. */
  deadlineMs: number;
  /** A larger answer is an error; of a refusal only this much is read. */
  bodyLimitBytes: number;
  signal: AbortSignal;
}

export interface HttpUpload {
  method: string;
  url: string;
  headers: Record<string, string>;
  requestId: string;
  /** Read at most once. What it throws is what `upload` throws. */
  body: AsyncIterable<Uint8Array>;
  /** In bytes, when known; sent as Content-Length and enforced. */
  size: number | undefined;
  /** How long the server may take for a chunk, and for its answer after the last one. The source's pace is not timed here. */
  answerDeadlineMs: number;
  signal: AbortSignal;
}

export interface HttpDownload {
  url: string;
  headers: Record<string, string>;
  requestId: string;
  /** From the start to the head of the answer, redirects included, or to the end of a refusal. */
  answerDeadlineMs: number;
  /** How long the server may be silent within the body. The reader's pace is not timed. */
  idleMs: number;
  signal: AbortSignal;
}

export interface HttpHead {
  status: number;
  /** Lower-case names; repeated ones joined by commas. */
  headers: Record<string, string>;
  /** The server's own request id. */
  requestId: string | undefined;
}

export interface HttpResponse extends HttpHead {
  text: string;
}

export interface HttpStream extends HttpHead {
  /** Ends with all announced bytes or throws ConnectionFailed. Must be read or returned, or the signal aborted. */
  body: AsyncIterable<Uint8Array>;
}

/** All throw ConnectionFailed when no answer came, and the signal's reason when it aborts. */
export interface Transport {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** `onSending` is called before the first byte of the body is sent. A repetition could do harm from then on. */
  upload(upload: HttpUpload, onSending: () => void): Promise<HttpResponse>;
  /** GET: a stream for a status below 300, otherwise the answer as it was read. */
  download(download: HttpDownload): Promise<{ accepted: HttpStream } | { rejected: HttpResponse }>;
  /** Ends what is running and closes all connections. */
  close(): Promise<void>;
}

/** One request and its answer, for metrics. `code` is the HTTP status, or `<error>` where there was no answer. */
export interface Exchange {
  method: string;
  url: string;
  code: string;
  durationMs: number;
}

/** One request, to the head of its answer. */
export interface Outgoing {
  method: string;
  url: string;
  headers: Record<string, string>;
  requestId: string;
  body?: string | Readable;
  signal: AbortSignal;
}
export type Send = (request: Outgoing) => Promise<Dispatcher.ResponseData>;

/**
 * HTTP to one cloud. Law: every exchange has a deadline and a bound on what is read; an answer of any status is a result,
 * and only the lack of one is an error; uploads have connections of their own, so that no number of them can keep a small
 * call, such as a deletion, waiting.
 */
import { randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { Agent, buildConnector, request as undiciRequest } from 'undici';
import { DeadlineExceeded, withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { errorCode, OperatorError } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readAnswer, redirectTarget } from './answer.ts';
import { type Relay, relay } from './body.ts';
import { ConnectionFailed, UnreadableAnswer } from './errors.ts';

export interface HttpRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
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
  /** Read at most once. What it throws is what `upload` throws. */
  body: AsyncIterable<Uint8Array>;
  /** In bytes, when known; sent as Content-Length and enforced. */
  size: number | undefined;
  /** How long the server may take for a chunk, and for its answer after the last one. The source's pace is not timed here. */
  answerDeadlineMs: number;
  signal: AbortSignal;
}

export interface HttpResponse {
  status: number;
  /** Lower-case names; repeated ones joined by commas. */
  headers: Record<string, string>;
  text: string;
  /** The server's own request id. */
  requestId: string | undefined;
}

/** Both throw ConnectionFailed when no answer came, and the signal's reason when it aborts. */
export interface Transport {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** `begun` is called before the first byte of the body leaves: from then on a repetition could do harm. */
  upload(upload: HttpUpload, begun: () => void): Promise<HttpResponse>;
  /** Ends what is running and closes all connections. */
  close(): Promise<void>;
}

type Connector = buildConnector.connector;
/** Wraps the making of connections, as an egress policy does; `make` hands `lookup` on to the socket. */
export type ConnectorGuard = (make: (options: { lookup?: LookupFunction }) => Connector) => Connector;

export interface TransportOptions {
  tls: { ca: string | undefined; verify: boolean };
  /** `product/version`. */
  userAgent: string;
  clock: Clock;
  guard?: ConnectorGuard;
}

/** Small calls at once to one host. More would only queue in the server. */
const callConnections = 16;
const connectDeadlineMs = 10_000;
const mostRedirects = 3;
/** Of the words of a refusal. */
const refusalLimitBytes = 64 * 1024;

export function createTransport({ tls, userAgent, clock, guard }: TransportOptions): Transport {
  const make = (options: { lookup?: LookupFunction }): Connector =>
    buildConnector({
      ...options,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      rejectUnauthorized: tls.verify,
      timeout: connectDeadlineMs,
      allowH2: false,
    });
  const connect = guard === undefined ? make({}) : guard(make);
  // Deadlines are ours, from the injected clock; those of the client are off.
  const common = { connect, allowH2: false, headersTimeout: 0, bodyTimeout: 0 };
  const calls = new Agent({ ...common, connections: callConnections, pipelining: 1 });
  const uploads = new Agent(common);
  const withIdentity = (headers: Record<string, string>) => ({
    accept: 'application/json',
    'user-agent': userAgent,
    ...headers,
    'x-openstack-request-id': `req-${randomUUID()}`,
  });

  async function exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    let url = request.url;
    for (let redirects = 0; ; redirects++) {
      const answer = await undiciRequest(url, {
        dispatcher: calls,
        method: request.method,
        headers: withIdentity(request.headers),
        body: request.body ?? null,
        signal,
      });
      const response = await readAnswer(answer, request.bodyLimitBytes);
      const target = request.method === 'GET' ? redirectTarget(response, url) : undefined;
      if (target === undefined || redirects >= mostRedirects) return response;
      url = target;
    }
  }

  return {
    async request(request) {
      const { signal } = request;
      try {
        const what = `${request.method} ${safeUrl(request.url)}`;
        return await withDeadline(clock, what, request.deadlineMs, signal, (inner) => exchange(request, inner));
      } catch (error) {
        signal.throwIfAborted();
        throw withoutAnswer(request.url, error);
      }
    },

    async upload(upload, begun) {
      const { url, size, signal } = upload;
      signal.throwIfAborted();
      const over = new AbortController();
      const cancel = () => over.abort(signal.reason);
      signal.addEventListener('abort', cancel, { once: true });
      let stopTimer = () => {};
      const turn = (whose: 'server' | 'source') => {
        stopTimer();
        if (whose === 'source') return;
        stopTimer = clock.schedule(upload.answerDeadlineMs, () =>
          over.abort(new DeadlineExceeded(`${upload.method} ${safeUrl(url)}`, upload.answerDeadlineMs)),
        );
      };
      const relayed = relay(upload.body, { size, turn, begun, over: over.signal, clock });
      const stream = Readable.from(relayed.body);
      // Its errors are known to the relay; without a listener a late one would end the process.
      stream.on('error', () => {});
      try {
        const answer = await undiciRequest(url, {
          dispatcher: uploads,
          method: upload.method,
          headers: withIdentity({
            ...upload.headers,
            ...(size === undefined ? {} : { 'content-length': String(size) }),
          }),
          body: stream,
          signal: over.signal,
          reset: true,
        });
        // The answer itself is the server's turn too.
        turn('server');
        const response = await readAnswer(answer, refusalLimitBytes);
        return complete(response, relayed);
      } catch (error) {
        signal.throwIfAborted();
        const failure = relayed.failure();
        if (failure !== undefined) throw failure.error;
        throw withoutAnswer(url, over.signal.aborted ? over.signal.reason : error);
      } finally {
        stopTimer();
        signal.removeEventListener('abort', cancel);
        over.abort();
      }
    },

    async close() {
      await Promise.all([calls.destroy(), uploads.destroy()]);
    },
  };
}

/** Success is only believed when the whole body was handed over before. */
function complete(response: HttpResponse, relayed: Relay): HttpResponse {
  if (response.status >= 300 || relayed.isComplete()) return response;
  throw new UnreadableAnswer(`it answered ${response.status} before it had all of the data`, response.requestId);
}

/** The error for an exchange that had no answer: ours stay what they are, a mistake in the call is no fault of the network. */
function withoutAnswer(url: string, error: unknown): unknown {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof OperatorError) return at;
  }
  if (error instanceof TypeError || errorCode(error) === 'UND_ERR_INVALID_ARG') return error;
  return new ConnectionFailed(new URL(url).origin, error);
}

/**
 * HTTP to one cloud. Law: every exchange has a deadline and a bound on what is read; an answer of any status is a result,
 * and only the lack of one is an error; connections are kept and bounded, and streams have their own, so that no number of
 * them can keep a small call, such as a deletion, waiting.
 */
import type { LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher, request as undiciRequest } from 'undici';
import { fenceRequests, type MayWrite, mayAlwaysWrite } from '../http/fence.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { safeUrl } from '../lib/secret.ts';
import type { TlsConfig } from './clouds.ts';
import { createDownload } from './download.ts';
import type { Exchange, Send, Transport } from './exchange.ts';
import { connectionError, headOf, readResponse, redirectTarget } from './response.ts';
import { createUpload } from './upload.ts';

type Connector = buildConnector.connector;
/** Wraps the making of connections, as an egress policy does; `make` hands `lookup` on to the socket. */
export type ConnectorGuard = (make: (options: { lookup?: LookupFunction }) => Connector) => Connector;

export interface TransportOptions {
  tls: TlsConfig;
  /** `product/version`. */
  userAgent: string;
  clock: Clock;
  guard?: ConnectorGuard;
  /** Told of each exchange once the head of its answer is there, or fails to come. */
  observe?: (exchange: Exchange) => void;
  /** Asked right before anything but a read is sent, and before each piece of an upload. Default: always. */
  mayWrite?: MayWrite;
}

/** Small calls at once to one endpoint. More would only queue in the server. */
const callConnections = 16;
/** Uploads and downloads at once to one endpoint: far above what a scheduler lets run. */
const streamConnections = 128;
const connectDeadlineMs = 10_000;
const mostRedirects = 3;

export function createTransport(options: TransportOptions): Transport {
  const { tls, userAgent, clock, guard, observe, mayWrite = mayAlwaysWrite } = options;
  const make = (options: { lookup?: LookupFunction }): Connector =>
    buildConnector({
      ...options,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.client === undefined ? {} : { cert: tls.client.cert, key: tls.client.key.reveal() }),
      rejectUnauthorized: tls.verify,
      timeout: connectDeadlineMs,
      allowH2: false,
    });
  const connect = guard === undefined ? make({}) : guard(make);
  // Deadlines are ours, from the injected clock; those of the client are off.
  const common = { connect, allowH2: false, headersTimeout: 0, bodyTimeout: 0, pipelining: 1 };
  const fence = fenceRequests(mayWrite);
  const calls = new Agent({ ...common, connections: callConnections }).compose(fence);
  const streams = new Agent({ ...common, connections: streamConnections }).compose(fence);

  /** Follows a GET to where it is sent on to, on the same origin: the token goes along. */
  const sendBy =
    (dispatcher: Dispatcher): Send =>
    async ({ method, url, headers, requestId, body, signal }) => {
      for (let at = url, redirects = 0; ; redirects++) {
        const answer = await undiciRequest(at, {
          dispatcher,
          method,
          headers: {
            accept: 'application/json',
            'user-agent': userAgent,
            ...headers,
            'x-openstack-request-id': requestId,
          },
          body: body ?? null,
          signal,
          // Not used again: after an early answer nobody knows what the server still takes for a part of this body.
          ...(typeof body === 'object' ? { reset: true } : {}),
        });
        const target = method === 'GET' ? redirectTarget(headOf(answer), at) : undefined;
        if (target === undefined || redirects >= mostRedirects) return answer;
        await answer.body.dump();
        at = target;
      }
    };
  const observed =
    (send: Send): Send =>
    async (request) => {
      const startedAt = clock.monotonic();
      let code = '<error>';
      try {
        const answer = await send(request);
        code = String(answer.statusCode);
        return answer;
      } finally {
        const { method, url } = request;
        observe?.({ method, url, code, durationMs: clock.monotonic() - startedAt });
      }
    };
  const send = observed(sendBy(calls));

  return {
    async request({ deadlineMs, bodyLimitBytes, signal, ...request }) {
      const what = `${request.method} ${safeUrl(request.url)}`;
      try {
        return await withDeadline(clock, what, deadlineMs, signal, async (inner) =>
          readResponse(await send({ ...request, signal: inner }), bodyLimitBytes),
        );
      } catch (error) {
        signal.throwIfAborted();
        throw connectionError(request.url, error);
      }
    },
    upload: createUpload(observed(sendBy(streams)), clock, mayWrite),
    download: createDownload(observed(sendBy(streams)), clock),
    async close() {
      await Promise.all([calls.destroy(), streams.destroy()]);
    },
  };
}

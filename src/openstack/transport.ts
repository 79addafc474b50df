/**
 * HTTP to one cloud.
 *
 * Guarantees: every exchange has a deadline and a bound on what is read; a response of any status is a result, and only a missing
 * response is an error; connections are reused and bounded in number; streams have connections of their own, so that they never
 * delay a small call such as a deletion.
 */
import { Agent, buildConnector, type Dispatcher, request as undiciRequest } from 'undici';
import { type EgressPolicy, guardConnector } from '../http/egress.ts';
import { fenceRequests, type MayWrite, mayAlwaysWrite } from '../http/fence.ts';
import { type ForwardProxy, proxyConnector } from '../http/proxy.ts';
import { keepsRequest } from '../http/redirects.ts';
import { createTrust, type Trust, trustingConnector } from '../http/trust.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { safeUrl } from '../lib/secret.ts';
import type { TlsConfig } from './clouds-tls.ts';
import { createDownload } from './download.ts';
import type { Exchange, HttpResponse, Send, Transport } from './exchange.ts';
import { asConnectionFailed, headOf, readResponse, redirectTarget } from './response.ts';
import { createUpload } from './upload.ts';

export interface TransportOptions {
  tls: TlsConfig;
  /** The certificates of the installation. Default: none. */
  trust?: Trust;
  /** `product/version`. */
  userAgent: string;
  clock: Clock;
  /** Where connections may lead. Default: everywhere. */
  egress?: EgressPolicy;
  /** The proxy to the servers, where no egress policy has one. */
  proxy?: ForwardProxy;
  /** Called for each exchange as soon as the head of the response has arrived or the request has failed. */
  observe?: (exchange: Exchange) => void;
  /** Called before every request that is not a read, and before each piece of an upload. Default: always. */
  mayWrite?: MayWrite;
}

/** Concurrent small calls to one endpoint. More would only queue in the server. */
const callConnections = 16;
/** Concurrent uploads and downloads to one endpoint: far more than a scheduler starts. */
const streamConnections = 128;
const connectDeadlineMs = 10_000;
const maxRedirects = 3;

export function createTransport(options: TransportOptions): Transport {
  const { tls, trust = createTrust(), userAgent, clock, egress } = options;
  const proxy = egress?.proxy ?? options.proxy;
  const { observe = () => {}, mayWrite = mayAlwaysWrite } = options;
  const closing = new AbortController();
  const connecting = { trust, connectTimeoutMs: connectDeadlineMs, closing: closing.signal };
  const makeConnector = (lookup: object) =>
    trustingConnector(
      trust,
      { ca: tls.ca, replacesSystem: true, client: tls.client },
      (secureContext) =>
        buildConnector({
          ...lookup,
          ...(secureContext === undefined ? {} : { secureContext }),
          rejectUnauthorized: tls.verify,
          timeout: connectDeadlineMs,
          allowH2: false,
        }),
      closing.signal,
    );
  const connectTo = () => {
    if (egress !== undefined) return guardConnector(egress, { make: makeConnector, ...connecting });
    const direct = makeConnector({});
    return proxy === undefined ? direct : proxyConnector(proxy, direct, connecting);
  };
  // Deadlines use the injected clock. Those of the HTTP client are disabled.
  const common = { connect: connectTo(), allowH2: false, headersTimeout: 0, bodyTimeout: 0, pipelining: 1 };
  const layers = [...(proxy === undefined ? [] : [proxy.forward]), fenceRequests(mayWrite)];
  const calls = new Agent({ ...common, connections: callConnections }).compose(layers);
  const streams = new Agent({ ...common, connections: streamConnections }).compose(layers);
  /** The layers of a request, from the outside to the connection. */
  const sendBy = (dispatcher: Dispatcher) => observed(observe, clock, followRedirects(sendOnce(dispatcher, userAgent)));
  const sendCall = sendBy(calls);
  const sendStream = sendBy(streams);

  const upload = createUpload(sendStream, clock, mayWrite);
  const download = createDownload(sendStream, clock);
  /** Redirects stay on the server of `url`. */
  function named(url: string, response: HttpResponse): HttpResponse {
    const forwarder = proxy?.forwarderOf(new URL(url));
    return forwarder === undefined ? response : { ...response, forwarder };
  }

  return {
    async request({ deadlineMs, limit, signal, ...request }) {
      const what = `${request.method} ${safeUrl(request.url)}`;
      try {
        const response = await withDeadline(clock, what, deadlineMs, signal, async (inner) =>
          readResponse(await sendCall({ ...request, signal: inner }), limit, request.url),
        );
        return named(request.url, response);
      } catch (error) {
        signal.throwIfAborted();
        throw asConnectionFailed(request.url, error);
      }
    },
    upload: async (request, onSending) => named(request.url, await upload(request, onSending)),
    async download(request) {
      const result = await download(request);
      return 'accepted' in result ? result : { rejected: named(request.url, result.rejected) };
    },
    async close() {
      await Promise.all([calls.destroy(), streams.destroy()]);
      closing.abort();
    },
  };
}

/** Reports each request, with the redirects that it followed, as one exchange. */
function observed(observe: (exchange: Exchange) => void, clock: Clock, send: Send): Send {
  return async (request) => {
    const startedAt = clock.monotonic();
    let code = '<error>';
    try {
      const response = await send(request);
      code = String(response.statusCode);
      return response;
    } finally {
      observe({ purpose: request.purpose, code, durationMs: clock.monotonic() - startedAt });
    }
  };
}

/**
 * Follows redirects within one origin only, because the token is sent again: of a GET all, of a change without a stream those that
 * keep its method and its body.
 */
function followRedirects(send: Send): Send {
  return async (request) => {
    for (let { url } = request, redirects = 0; ; redirects++) {
      const response = await send({ ...request, url });
      const keeps = request.method === 'GET' || (typeof request.body !== 'object' && keepsRequest(response.statusCode));
      const target = keeps ? redirectTarget(headOf(response), url) : undefined;
      if (target === undefined || redirects >= maxRedirects) return response;
      await response.body.dump();
      url = target;
    }
  };
}

function sendOnce(dispatcher: Dispatcher, userAgent: string): Send {
  return ({ method, url, headers, requestId, body, signal }) =>
    undiciRequest(url, {
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
      // Not reused: after an early response it is unknown which bytes the server still reads as part of this body.
      ...(typeof body === 'object' ? { reset: true } : {}),
    });
}

/**
 * HTTP to the API server. client-node supports every form of kubeconfig and authentication, but opens a TLS connection per
 * call and has no deadlines; so it supplies the credentials, and undici does the HTTP. HTTP/1.1 on purpose: with one
 * connection per call, a dead connection affects one call and not all of them.
 *
 * Guarantees: requests and watches have agents of their own, so that watches never take a connection away from a request.
 * Every call ends by its deadline or its signal, a stream also by its idle timeout. Every body is bounded. Credentials are
 * read again when they are old and when the server rejects them. A call that the server may have carried out is retried only
 * if repeating it does no harm.
 */
import type { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { fenceRequests, type MayWrite, mayAlwaysWrite } from '../http/fence.ts';
import { idleTimeout } from '../http/idle-timeout.ts';
import { abortable, DeadlineExceeded, linked, withDeadline } from '../lib/abort.ts';
import { backoff } from '../lib/backoff.ts';
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { compact } from '../lib/compact.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import {
  closedClient,
  deadlinePassed,
  idleTimeoutOf,
  KubernetesError,
  malformedResponse,
  unreachableServer,
} from './errors.ts';
import {
  type ApiCredentials,
  clusterOf,
  invalidKubeconfig,
  loadKubeconfig,
  readCredentials,
  type TokenLogin,
} from './kubeconfig.ts';
import { readError, readJson, splitLines } from './response.ts';

export type Query = Record<string, string | number | boolean | undefined>;

export interface RequestOptions {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Query;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  text?: string;
  /** For all attempts together. Default: 30 s. */
  deadlineMs?: number;
  /** Whether sending it twice does no harm. Default: true for GET and DELETE. */
  idempotent?: boolean;
}

export interface StreamOptions {
  path: string;
  query: Query;
  headers?: Record<string, string>;
  /** For the whole stream, from its first byte to its last. */
  deadlineMs: number;
  /** How long the server may send no data. */
  idleMs: number;
  /** Called when the server has accepted the request; lines follow. */
  onOpen?: () => void;
}

/** One attempt of one call, for metrics. `code` is the HTTP status, or `<error>` without a response. */
export interface CallRecord {
  method: string;
  host: string;
  code: string;
  durationMs: number;
}

export interface ApiTransport {
  /** The API server's address. */
  readonly server: string;
  /** The namespace of the kubeconfig's context, or of the Pod. */
  readonly namespace: string;
  /** The parsed JSON of a 2xx response. Throws a KubernetesError, or the signal's reason. */
  request(options: RequestOptions, signal: AbortSignal): Promise<unknown>;
  /** The lines of a long response. Ends when the server ends it; throws as `request` does. */
  stream(options: StreamOptions, signal: AbortSignal): AsyncGenerator<string>;
  /** The time of the server, by its last response. Before the first one: that of this process. */
  now(): Date;
  /** Closes all connections. Calls in progress fail with the reason Closed. */
  close(): Promise<void>;
}

export interface ApiTransportOptions {
  /** A file; absent means KUBECONFIG, then ~/.kube/config, then the Pod's ServiceAccount. */
  kubeconfig?: string | TokenLogin;
  /** Of the kubeconfig. Default: its current one. */
  context?: string;
  /**
   * No user can respond to the kubeconfig's exec plugin, which gets no terminal. Default: false; then the messages of the plugin are shown,
   * and its time does not count as time of a request.
   */
  isUnattended?: boolean;
  /** Of this program, for the User-Agent. */
  version: string;
  clock: Clock;
  random: Random;
  observe?: (record: CallRecord) => void;
  /** Called right before anything but a GET is sent; an error that it throws ends the call. Default: always allowed. */
  mayWrite?: MayWrite;
}

const defaultDeadlineMs = 30_000;
const maxLineBytes = 16 * 2 ** 20;
/** How long headers and certificates are used before files are read and plugins run again. */
const credentialsAgeMs = 30_000;

export function createApiTransport(options: ApiTransportOptions): ApiTransport {
  const { clock, random, observe, mayWrite = mayAlwaysWrite, isUnattended = false } = options;
  const closing = new AbortController();
  const plugins = { signal: closing.signal, isUnattended, clock };
  const load = () => loadKubeconfig(options.kubeconfig, options.context, plugins);
  let config = load();
  const cluster = clusterOf(config);
  const base = new URL(cluster.server);
  const server = safeUrl(base).replace(/\/$/, '');
  const prefix = base.pathname.replace(/\/$/, '');
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace?.trim() || 'default';

  let agents: Agents | undefined;
  let login: Login | undefined;
  let renewal: Promise<Login> | undefined;
  /** The time of the server, and that of the monotonic clock then. */
  let served: { ms: number; at: number } | undefined;

  /** Reads the credentials once for all concurrent callers. A new KubeConfig has no cached results of plugins and files. */
  function renew(from: KubeConfig): Promise<Login> {
    renewal ??= (async () => {
      const credentials = await readCredentials(from);
      closing.signal.throwIfAborted();
      if (agents?.fingerprint !== credentials.fingerprint) {
        const old = agents;
        agents = createAgents(credentials, cluster.proxyUrl, mayWrite);
        // A rotated certificate: calls in progress finish on the old connections.
        void old?.requests.close();
        void old?.watches.close();
      }
      config = from;
      login = { headers: credentials.headers, agents, readAt: clock.monotonic() };
      return login;
    })().finally(() => {
      renewal = undefined;
    });
    return renewal;
  }

  async function currentLogin(): Promise<Login> {
    if (login && clock.monotonic() - login.readAt < credentialsAgeMs) return login;
    return renew(config);
  }

  /** One attempt, and a second one if the server rejects the credentials: they may just have been rotated. */
  async function exchange(
    kind: 'requests' | 'watches',
    call: Call,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const first = await abortable(currentLogin(), signal);
    const response = await send(first, kind, call, signal);
    if (response.statusCode !== 401) return response;
    await response.body.dump();
    const second = login === first ? await abortable(renew(load()), signal) : await currentLogin();
    return send(second, kind, call, signal);
  }

  async function send(on: Login, kind: 'requests' | 'watches', call: Call, signal: AbortSignal) {
    const startedAt = clock.monotonic();
    let code = '<error>';
    try {
      const response = await on.agents[kind].request({
        origin: base.origin,
        path: prefix + call.path,
        query: compact(call.query),
        method: call.method,
        headers: {
          accept: 'application/json',
          'user-agent': `glance-image-operator/${options.version}`,
          ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...call.headers,
          ...on.headers,
        },
        body: call.body ?? null,
        signal,
      });
      code = String(response.statusCode);
      const ms = Date.parse(String(response.headers['date']));
      if (!Number.isNaN(ms)) served = { ms, at: clock.monotonic() };
      return response;
    } finally {
      observe?.({ method: call.method, host: base.host, code, durationMs: clock.monotonic() - startedAt });
    }
  }

  function translate(error: unknown): OperatorError {
    return error instanceof OperatorError ? error : unreachableServer(server, error);
  }

  return {
    server,
    namespace,
    now: () => (served === undefined ? clock.now() : new Date(served.ms + clock.monotonic() - served.at)),

    async request(request, given) {
      using over = linked(given, closing.signal);
      const { signal } = over;
      signal.throwIfAborted();
      const { method, deadlineMs = defaultDeadlineMs } = request;
      const idempotent = request.idempotent ?? (method === 'GET' || method === 'DELETE');
      const name = `${method} ${request.path}`;
      const call: Call = {
        method,
        path: request.path,
        query: request.query ?? {},
        headers: request.headers ?? {},
        body: request.text ?? (request.body === undefined ? undefined : JSON.stringify(request.body)),
      };
      // A user may take longer to log in than a server to respond.
      if (!isUnattended) await abortable(currentLogin(), signal);
      const deadlineAt = clock.monotonic() + deadlineMs;
      try {
        return await withDeadline(clock, name, deadlineMs, signal, async (work) => {
          for (let attempt = 0; ; attempt++) {
            try {
              return await readJson(name, await exchange('requests', call, work));
            } catch (error) {
              work.throwIfAborted();
              const failure = translate(error);
              const delay = retryDelay(failure, attempt, idempotent, random);
              // Waiting until the deadline would only hide the server's message.
              if (delay === undefined || clock.monotonic() + delay >= deadlineAt) throw failure;
              await clock.sleep(delay, work);
            }
          }
        });
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof DeadlineExceeded ? deadlinePassed(name, deadlineMs, error) : error;
      }
    },

    async *stream(request, given) {
      using work = linked(given, closing.signal);
      const { signal } = work;
      signal.throwIfAborted();
      const name = `GET ${request.path}`;
      const call: Call = {
        method: 'GET',
        path: request.path,
        query: request.query,
        headers: request.headers ?? {},
        body: undefined,
      };
      const { deadlineMs, idleMs } = request;
      const cancelTimer = clock.schedule(deadlineMs, () =>
        work.abort(deadlinePassed(name, deadlineMs, new DeadlineExceeded(name, deadlineMs))),
      );
      try {
        const response = await exchange('watches', call, signal);
        // A body that is destroyed early emits an error; without a listener that would end the process.
        response.body.on('error', () => {});
        if (response.statusCode >= 300) throw await readError(name, response);
        request.onOpen?.();
        const onIdle = () => work.abort(idleTimeoutOf(name, idleMs));
        yield* splitLines(idleTimeout(response.body, { clock, windowMs: idleMs }, onIdle), maxLineBytes);
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof RangeError ? malformedResponse(name, error.message) : translate(error);
      } finally {
        cancelTimer();
        // A reader that stops early ends the request.
        work.abort();
      }
    },

    async close() {
      closing.abort(closedClient(server));
      const old = agents;
      agents = undefined;
      login = undefined;
      await Promise.all([old?.requests.destroy(), old?.watches.destroy()]);
    },
  };
}

interface Call {
  method: Dispatcher.HttpMethod;
  path: string;
  query: Query;
  headers: Record<string, string>;
  body: string | undefined;
}

interface Login {
  headers: ApiCredentials['headers'];
  agents: Agents;
  readAt: number;
}

interface Agents {
  fingerprint: string;
  requests: Dispatcher;
  watches: Dispatcher;
}

function createAgents(credentials: ApiCredentials, proxyUrl: string | undefined, mayWrite: MayWrite): Agents {
  // Keep-alive probes turn a connection that a NAT or load balancer has dropped into a reset.
  const connect = { ...credentials.tls, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };
  const create = (options: Agent.Options): Dispatcher => {
    const common = { ...options, allowH2: false, keepAliveTimeout: 30_000 };
    if (proxyUrl === undefined) return new Agent({ ...common, connect });
    if (!/^https?:/.test(proxyUrl)) throw invalidKubeconfig('its proxy-url must be an http or https address');
    try {
      return new ProxyAgent({ ...common, uri: proxyUrl, requestTls: connect });
    } catch (error) {
      throw invalidKubeconfig(`its proxy-url cannot be used: ${describe(error)}`, error);
    }
  };
  return {
    fingerprint: credentials.fingerprint,
    // Each call has a deadline by the injected clock, so the client's own limits are off.
    requests: create({ connections: 16, headersTimeout: 0, bodyTimeout: 0 }).compose(fenceRequests(mayWrite)),
    watches: create({ headersTimeout: 30_000, bodyTimeout: 0 }),
  };
}

const maxRetries = 3;
const growth = { firstMs: 200, maxMs: 800 };

/** Milliseconds to wait before retry number `attempt` (0 for the first); undefined if the call must not be retried. */
function retryDelay(error: OperatorError, attempt: number, idempotent: boolean, random: Random): number | undefined {
  if (attempt >= maxRetries || !(error instanceof KubernetesError) || !mayRepeat(error, idempotent)) return undefined;
  const delay = jitter(backoff(growth, attempt), 0.5, random);
  // Retry-After is a minimum; the jitter on top keeps the clients of the server apart.
  return error.retryAfterMs === undefined ? delay : error.retryAfterMs + delay;
}

/** A call that the server may have carried out is repeated only if that does no harm. */
function mayRepeat(error: KubernetesError, idempotent: boolean): boolean {
  switch (error.reason) {
    // Priority and fairness rejects a request before it is processed.
    case 'TooManyRequests':
      return true;
    case 'Unreachable':
    case 'ServiceUnavailable':
    case 'BadGateway':
      return idempotent;
    // The server adds Retry-After only to transient errors (ServerTimeout, Timeout, InternalError).
    default:
      return idempotent && error.retryAfterMs !== undefined && (error.httpStatus ?? 0) >= 500;
  }
}

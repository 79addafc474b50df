/**
 * HTTP to the API server. client-node knows every form of kubeconfig and every way to authenticate, but opens a TLS
 * connection per call and knows no deadline; so it supplies credentials, and undici does the HTTP.
 *
 * Law: two long-lived agents, so that watches never take a connection away from a request; every call ends by its
 * deadline or its signal, a stream also by its silence; every body has a bound; credentials are read anew when they age and
 * when the server refuses them.
 * HTTP/1.1 on purpose: with one connection per call a dead connection is a local event, not a stall of everything.
 */
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { fenceRequests, type MayWrite, mayAlwaysWrite } from '../http/fence.ts';
import { abortable, DeadlineExceeded, linked, withDeadline } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { compact } from '../lib/compact.ts';
import { describe, OperatorError, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readAnswer, readRefusal } from './answer.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import { badAnswer, deadlinePassed, fellSilent, KubernetesError, unreachableServer } from './errors.ts';
import { splitLines } from './lines.ts';
import { retryDelay } from './retry.ts';
import { watchSilence } from './silence.ts';

export type Query = Record<string, string | number | boolean | undefined>;

export interface RequestOptions {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Query;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** For all tries together; 30 s unless stated. */
  deadlineMs?: number;
  /** Sending it twice does no harm. True for GET and DELETE unless stated. */
  idempotent?: boolean;
}

export interface StreamOptions {
  path: string;
  query: Query;
  headers?: Record<string, string>;
  /** For the whole stream, first byte to last. */
  deadlineMs: number;
  /** How long nothing at all may come. */
  silenceMs: number;
  /** The server accepted; lines follow. */
  onOpen?: () => void;
}

/** One try of one call, for metrics. `code` is the HTTP status, or `<error>` where there was no answer. */
export interface CallRecord {
  method: string;
  host: string;
  code: string;
  durationMs: number;
}

export interface Transport {
  /** The API server's address. */
  readonly server: string;
  /** The namespace that the kubeconfig's context, or the Pod, is in. */
  readonly namespace: string;
  /** The parsed JSON of a 2xx answer. Throws a KubernetesError, or the signal's reason. */
  request(options: RequestOptions, signal: AbortSignal): Promise<unknown>;
  /** The lines of a long answer. Ends when the server ends it; throws as `request` does. */
  stream(options: StreamOptions, signal: AbortSignal): AsyncGenerator<string>;
  /** Ends all connections. Calls under way fail. */
  close(): Promise<void>;
}

export interface TransportOptions {
  /** A file; absent means KUBECONFIG, then ~/.kube/config, then the Pod's ServiceAccount. */
  kubeconfig?: string;
  context?: string;
  /** Of this program, for the User-Agent. */
  version: string;
  clock: Clock;
  random: Random;
  observe?: (record: CallRecord) => void;
  /** Asked right before anything but a GET is sent; what it throws ends the call. Default: always. */
  mayWrite?: MayWrite;
}

const defaultDeadlineMs = 30_000;
const maxLineBytes = 16 * 2 ** 20;
/** How long headers and certificates are used before files and plugins are asked again. */
const credentialsAgeMs = 30_000;

export function createTransport(options: TransportOptions): Transport {
  const { clock, random, observe, mayWrite = mayAlwaysWrite } = options;
  let config = loadConfig(options);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw invalidKubeconfig('its current context names no cluster');
  const base = new URL(cluster.server);
  const server = safeUrl(base).replace(/\/$/, '');
  const prefix = base.pathname.replace(/\/$/, '');
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace?.trim() || 'default';

  let agents: Agents | undefined;
  let session: Session | undefined;
  let renewal: Promise<Session> | undefined;

  /** Reads the credentials once for all who wait for them. A new KubeConfig forgets what plugins and files said before. */
  function renew(from: KubeConfig): Promise<Session> {
    renewal ??= (async () => {
      const credentials = await readCredentials(from);
      if (agents?.fingerprint !== credentials.fingerprint) {
        const old = agents;
        agents = createAgents(credentials, cluster?.proxyUrl, mayWrite);
        // A rotated certificate: calls under way finish on the old connections.
        void old?.requests.close();
        void old?.watches.close();
      }
      config = from;
      session = { headers: credentials.headers, agents, readAt: clock.monotonic() };
      return session;
    })().finally(() => {
      renewal = undefined;
    });
    return renewal;
  }

  async function currentSession(): Promise<Session> {
    if (session && clock.monotonic() - session.readAt < credentialsAgeMs) return session;
    return renew(config);
  }

  /** One try, with one more where the server refuses the credentials: they may just have been rotated. */
  async function exchange(
    kind: 'requests' | 'watches',
    call: Call,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const first = await abortable(currentSession(), signal);
    const response = await send(first, kind, call, signal);
    if (response.statusCode !== 401) return response;
    await response.body.dump();
    const second = session === first ? await abortable(renew(loadConfig(options)), signal) : await currentSession();
    return send(second, kind, call, signal);
  }

  async function send(on: Session, kind: 'requests' | 'watches', call: Call, signal: AbortSignal) {
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
      return response;
    } finally {
      observe?.({ method: call.method, host: base.host, code, durationMs: clock.monotonic() - startedAt });
    }
  }

  /** The error that the caller sees for whatever was thrown under `work`, the signal of one call. */
  function translate(error: unknown): OperatorError {
    return error instanceof OperatorError ? error : unreachableServer(server, error);
  }

  return {
    server,
    namespace,

    async request(request, signal) {
      const { method, deadlineMs = defaultDeadlineMs } = request;
      const idempotent = request.idempotent ?? (method === 'GET' || method === 'DELETE');
      const name = `${method} ${request.path}`;
      const call: Call = {
        method,
        path: request.path,
        query: request.query ?? {},
        headers: request.headers ?? {},
        body: request.body === undefined ? undefined : JSON.stringify(request.body),
      };
      const deadlineAt = clock.monotonic() + deadlineMs;
      try {
        return await withDeadline(clock, name, deadlineMs, signal, async (work) => {
          for (let attempt = 0; ; attempt++) {
            try {
              return await readAnswer(name, await exchange('requests', call, work));
            } catch (error) {
              work.throwIfAborted();
              const failure = translate(error);
              const delay = retryDelay(failure, attempt, idempotent, random);
              // Waiting into the deadline would only hide what the server said.
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

    async *stream(request, signal) {
      signal.throwIfAborted();
      const name = `GET ${request.path}`;
      const call: Call = {
        method: 'GET',
        path: request.path,
        query: request.query,
        headers: request.headers ?? {},
        body: undefined,
      };
      using work = linked(signal);
      const { deadlineMs, silenceMs } = request;
      const cancelTimer = clock.schedule(deadlineMs, () =>
        work.abort(deadlinePassed(name, deadlineMs, new DeadlineExceeded(name, deadlineMs))),
      );
      try {
        const response = await exchange('watches', call, work.signal);
        // A body that is destroyed early reports that as an error; the loop below is what matters.
        response.body.on('error', () => {});
        if (response.statusCode >= 300) throw await readRefusal(name, response);
        request.onOpen?.();
        const onSilence = () => work.abort(fellSilent(name, silenceMs));
        yield* splitLines(watchSilence(response.body, clock, silenceMs, onSilence), maxLineBytes);
      } catch (error) {
        signal.throwIfAborted();
        work.signal.throwIfAborted();
        throw error instanceof RangeError ? badAnswer(name, error.message) : translate(error);
      } finally {
        cancelTimer();
        // Whoever stops reading early ends the request with it.
        work.abort();
      }
    },

    async close() {
      const old = agents;
      agents = undefined;
      session = undefined;
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

interface Session {
  headers: Record<string, string>;
  agents: Agents;
  readAt: number;
}

interface Agents {
  fingerprint: string;
  requests: Dispatcher;
  watches: Dispatcher;
}

function loadConfig(options: TransportOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(options.kubeconfig);
  } catch (error) {
    throw invalidKubeconfig(describe(error), error);
  }
  if (options.context !== undefined) {
    if (config.getContextObject(options.context) === null)
      throw invalidKubeconfig(`it has no context ${options.context}`);
    config.setCurrentContext(options.context);
  }
  // `kubectl proxy` and the like: there is no TLS to verify, and client-node insists on hearing so.
  config.clusters = config.clusters.map((each) =>
    each.server.startsWith('http:') ? { ...each, skipTLSVerify: true } : each,
  );
  return config;
}

function invalidKubeconfig(problem: string, cause?: unknown): KubernetesError {
  return new KubernetesError(`The kubeconfig cannot be used: ${problem}`, {
    reason: 'KubeconfigInvalid',
    retry: retry.change,
    cause,
  });
}

function createAgents(credentials: Credentials, proxyUrl: string | undefined, mayWrite: MayWrite): Agents {
  // Keep-alive probes turn a connection that a NAT or load balancer forgot into a reset.
  const connect = { ...credentials.tls, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };
  const create = (options: Agent.Options): Dispatcher => {
    const common = { ...options, allowH2: false, keepAliveTimeout: 30_000 };
    if (proxyUrl === undefined) return new Agent({ ...common, connect });
    if (!/^https?:/.test(proxyUrl)) throw invalidKubeconfig('its proxy-url must be an http or https address');
    return new ProxyAgent({ ...common, uri: proxyUrl, requestTls: connect });
  };
  return {
    fingerprint: credentials.fingerprint,
    // The deadline of each call is the clock's, so undici's own limits are off where they would be a second one.
    requests: create({ connections: 16, headersTimeout: 0, bodyTimeout: 0 }).compose(fenceRequests(mayWrite)),
    watches: create({ headersTimeout: 30_000, bodyTimeout: 0 }),
  };
}

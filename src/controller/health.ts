/**
 * The HTTP servers for probes and metrics. Both may have one port; or metrics have a server of their own, with TLS and a login.
 *
 * Invariant: no probe causes I/O. A check is a function that returns its problem as a sentence, or undefined; a check that throws has
 * failed.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { aborted } from '../lib/abort.ts';
import { describe } from '../lib/errors.ts';

export type Check = () => string | undefined;
export type Checks = Readonly<Record<string, Check>>;

/** The text for Prometheus. */
export type Render = () => Promise<{ contentType: string; text: string }>;

export interface Address {
  /** Empty means every address of the machine, also IPv6, because a Pod may have no other. */
  host: string;
  /** With 0 the system chooses a port, which the server's `address` has. */
  port: number;
}

export interface HealthServerOptions extends Address {
  /** A failed check means: restart this process. */
  live: Checks;
  /** A failed check means: not ready yet. */
  ready: Checks;
  /** Undefined where metrics have a server of their own. */
  metrics?: Render | undefined;
}

export interface HealthServer {
  /** Serves until `stop`. Throws if the port cannot be opened. */
  run(stop: AbortSignal): Promise<void>;
  /** Resolves once it serves. */
  readonly address: Promise<Address>;
}

/** What a client gets instead of the metrics. */
export interface ScrapeRejection {
  status: 401 | 403 | 429 | 503;
  message: string;
}

export interface MetricsServerOptions extends Address {
  metrics: Render;
  /** PEM. A new pair counts for connections that are opened after it. */
  certificate: Replaceable<{ cert: string; key: string }>;
  /** Undefined lets the client have the metrics. Gets the header `authorization`. */
  admit: (authorization: string | undefined, signal: AbortSignal) => Promise<ScrapeRejection | undefined>;
}

/** A value that may change. */
export interface Replaceable<T> {
  current(): T;
  /** Called after each change. */
  onChange(listener: (value: T) => void): void;
}

/** An attacker without a login can hold no more than so many connections. */
const mostConnections = 128;
const limits = { requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 32_768 };

export function createHealthServer(options: HealthServerOptions): HealthServer {
  const { metrics } = options;
  const paths = ['/livez', '/readyz', ...(metrics === undefined ? [] : ['/metrics'])];

  async function serve(path: string, response: ServerResponse): Promise<void> {
    if (path === '/livez') return report(options.live, response);
    if (path === '/readyz') return report(options.ready, response);
    if (path === '/metrics' && metrics !== undefined) return answerWith(metrics, response);
    response.writeHead(404, plainText).end(`Not found. Available paths: ${paths.join(', ')}.\n`);
  }

  return listening(options, () =>
    createServer(limits, (request, response) => settle(serve(pathOf(request), response), response)),
  );
}

/** Metrics over TLS, for clients that log in. */
export function createMetricsServer({ metrics, certificate, admit, ...at }: MetricsServerOptions): HealthServer {
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (pathOf(request) !== '/metrics') {
      response.writeHead(404, plainText).end('Not found. Available paths: /metrics.\n');
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const rejected = await admit(request.headers.authorization, gone.signal);
    if (rejected === undefined) return answerWith(metrics, response);
    const hint = rejected.status === 401 ? { 'www-authenticate': 'Bearer' } : { 'retry-after': '1' };
    response.writeHead(rejected.status, { ...plainText, ...hint }).end(`${rejected.message}\n`);
  }

  return listening(at, () => {
    const server = createTlsServer({ ...limits, ...certificate.current() }, (request, response) =>
      settle(serve(request, response), response),
    );
    server.maxConnections = mostConnections;
    certificate.onChange((pair) => server.setSecureContext(pair));
    return server;
  });
}

function listening({ host, port }: Address, create: () => Server | TlsServer): HealthServer {
  const opened = Promise.withResolvers<Address>();
  opened.promise.catch(() => {});
  return {
    address: opened.promise,
    async run(stop) {
      const server = create();
      const failed = Promise.withResolvers<never>();
      server.on('error', (error) => {
        opened.reject(error);
        failed.reject(error);
      });
      server.listen(host === '' ? { port } : { port, host }, () => {
        const address = server.address();
        if (address !== null && typeof address === 'object')
          opened.resolve({ host: address.address, port: address.port });
      });
      try {
        await Promise.race([aborted(stop), failed.promise]);
      } finally {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] ?? '';
}

async function answerWith(metrics: Render, response: ServerResponse): Promise<void> {
  const { contentType, text } = await metrics();
  response.writeHead(200, { 'content-type': contentType }).end(text);
}

function settle(answer: Promise<void>, response: ServerResponse): void {
  answer.catch((error: unknown) => {
    if (!response.headersSent) response.writeHead(500, plainText);
    response.end(`${describe(error)}\n`);
  });
}

const plainText = { 'content-type': 'text/plain; charset=utf-8' };

function report(checks: Checks, response: ServerResponse): void {
  const results = Object.entries(checks).map(([name, check]) => ({ name, problem: problemOf(check) }));
  const healthy = results.every(({ problem }) => problem === undefined);
  const lines = results.map(({ name, problem }) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name}: ${problem}`,
  );
  response.writeHead(healthy ? 200 : 503, plainText).end(`${lines.join('\n')}\n`);
}

function problemOf(check: Check): string | undefined {
  try {
    return check();
  } catch (error) {
    return describe(error);
  }
}

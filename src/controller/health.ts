/**
 * The HTTP server for probes and metrics. Invariant: no request causes I/O. A check is a function that returns its problem as a
 * sentence, or undefined; a check that throws has failed.
 */
import { createServer, type ServerResponse } from 'node:http';
import { aborted } from '../lib/abort.ts';
import { describe } from '../lib/errors.ts';

export type Check = () => string | undefined;
export type Checks = Readonly<Record<string, Check>>;

export interface HealthServerOptions {
  /** Empty means every address of the machine, also IPv6, because a Pod may have no other. */
  host: string;
  /** With 0 the system chooses a port, which `address` has. */
  port: number;
  /** A failed check means: restart this process. */
  live: Checks;
  /** A failed check means: not ready yet. */
  ready: Checks;
  /** The text for Prometheus. */
  metrics: () => Promise<{ contentType: string; text: string }>;
}

export interface HealthServer {
  /** Serves until `stop`. Throws if the port cannot be opened. */
  run(stop: AbortSignal): Promise<void>;
  /** Resolves once it serves. */
  readonly address: Promise<{ host: string; port: number }>;
}

export function createHealthServer(options: HealthServerOptions): HealthServer {
  const listening = Promise.withResolvers<{ host: string; port: number }>();
  listening.promise.catch(() => {});

  async function serve(path: string, response: ServerResponse): Promise<void> {
    switch (path) {
      case '/livez':
        return report(options.live, response);
      case '/readyz':
        return report(options.ready, response);
      case '/metrics': {
        const { contentType, text } = await options.metrics();
        response.writeHead(200, { 'content-type': contentType }).end(text);
        return;
      }
      default:
        response.writeHead(404, plainText).end('Not found. Available paths: /livez, /readyz, /metrics.\n');
    }
  }

  return {
    address: listening.promise,
    async run(stop) {
      const server = createServer({ requestTimeout: 10_000, maxHeaderSize: 16_384 }, (request, response) => {
        const [path = ''] = (request.url ?? '').split('?');
        serve(path, response).catch((error: unknown) => {
          if (!response.headersSent) response.writeHead(500, plainText);
          response.end(`${describe(error)}\n`);
        });
      });
      const failed = Promise.withResolvers<never>();
      server.on('error', (error) => {
        listening.reject(error);
        failed.reject(error);
      });
      const { host, port } = options;
      server.listen(host === '' ? { port } : { port, host }, () => {
        const address = server.address();
        if (address !== null && typeof address === 'object')
          listening.resolve({ host: address.address, port: address.port });
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

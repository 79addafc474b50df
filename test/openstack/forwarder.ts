/**
 * A server that stands in front of a real one and hands requests on, changed as a test wants: for clouds that look different from
 * outside than they are.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { type Answer, ask } from '../env/http.ts';
import { testTls } from '../env/tls.ts';

export interface Forwarder {
  url: string;
  /** `GET /v2/images`, in order. */
  seen: string[];
}

export interface ForwarderOptions {
  /** Without a path. */
  upstream: string;
  /** Headers that replace those of the request. A number rejects it with that status. */
  admit?: (request: IncomingMessage) => Record<string, string> | number;
  /** The text that replaces the body of the upstream response. */
  rewrite?: (answer: Answer, request: IncomingMessage) => string;
  /** Served by https, and only to clients with a known certificate. */
  mutualTls?: boolean;
}

export async function forwarder(t: TestContext, options: ForwarderOptions): Promise<Forwarder> {
  const { upstream, admit = () => ({}), rewrite = ({ text }) => text, mutualTls = false } = options;
  const seen: string[] = [];
  const handle: RequestListener = async (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const verdict = admit(request);
    if (typeof verdict === 'number') {
      request.resume();
      return void response.writeHead(verdict, { 'content-type': 'text/plain' }).end('rejected by the proxy');
    }
    const { host: _, connection: __, ...headers } = request.headers;
    const body = request.method === 'GET' ? undefined : request;
    const answer = await ask(request.method ?? 'GET', `${upstream}${request.url}`, {
      headers: { ...headers, ...verdict },
      body,
    });
    const { 'content-length': ___, 'transfer-encoding': ____, connection: _____, ...kept } = answer.headers;
    response.writeHead(answer.status, kept).end(rewrite(answer, request));
  };
  const listener: RequestListener = (request, response) =>
    void Promise.resolve(handle(request, response)).catch(() => response.destroy());
  const { cert, key } = testTls();
  const server = mutualTls
    ? createSecureServer({ cert, key, ca: cert, requestCert: true, rejectUnauthorized: true }, listener)
    : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `${mutualTls ? 'https' : 'http'}://127.0.0.1:${port}`, seen };
}

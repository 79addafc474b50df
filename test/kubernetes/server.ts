/** An API server with the responses of a test: the n-th request gets the n-th response, and the last response stays. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { type ApiTransport, type CallRecord, createApiTransport } from '../../src/kubernetes/transport.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';

export interface Seen {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: string;
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface ScriptedServer {
  url: string;
  seen: Seen[];
  /** Connections that were opened so far. */
  connections(): number;
}

export async function startServer(t: TestContext, ...answers: Answer[]): Promise<ScriptedServer> {
  const seen: Seen[] = [];
  let connections = 0;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://server');
    const body = await text(request);
    const answer = answers[Math.min(seen.length, answers.length - 1)];
    const { method = '', headers } = request;
    seen.push({ method, path: url.pathname, query: url.searchParams, headers, body });
    answer?.(response, request);
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address !== 'object') throw new Error('the server has no address');
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${address.port}`, seen, connections: () => connections };
}

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

export const status = (code: number, reason: string, message: string, more: object = {}): Answer =>
  json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, ...more });

export const reset: Answer = (response) => void response.destroy();

/** Writes the lines of a watch and ends it. */
export const lines =
  (...events: unknown[]): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    for (const event of events) response.write(`${JSON.stringify(event)}\n`);
    response.end();
  };

/** Sends the head of a response and then nothing. */
export const silence: Answer = (response) => response.writeHead(200).flushHeaders();

export const object = (name: string, resourceVersion: string, more: Record<string, unknown> = {}) => ({
  apiVersion: 'example.com/v1',
  kind: 'Thing',
  metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion },
  ...more,
});

/** The system's clock, except that sleeps take no time and are recorded. */
export function createImpatientClock(): Clock & { slept: number[] } {
  const slept: number[] = [];
  return {
    ...systemClock,
    slept,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      slept.push(ms);
      await nextTurn();
    },
  };
}

export async function writeKubeconfig(
  t: TestContext,
  server: string,
  user: object,
  proxyURL?: string,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'config');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, 'proxy-url': proxyURL } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'images' } }],
    'current-context': 'x',
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}

export async function connect(
  t: TestContext,
  server: { url: string },
  options: {
    clock?: Clock;
    user?: object;
    observe?: (record: CallRecord) => void;
    mayWrite?: () => void;
    isUnattended?: boolean;
  } = {},
): Promise<ApiTransport> {
  const kubeconfig = await writeKubeconfig(t, server.url, options.user ?? { token: 'secret-token' });
  const transport = createApiTransport({
    kubeconfig,
    version: '1.2.3',
    clock: options.clock ?? createImpatientClock(),
    random: () => 0.5,
    ...(options.isUnattended === undefined ? {} : { isUnattended: options.isUnattended }),
    ...(options.observe === undefined ? {} : { observe: options.observe }),
    ...(options.mayWrite === undefined ? {} : { mayWrite: options.mayWrite }),
  });
  t.after(() => transport.close());
  return transport;
}

export const never = new AbortController().signal;

export function rejectsWith(reason: string) {
  return (error: unknown) => {
    assert.ok(error instanceof KubernetesError, String(error));
    assert.equal(error.reason, reason);
    return true;
  };
}

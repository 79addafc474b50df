/**
 * A fault proxy in front of a server of the stack.
 *
 * Invariant: it passes bytes as they come, in both directions. Every fault belongs to a request, never to a time.
 * Requests are recorded in order, so that a test can count them.
 */

import { once } from 'node:events';
import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { passLines, type StreamFault } from './stream-faults.ts';

const maxRecordedBody = 64 * 1024;

export interface ProxiedRequest {
  /** From 1, over all requests. */
  readonly index: number;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** When it came, in milliseconds since 1970. */
  readonly at: number;
  /** Of the upstream's response; 0 until it arrives. */
  status: number;
  /** What was sent, where it is JSON or YAML: as far as it has passed, and at most 64 KiB. */
  body: string;
  /** The fault that was applied. */
  fault: Fault | undefined;
  /** When that came, in milliseconds since 1970; 0 until then. */
  answeredAt: number;
}

export type Fault =
  /** The connection is cut before the request reaches the server. */
  | { kind: 'refuse' }
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
  /** A redirect to the same address: give the rule a number of times. */
  | { kind: 'redirect'; status: number }
  /** The server processes the request, and the response never arrives. */
  | { kind: 'loseAnswer' }
  /** The response breaks off after so many bytes of its body. */
  | { kind: 'truncate'; bytes: number }
  /** A fault after so many lines of the response. */
  | { kind: 'afterLines'; lines: number; what: StreamFault }
  /** The server is asked for something else. */
  | { kind: 'rewrite'; path: (path: string) => string }
  /** Nothing happens until the promise resolves; then the request goes on. */
  | { kind: 'hold'; released: Promise<unknown> }
  /** The response has another body. */
  | { kind: 'edit'; body: (text: string) => string }
  /** The client gets this status, or loses its connection, after its last byte; the server gets the last bytes when the promise resolves. */
  | { kind: 'answerEarly'; status: number | 'reset'; released: Promise<unknown> }
  /** Called when the server has responded; the client receives the response once the promise resolves, if there is one. */
  | { kind: 'afterAnswer'; run: (request: ProxiedRequest) => Promise<void> | void };

export interface Rule {
  /** Which requests it is about. */
  matches: (request: ProxiedRequest) => boolean;
  fault: Fault;
  /** It strikes only so many times. Default: always. */
  times?: number;
  /** It lets so many matching requests pass first. Default: 0. */
  skip?: number;
}

export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly ProxiedRequest[];
  /** Forgets them: a long run would fill the memory with them. */
  forget(): void;
  /** Adds a rule; returns its removal. The first rule that strikes wins. */
  on(rule: Rule): () => void;
  /** Calls `listener` for each response of the server, whatever the fault; returns the removal. */
  onResponse(listener: (request: ProxiedRequest) => void): () => void;
}

export interface Upstream {
  url: string;
  /** PEM of the certificate authority, for https. */
  ca?: string;
}

/** Every request except reads and authentication. */
export function changesSomething({ method, path }: ProxiedRequest): boolean {
  return !['GET', 'HEAD', 'OPTIONS'].includes(method) && !path.startsWith('/v3/auth/');
}

function recordBody(request: IncomingMessage, record: ProxiedRequest): void {
  if (!/json|yaml/.test(request.headers['content-type'] ?? '')) return;
  request.on('data', (chunk: Buffer) => {
    if (record.body.length < maxRecordedBody) record.body += chunk.toString();
  });
}

function truncate(answer: IncomingMessage, response: ServerResponse, bytes: number): void {
  let left = bytes;
  answer.on('data', (chunk: Buffer) => {
    if (left <= 0) return;
    response.write(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) response.socket?.destroySoon();
  });
}

async function edit(
  answer: IncomingMessage,
  response: ServerResponse,
  { body }: Extract<Fault, { kind: 'edit' }>,
): Promise<void> {
  const { 'content-length': _, 'transfer-encoding': __, ...headers } = answer.headers;
  response.writeHead(answer.statusCode ?? 0, headers).end(body(await text(answer)));
}

function answerEarly(
  request: IncomingMessage,
  response: ServerResponse,
  outgoing: ClientRequest,
  { status, released }: Extract<Fault, { kind: 'answerEarly' }>,
): void {
  let held: Buffer | undefined;
  outgoing.flushHeaders();
  outgoing.on('response', (answer: IncomingMessage) => answer.resume());
  request.on('data', (chunk: Buffer) => {
    if (held !== undefined) outgoing.write(held);
    held = chunk;
  });
  request.on('end', () => {
    if (status === 'reset') request.socket.destroy();
    else response.writeHead(status, { 'content-type': 'text/html' }).end('<html><body>Gateway Time-out</body></html>');
    void released.then(() => outgoing.end(held));
  });
}

export async function startProxy(upstream: Upstream): Promise<FaultProxy> {
  const requests: ProxiedRequest[] = [];
  let count = 0;
  const rules = new Set<Rule & { seen: number; struck: number }>();
  const listeners = new Set<(request: ProxiedRequest) => void>();

  function strike(record: ProxiedRequest): Fault | undefined {
    for (const rule of rules) {
      if (!rule.matches(record)) continue;
      rule.seen++;
      if (rule.seen <= (rule.skip ?? 0) || rule.struck >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      rule.struck++;
      return rule.fault;
    }
    return undefined;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    const record: ProxiedRequest = {
      index: ++count,
      method,
      path: url,
      headers,
      at: Date.now(),
      status: 0,
      answeredAt: 0,
      body: '',
      fault: undefined,
    };
    requests.push(record);
    const fault = strike(record);
    record.fault = fault;
    if (fault?.kind === 'refuse') {
      request.socket.destroy();
      return;
    }
    if (fault?.kind === 'redirect') {
      request.resume();
      response.writeHead(fault.status, { location: `http://${headers.host}${url}` }).end();
      return;
    }
    if (fault?.kind === 'answer') {
      request.resume();
      response.writeHead(fault.status, { 'content-type': 'text/plain', ...fault.headers }).end(fault.body ?? '');
      return;
    }
    if (fault?.kind === 'hold') await fault.released;
    // The client may have disconnected.
    if (request.socket.destroyed) return;
    await forward(request, response, record, fault);
  }

  async function forward(
    request: IncomingMessage,
    response: ServerResponse,
    record: ProxiedRequest,
    fault: Fault | undefined,
  ) {
    const target = new URL(upstream.url);
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
    const path = fault?.kind === 'rewrite' ? fault.path(record.path) : record.path;
    const outgoing = send(new URL(path, target), {
      method: record.method,
      headers: { ...request.headers, host: target.host },
      ...(upstream.ca === undefined ? {} : { ca: upstream.ca }),
    });
    const cut = () => {
      outgoing.destroy();
      response.destroy();
    };
    outgoing.on('error', cut);
    recordBody(request, record);
    if (fault?.kind === 'answerEarly') return answerEarly(request, response, outgoing, fault);
    request.on('aborted', cut);
    response.on('close', () => {
      if (!response.writableFinished) outgoing.destroy();
    });
    request.pipe(outgoing);
    const [answer]: IncomingMessage[] = await once(outgoing, 'response');
    if (answer === undefined) return;
    record.status = answer.statusCode ?? 0;
    record.answeredAt = Date.now();
    for (const listener of listeners) listener(record);
    if (fault?.kind === 'loseAnswer') {
      answer.resume();
      await once(answer, 'end');
      request.socket.destroy();
      return;
    }
    if (fault?.kind === 'afterAnswer') await fault.run(record);
    if (fault?.kind === 'edit') return edit(answer, response, fault);
    response.writeHead(record.status, answer.headers);
    // The head of a watch has to arrive before its first event does.
    response.flushHeaders();
    if (fault?.kind === 'afterLines') {
      answer.on('error', cut);
      passLines(answer, response, fault.lines, fault.what);
      return;
    }
    if (fault?.kind !== 'truncate') {
      answer.pipe(response);
      answer.on('error', cut);
      return;
    }
    truncate(answer, response, fault.bytes);
  }

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    forget: () => void requests.splice(0),
    on(rule) {
      const entry = { ...rule, seen: 0, struck: 0 };
      rules.add(entry);
      return () => void rules.delete(entry);
    },
    onResponse(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/**
 * An HTTP server of images that fails as real mirrors fail.
 *
 * Invariant: every fault belongs to a byte or a request, never to a time, so that a test does not depend on timing.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Content, contentOf, digestOf, pieces } from './content.ts';
import { testTls } from './tls.ts';

export type SourceFault =
  /** The connection is reset when this byte of the body would be next. */
  | { kind: 'resetAt'; byte: number }
  /** The connection is closed, in order, when this byte of the body would be next. */
  | { kind: 'closeAt'; byte: number }
  /** Nothing more comes from this byte on; the connection stays open. */
  | { kind: 'stallAt'; byte: number }
  | { kind: 'drip'; bytesPerSecond: number }
  /** The body ends cleanly after so many bytes, and Content-Length says so: a truncated file on a mirror. */
  | { kind: 'short'; bytes: number }
  | { kind: 'redirect'; to: string; status?: number }
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
  /** The request is taken and nothing is ever said. */
  | { kind: 'never-answers' }
  /** The response to this request is for another file: one that has changed, or that the server describes wrongly. */
  | { kind: 'instead'; file: Partial<SourceFile> };

export interface SourceFile {
  body: Buffer | Content;
  /** Sent and honoured by If-Range and If-None-Match. Default: one made of the content; null for none. */
  etag?: string | null;
  /**
   * `none` sends the body in chunks, `close` ends it by closing the connection; a number is what Content-Length claims, right
   * or not. Default `right`.
   */
  contentLength?: 'right' | 'none' | 'close' | number;
  /** Default 200. */
  status?: number;
  /** They win over those that the server would send. `last-modified` is honoured by If-Range. */
  headers?: Record<string, string>;
  /** Returns 401 to requests without these headers. */
  required?: Record<string, string>;
  /** Whether Range is honoured. Default true; `ignoring If-Range` sends a range of whatever there is now. */
  ranges?: boolean | 'ignoring If-Range';
  /** A range is cut to so many bytes. */
  longestRange?: number;
  fault?: SourceFault;
  /** The fault strikes only the first so many requests. Default: all. */
  times?: number;
  /** What strikes the first request, the second, and so on, in place of `fault`; null for nothing. */
  faults?: readonly (SourceFault | null)[];
  /** The body is held back at byte `at` until the promise resolves. */
  gate?: { at: number; released: Promise<unknown> };
}

export interface SourceRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly range: string | undefined;
  /** 0 until the response is sent. */
  status: number;
  /** Bytes of body sent so far. */
  sent: number;
  /** Nothing more comes: a `stallAt` or `never-answers` has struck. */
  stalled: boolean;
}

export interface Source {
  /** `http://127.0.0.1:N`, or what `options` make of it, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Every request so far, in order. */
  readonly requests: readonly SourceRequest[];
  /** Serves a file at `path`, in place of an earlier one; returns its URL. */
  add(path: string, file: SourceFile): string;
  remove(path: string): void;
  /** How many connections are open at this moment. */
  connections(): Promise<number>;
  /** Resolves with the n-th request (from 1) for `path` as soon as it has come. */
  requested(path: string, nth?: number): Promise<SourceRequest>;
  stop(): Promise<void>;
}

export interface SourceOptions {
  /** Default: any free port. */
  port?: number;
  /** Take the first free one of these, such as `stack.sourcePorts`, from which Glance itself may fetch. */
  ports?: readonly number[];
  /** Serve https, with the certificate of `testTls()` or with this one (PEM). */
  tls?: boolean | { key: string; cert: string };
  /** Default 127.0.0.1. */
  host?: string;
}

export async function startSource(options: SourceOptions = {}): Promise<Source> {
  const files = new Map<string, SourceFile & { seen: number }>();
  const requests: SourceRequest[] = [];
  const waiters = new Set<() => void>();
  const stopped = Promise.withResolvers<void>();

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '/';
    const record: SourceRequest = {
      method: request.method ?? 'GET',
      path,
      headers: request.headers,
      range: request.headers.range,
      status: 0,
      sent: 0,
      stalled: false,
    };
    requests.push(record);
    for (const waiter of waiters) waiter();
    request.resume();
    const file = files.get(path) ?? files.get(path.split('?')[0] ?? path);
    if (file === undefined) return finish(response, record, 404, {}, 'no such file\n');
    const nth = file.seen++;
    const fault = file.faults ? file.faults[nth] : nth < (file.times ?? Number.POSITIVE_INFINITY) && file.fault;
    await serve(file, fault || undefined, request, response, record, stopped.promise);
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response).catch((error) => response.destroy(error));
  };
  const { tls = false, host = '127.0.0.1' } = options;
  const server = tls ? createTlsServer(tls === true ? testTls() : tls, listener) : createServer(listener);
  const port = await listenOnFirst(server, options.ports ?? [options.port ?? 0], host);
  const url = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;

  return {
    url,
    port,
    requests,
    add(path, file) {
      files.set(path, { ...file, seen: 0 });
      return `${url}${path}`;
    },
    remove: (path) => void files.delete(path),
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      }),
    async requested(path, nth = 1) {
      for (;;) {
        const found = requests.filter((request) => request.path === path)[nth - 1];
        if (found !== undefined) return found;
        const { promise, resolve } = Promise.withResolvers<void>();
        waiters.add(resolve);
        await promise;
        waiters.delete(resolve);
      }
    },
    async stop() {
      stopped.resolve();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listenOnFirst(
  server: ReturnType<typeof createServer>,
  ports: readonly number[],
  host: string,
): Promise<number> {
  for (const port of ports) {
    const listening = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, host, () => resolve(true));
    });
    server.removeAllListeners('error');
    const address = server.address();
    if (listening && address !== null && typeof address === 'object') return address.port;
  }
  throw new Error(`none of the ports ${ports.join(', ')} is free`);
}

function finish(
  response: ServerResponse,
  record: SourceRequest,
  status: number,
  headers: Record<string, string>,
  body = '',
): void {
  record.status = status;
  record.sent = Buffer.byteLength(body);
  response.writeHead(status, headers).end(body);
}

async function serve(
  file: SourceFile,
  fault: SourceFault | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  record: SourceRequest,
  stopped: Promise<void>,
): Promise<void> {
  if (fault?.kind === 'instead') {
    return serve({ ...file, ...fault.file }, undefined, request, response, record, stopped);
  }
  if (fault?.kind === 'never-answers') {
    record.stalled = true;
    return;
  }
  const { headers: given } = request;
  if (Object.entries(file.required ?? {}).some(([name, value]) => given[name] !== value)) {
    return finish(response, record, 401, { 'www-authenticate': 'Bearer' });
  }
  if (fault?.kind === 'redirect') return finish(response, record, fault.status ?? 302, { location: fault.to });
  if (fault?.kind === 'answer') return finish(response, record, fault.status, fault.headers ?? {}, fault.body);

  const content = contentOf(file.body);
  const etag = file.etag === undefined ? `"${fingerprint(content)}"` : file.etag;
  const headers: Record<string, string> = {
    'content-type': 'application/octet-stream',
    ...(file.ranges === false ? {} : { 'accept-ranges': 'bytes' }),
    ...(etag === null ? {} : { etag }),
  };
  if (etag !== null && given['if-none-match'] === etag) return finish(response, record, 304, headers);
  const size = fault?.kind === 'short' ? Math.min(fault.bytes, content.size) : content.size;
  const range = rangeOf(file, given, size, etag);
  if (range === 'unsatisfiable') {
    return finish(response, record, 416, { 'content-range': `bytes */${size}`, ...file.headers });
  }
  const { start, end } = range ?? { start: 0, end: size };
  record.status = range === undefined ? (file.status ?? 200) : 206;
  if (range !== undefined) headers['content-range'] = `bytes ${start}-${end - 1}/${size}`;
  if (file.contentLength === 'close') response.removeHeader('transfer-encoding');
  else if (file.contentLength !== 'none') {
    headers['content-length'] = String(typeof file.contentLength === 'number' ? file.contentLength : end - start);
  }
  Object.assign(headers, file.headers);
  // Node would check our claims; a server that lies must be able to.
  response.strictContentLength = false;
  response.writeHead(record.status, headers);
  response.flushHeaders();
  if (record.method === 'HEAD') return void response.end();
  await send(content, start, end, { file, fault, response, record, stopped });
}

interface Sending {
  file: SourceFile;
  fault: SourceFault | undefined;
  response: ServerResponse;
  record: SourceRequest;
  stopped: Promise<void>;
}

async function send(content: Content, start: number, end: number, sending: Sending): Promise<void> {
  const { fault, response, record } = sending;
  const { breakAt } = await sendUntilBreak(content, start, end, sending);
  if (response.destroyed) return;
  if (breakAt === undefined) return void response.end();
  if (fault?.kind === 'stallAt') {
    record.stalled = true;
    return;
  }
  if (fault?.kind === 'closeAt') return void response.socket?.end();
  // A reset discards what the kernel has not sent yet; so let the other side have it first.
  await new Promise((resolve) => response.write('', resolve));
  response.socket?.resetAndDestroy();
}

/** Where the fault breaks the body, if it does; everything before that is sent. */
async function sendUntilBreak(content: Content, start: number, end: number, sending: Sending) {
  const { file, fault, response, record, stopped } = sending;
  const gate = file.gate !== undefined && file.gate.at >= start && file.gate.at <= end ? file.gate : undefined;
  const breaks = fault?.kind === 'resetAt' || fault?.kind === 'closeAt' || fault?.kind === 'stallAt';
  const breakAt = breaks && fault.byte >= start && fault.byte <= end ? fault.byte : undefined;
  // The body in stretches, so that a gate and a break lie between two of them.
  const stops = [start, gate?.at ?? start, breakAt ?? end].sort((a, b) => a - b);
  const until = breakAt ?? end;
  const piece = fault?.kind === 'drip' ? Math.max(1, Math.ceil(fault.bytesPerSecond / 20)) : undefined;
  for (const [index, from] of stops.entries()) {
    if (gate !== undefined && from === gate.at) await Promise.race([gate.released, stopped]);
    const to = Math.min(stops[index + 1] ?? until, until);
    for (const bytes of pieces(content, from, to, piece)) {
      if (response.destroyed) return { breakAt };
      const flowing = response.write(bytes);
      record.sent += bytes.length;
      if (fault?.kind === 'drip') await sleep(50);
      else if (!flowing) await drained(response);
    }
  }
  return { breakAt };
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** The range that is asked for, when it is asked for validly: one range, and the content is still the one that If-Range means. */
function rangeOf(file: SourceFile, headers: IncomingHttpHeaders, size: number, etag: string | null) {
  if (file.ranges === false) return undefined;
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const ifRange = headers['if-range'];
  if (from === '' && to === '') return undefined;
  const isSame = ifRange === undefined || ifRange === etag || ifRange === file.headers?.['last-modified'];
  if (!isSame && file.ranges !== 'ignoring If-Range') return undefined;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const asked = from === '' || to === '' ? size : Math.min(Number(to) + 1, size);
  const end = Math.min(asked, start + (file.longestRange ?? size));
  return start >= end ? 'unsatisfiable' : { start, end };
}

const fingerprints = new WeakMap<Content, string>();

/** An entity tag of the content's ends and size: enough to distinguish two contents of a test, at no cost. */
function fingerprint(content: Content): string {
  const known = fingerprints.get(content);
  if (known !== undefined) return known;
  const ends = Buffer.concat([content.slice(0, 4096), content.slice(Math.max(0, content.size - 4096), content.size)]);
  const made = `${content.size}-${digestOf(ends).slice(0, 16)}`;
  fingerprints.set(content, made);
  return made;
}

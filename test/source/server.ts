/** A real server on loopback whose responses a test scripts, and the transport to reach it. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import { after, before } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { openHttpSource } from '../../src/source/http.ts';
import type { Source, SourceLimits } from '../../src/source/source.ts';
import { createSourceTransport, type SourceTransport } from '../../src/source/transport.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export const limits: SourceLimits = { maxBytes: 1_000_000, stallBytes: 100, stallWindowMs: 60_000 };

/** Real time, in which the pauses before further tries take none. */
const quickClock: Clock = {
  ...systemClock,
  sleep: async (_ms, signal) => signal?.throwIfAborted(),
};

export interface OpenOptions {
  path?: string;
  url?: string;
  clock?: Clock;
  signal?: AbortSignal;
  limits?: Partial<SourceLimits>;
  transport?: SourceTransport;
}

/** Brings the server up before the tests of the file that calls this, and down after them. */
export function useServer() {
  let handle: Handler = () => {};
  const server = createServer((request, response) => handle(request, response));
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  const at = { origin: '' };
  before(async () => {
    at.origin = `http://127.0.0.1:${await listen(server)}`;
  });
  after(async () => {
    await transport.close();
    server.close();
    server.closeAllConnections();
  });
  /** Opens a source on the server, which responds by `handler`. */
  function open(handler: Handler, options: OpenOptions = {}): Promise<Source> {
    handle = handler;
    return openHttpSource({
      urls: [options.url ?? `${at.origin}${options.path ?? '/image.raw'}`],
      transport: options.transport ?? transport,
      clock: options.clock ?? quickClock,
      random: () => 0.5,
      hasDigest: false,
      limits: { ...limits, ...options.limits },
      signal: options.signal ?? new AbortController().signal,
    });
  }
  return { at, open };
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return address.port;
}

export async function read(source: Source): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** For `assert.rejects`. */
export function failsWith(code: string, message: RegExp, retryKind?: string) {
  return (error: unknown) => {
    assert(error instanceof OperatorError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    if (retryKind !== undefined) assert.equal(error.retry.kind, retryKind);
    return true;
  };
}

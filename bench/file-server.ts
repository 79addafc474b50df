/**
 * Serves the files of a folder over HTTP at minimal cost, in a separate process so that its cost is measured
 * separately. Under `/limited/` each connection sends 20 MB/s at most, one response after the other, each at least 80 ms after its
 * request, also over TLS if there is a certificate in the environment.
 */
import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream';
import { setTimeout } from 'node:timers/promises';

const [folder = '.'] = process.argv.slice(2);
const { CERT: cert, KEY: key } = process.env;
const latencyMs = 80;
const tickMs = 10;
const bytesPerMs = 20_000;

/** What of the file is requested, and the head of its response is written. */
function rangeOf(request: IncomingMessage, response: ServerResponse, file: string): { from: number; to: number } {
  const { size } = statSync(file);
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const from = Number(first ?? 0);
  const to = last ? Number(last) + 1 : size;
  const range = first === undefined ? {} : { 'content-range': `bytes ${from}-${to - 1}/${size}` };
  response.writeHead(first === undefined ? 200 : 206, {
    'content-length': to - from,
    'accept-ranges': 'bytes',
    etag: `"${basename(file)}"`,
    ...range,
  });
  return { from, to };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const file = join(folder, basename(request.url ?? ''));
  if (request.url?.startsWith('/limited/')) return void inTurn(request, response, file);
  const { from, to } = rangeOf(request, response, file);
  pipeline(createReadStream(file, { start: from, end: to - 1, highWaterMark: 2 ** 20 }), response, () => {});
}

/** The end of the last response of each connection, and when it would have come without the ticks of this server. */
const turns = new WeakMap<Socket, Promise<unknown>>();
const ends = new WeakMap<Socket, number>();

async function inTurn(request: IncomingMessage, response: ServerResponse, file: string): Promise<void> {
  const { socket } = request;
  const requested = performance.now();
  const due = Promise.all([turns.get(socket), setTimeout(latencyMs)]);
  turns.set(socket, once(response, 'close'));
  await due;
  const began = Math.max(ends.get(socket) ?? 0, requested + latencyMs, performance.now() - 3 * tickMs);
  const { from, to } = rangeOf(request, response, file);
  ends.set(socket, began + (to - from) / bytesPerMs);
  await limited(response, { file, from, to, began });
}

interface Part {
  file: string;
  from: number;
  to: number;
  /** The moment from which on the bytes of the limit are counted. */
  began: number;
}

async function limited(response: ServerResponse, { file, from, to, began }: Part): Promise<void> {
  const handle = await open(file);
  let at = from;
  let isBusy = false;
  const timer = setInterval(async () => {
    if (isBusy || response.writableNeedDrain) return;
    if (response.destroyed || at >= to) return end(handle);
    isBusy = true;
    const due = Math.min(to, from + Math.floor((performance.now() - began) * bytesPerMs));
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.max(due - at, 0)), 0, due - at, at);
    at += bytesRead;
    response.write(buffer.subarray(0, bytesRead));
    isBusy = false;
  }, tickMs);
  async function end(file: FileHandle): Promise<void> {
    clearInterval(timer);
    response.end();
    await file.close();
  }
}

const servers = [createServer(answer), ...(cert && key ? [createTlsServer({ cert, key }, answer)] : [])];
await Promise.all(servers.map((server) => new Promise<void>((up) => server.listen(0, '127.0.0.1', up))));
const isAddress = (address: unknown): address is AddressInfo => typeof address === 'object' && address !== null;
const [port, tlsPort] = servers.map((server) => server.address()).flatMap((at) => (isAddress(at) ? [at.port] : []));
process.send?.({ plain: `http://127.0.0.1:${port}`, secure: `https://127.0.0.1:${tlsPort}` });
process.on('disconnect', () => process.exit());

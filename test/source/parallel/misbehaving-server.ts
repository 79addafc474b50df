/**
 * A server on raw sockets that responds to each request as a script says, in a time that is counted in its own ticks.
 *
 * Invariant: what a connection sends depends on the script and the order of the requests only, not on the speed of the machine.
 */
import { createServer, type Socket } from 'node:net';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { listen } from '../server.ts';

export const tickMs = 64;

type Addition = 'garbage' | 'the same response' | 'a line end' | 'a failure';

/** How a request is handled. */
export type Conduct =
  | { kind: 'sent'; framing: 'length' | 'chunked' | 'http/1.0' | 'close'; headBytes: number | undefined }
  /** Nothing for some time, at this part of the body. */
  | { kind: 'paused'; at: number; ticks: number }
  /** The connection closes at this part of the body. */
  | { kind: 'broken'; at: number; how: 'end' | 'reset' }
  /** It closes before the response, or after it, and with it what was requested too early. */
  | { kind: 'closed'; when: 'before' | 'in the head' | 'after' }
  | { kind: 'silent' }
  /** Requests that arrive before the end of this response are lost. */
  | { kind: 'deaf' }
  /** A range that begins and ends later or earlier than requested. */
  | { kind: 'other range'; begin: number; end: number; isLabelled: boolean }
  | { kind: 'whole' }
  | { kind: 'status'; status: number; body: string }
  | { kind: 'other file' }
  /** More bytes come after the body. */
  | { kind: 'followed'; by: Addition };

export interface Script {
  /** Bytes that a connection sends in a tick. */
  rate: number;
  /** Of the requests that it governs, in their order. Later ones are sent. */
  conducts: readonly Conduct[];
  /** Whether it governs only requests for a range with an end, as further connections make them. */
  onlyParts: boolean;
  /** From this request on the server has another version of the file, with another entity tag. */
  changesAt: number | undefined;
}

interface Sending {
  at: number;
  to: number;
  begin: number;
  version: Buffer;
  conduct: Conduct;
  isChunked: boolean;
  isLast: boolean;
  head: string;
}

export interface MisbehavingServer {
  readonly url: string;
  readonly clock: Clock;
  readonly seen: { ticks: number; requests: string[] };
  close(): void;
}

const plain = { kind: 'sent', framing: 'length', headBytes: undefined } as const;
const latencyTicks = 1;

/** `isPart`: with an end. */
interface Requested {
  from: number;
  to: number;
  isRange: boolean;
  isPart: boolean;
}

function requestOf(head: string, size: number): Requested {
  const [, first, last = ''] = /range: bytes=(\d+)-(\d*)/i.exec(head) ?? [];
  const to = last === '' ? size : Number(last) + 1;
  return { from: Number(first ?? 0), to, isRange: first !== undefined, isPart: last !== '' };
}

function insteadOfBody(conduct: Conduct): { text: string; isLast: boolean } | undefined {
  if (conduct.kind === 'silent') return { text: '', isLast: false };
  if (conduct.kind === 'closed' && conduct.when === 'before') return { text: '', isLast: true };
  if (conduct.kind === 'closed' && conduct.when === 'in the head') return { text: 'HTTP/1.1 206 Par', isLast: true };
  if (conduct.kind !== 'status') return undefined;
  const { status, body } = conduct;
  return { text: `HTTP/1.1 ${status} Other\r\ncontent-length: ${body.length}\r\n\r\n${body}`, isLast: false };
}

function bodyOf(request: Requested, conduct: Conduct, size: number, etag: string) {
  const isRange = request.isRange && conduct.kind !== 'whole';
  const asked = isRange ? request : { from: 0, to: size };
  const other = conduct.kind === 'other range' ? conduct : { begin: 0, end: 0, isLabelled: true };
  const from = Math.min(Math.max(asked.from + other.begin, 0), size - 1);
  const to = Math.min(Math.max(asked.to + other.end, from + 1), size);
  const label = other.isLabelled ? { from, to } : asked;
  const framing = conduct.kind === 'sent' ? conduct.framing : 'length';
  const lines = [
    `${framing === 'http/1.0' ? 'HTTP/1.0' : 'HTTP/1.1'} ${isRange ? '206 Partial Content' : '200 OK'}`,
    `etag: ${etag}`,
    framing === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${to - from}`,
    ...(isRange ? [`content-range: bytes ${label.from}-${label.to - 1}/${size}`] : []),
    ...(framing === 'close' ? ['connection: close'] : []),
  ];
  return { head: `${lines.join('\r\n')}\r\n\r\n`, from, to };
}

function chunked(bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** After a body that ends at `to`. */
const additions: Record<Addition, (version: Buffer, to: number) => Buffer | string> = {
  garbage: (version) => version.subarray(0, 1000),
  'a line end': () => '\r\n',
  'a failure': () => 'HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
  'the same response'(version, to) {
    const request = { from: to - 9, to, isRange: true, isPart: true };
    const { head } = bodyOf(request, plain, version.length, '"1"');
    return Buffer.concat([Buffer.from(head), version.subarray(to - 9, to)]);
  },
};

/** `versions`: of one length. */
export async function misbehaving(versions: readonly [Buffer, Buffer], script: Script): Promise<MisbehavingServer> {
  const size = versions[0].length;
  const seen = { ticks: 0, requests: [] as string[] };
  const sending = new Map<Socket, Sending>();
  const waiting = new WeakMap<Socket, string[]>();
  const sockets = new Set<Socket>();
  let governed = 0;

  function respond(socket: Socket, text: string): void {
    const request = requestOf(text, size);
    const conduct = script.onlyParts && !request.isPart ? plain : (script.conducts[governed++] ?? plain);
    const number = seen.requests.push(`${request.from}-${request.to} ${JSON.stringify(conduct)}`) - 1;
    const isChanged = number >= (script.changesAt ?? Infinity) || conduct.kind === 'other file';
    const early = insteadOfBody(conduct);
    if (early !== undefined) {
      socket.write(early.text);
      if (early.isLast) socket.end();
      return;
    }
    const { head, from, to } = bodyOf(request, conduct, size, isChanged ? '"2"' : '"1"');
    const { framing, headBytes = head.length } = conduct.kind === 'sent' ? conduct : plain;
    socket.write(head.slice(0, headBytes));
    sending.set(socket, {
      at: from,
      to,
      begin: seen.ticks + latencyTicks,
      version: versions[isChanged ? 1 : 0],
      conduct,
      isChunked: framing === 'chunked',
      isLast: framing === 'http/1.0' || framing === 'close' || (conduct.kind === 'closed' && conduct.when === 'after'),
      // It goes with the first bytes of the body, in one segment.
      head: head.slice(headBytes),
    });
  }

  function ended(socket: Socket, { conduct, isLast, version, to }: Sending): void {
    sending.delete(socket);
    if (isLast) return void socket.end();
    if (conduct.kind === 'followed') socket.write(additions[conduct.by](version, to));
    const next = waiting.get(socket)?.shift();
    if (next !== undefined) respond(socket, next);
  }

  function pauseOrBreak(state: Sending): number {
    const { conduct, at } = state;
    const length = state.to - at;
    const to = Math.min(at + script.rate, state.to);
    if (conduct.kind === 'broken') return Math.min(at + Math.floor(conduct.at * Math.min(length, script.rate * 8)), to);
    if (conduct.kind !== 'paused' || conduct.ticks === 0) return to;
    state.begin = seen.ticks + conduct.ticks;
    state.conduct = { ...conduct, ticks: 0 };
    return Math.min(at + Math.floor(conduct.at * length), to);
  }

  function send(socket: Socket, state: Sending): void {
    const { conduct, isChunked, version, head } = state;
    const to = pauseOrBreak(state);
    const bytes = version.subarray(state.at, to);
    // The end of a response and the next head go in one segment.
    socket.cork();
    socket.write(head);
    state.head = '';
    socket.write(isChunked ? chunked(bytes) : bytes);
    state.at = to;
    if (conduct.kind === 'broken') sending.delete(socket);
    else if (to === state.to) {
      if (isChunked) socket.write('0\r\n\r\n');
      ended(socket, state);
    }
    socket.uncork();
    if (conduct.kind === 'broken') conduct.how === 'end' ? socket.end() : socket.resetAndDestroy();
  }

  const server = createServer((socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    waiting.set(socket, []);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      sending.delete(socket);
    });
    let text = '';
    socket.on('data', (data) => {
      const requests = (text + data.toString('latin1')).split('\r\n\r\n');
      text = requests.pop() ?? '';
      for (const request of requests) {
        const busy = sending.get(socket);
        if (busy === undefined) respond(socket, request);
        else if (busy.conduct.kind !== 'deaf') waiting.get(socket)?.push(request);
      }
    });
  });

  const timers = new Set<{ at: number; callback: () => void }>();
  let isOver = false;
  function tick(): void {
    if (isOver) return;
    seen.ticks++;
    let isIdle = true;
    for (const [socket, state] of sending) {
      if (seen.ticks < state.begin || socket.writableNeedDrain || !socket.writable) continue;
      isIdle = false;
      send(socket, state);
    }
    for (const timer of timers) {
      if (timer.at > seen.ticks * tickMs) continue;
      timers.delete(timer);
      timer.callback();
    }
    // While nothing is sent, connections need some real time.
    if (isIdle) setTimeout(tick, 1);
    else setImmediate(tick);
  }
  setImmediate(tick);
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/image.raw`,
    seen,
    clock: {
      ...systemClock,
      monotonic: () => seen.ticks * tickMs,
      sleep: async (_ms, signal) => signal?.throwIfAborted(),
      schedule(ms, callback) {
        const timer = { at: seen.ticks * tickMs + ms, callback };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
    },
    close() {
      isOver = true;
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

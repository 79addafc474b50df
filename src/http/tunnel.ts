/**
 * Requests a tunnel from a proxy (CONNECT, RFC 9110, section 9.3.6).
 *
 * The clients of Node and undici take the first response to CONNECT for the final one, but a proxy may send 100 or 103 before it
 * (RFC 9110, section 15.2).
 *
 * Guarantees: the response head is bounded in bytes and in time; bytes behind it stay in the socket; on failure the socket is
 * destroyed.
 */
import type { Socket } from 'node:net';
import { systemClock } from '../lib/clock.ts';

export interface TunnelRequest {
  /** `example.com:443`. */
  authority: string;
  headers: Readonly<Record<string, string>>;
  timeoutMs: number;
}

/** Of all heads together. */
const longestHead = 16 * 1024;

/** The proxy responded, and not as HTTP has it. */
export class InvalidTunnelResponse extends Error {}

/** The status of the final response; below 300 the socket is the tunnel. Rejects if there is no response, or no valid one. */
export async function requestTunnel(socket: Socket, request: TunnelRequest): Promise<number> {
  const { authority, headers, timeoutMs } = request;
  const lines = Object.entries({ host: authority, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let received = Buffer.alloc(0);

  function onReadable(): void {
    for (let chunk: unknown = socket.read(); chunk !== null; chunk = socket.read()) {
      if (Buffer.isBuffer(chunk)) received = Buffer.concat([received, chunk]);
      const final = finalHead(received);
      if (final === undefined) continue;
      socket.removeListener('readable', onReadable);
      if (final instanceof Error) reject(final);
      else {
        socket.unshift(received.subarray(final.end));
        resolve(final.status);
      }
      return;
    }
  }

  const onEnd = () => reject(new Error('it closed the connection'));
  const onError = (error: Error) => reject(error);
  const cancelTimer = systemClock.schedule(timeoutMs, () => reject(new Error(`no response in ${timeoutMs / 1000} s`)));
  socket.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\n${lines.join('')}\r\n`);
  try {
    return await promise;
  } catch (error) {
    socket.on('error', () => {}).destroy();
    throw error;
  } finally {
    cancelTimer();
    socket.removeListener('readable', onReadable).removeListener('end', onEnd);
    socket.removeListener('close', onEnd).removeListener('error', onError);
  }
}

/** The first head whose status is final; undefined while it is not complete. */
function finalHead(received: Buffer): { status: number; end: number } | Error | undefined {
  const text = received.toString('latin1');
  for (let from = 0; ; ) {
    const rest = text.slice(from);
    const end = /\r?\n\r?\n/.exec(rest);
    const status = /^HTTP\/1\.[01] ([1-9]\d\d)[ \r\n]/.exec(rest)?.[1];
    if (!rest.startsWith('HTTP/1.'.slice(0, rest.length)) || (end !== null && status === undefined))
      return new InvalidTunnelResponse('it is not HTTP/1.1');
    if (end === null || status === undefined) {
      const problem = `its header is longer than ${longestHead / 1024} KiB`;
      return text.length > longestHead ? new InvalidTunnelResponse(problem) : undefined;
    }
    from += end.index + end[0].length;
    if (Number(status) >= 200 || status === '101') return { status: Number(status), end: from };
  }
}

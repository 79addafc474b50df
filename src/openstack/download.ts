/**
 * One download.
 *
 * Guarantees: the body ends after exactly the announced bytes or throws; a server that stops sending is timed out, and a slow
 * reader is not; the connection is released in any case.
 */
import type { Readable } from 'node:stream';
import { idleTimeout } from '../http/idle-timeout.ts';
import { DeadlineExceeded, linked } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { safeUrl } from '../lib/secret.ts';
import { ConnectionFailed } from './errors.ts';
import type { Send, Transport } from './exchange.ts';
import { asConnectionFailed, errorLimit, headOf, readResponse } from './response.ts';

export function createDownload(send: Send, clock: Clock): Transport['download'] {
  return async ({ purpose, url, headers, requestId, responseDeadlineMs, idleMs, signal }) => {
    signal.throwIfAborted();
    const what = `GET ${safeUrl(url)}`;
    const over = linked(signal);
    const ended = () => over[Symbol.dispose]();
    const late = () => over.abort(new DeadlineExceeded(what, responseDeadlineMs));
    const stopTimer = clock.schedule(responseDeadlineMs, late);
    try {
      const response = await send({ purpose, method: 'GET', url, headers, requestId, signal: over.signal });
      const head = headOf(response);
      if (head.status >= 300) {
        const rejected = await readResponse(response, errorLimit, url);
        ended();
        return { rejected };
      }
      const { origin } = new URL(url);
      const body = readBody({ body: response.body, what, origin, idleMs, clock, signal, ended });
      return { accepted: { ...head, body } };
    } catch (error) {
      ended();
      signal.throwIfAborted();
      throw asConnectionFailed(url, over.signal.aborted ? over.signal.reason : error);
    } finally {
      stopTimer();
    }
  };
}

interface IncomingBody {
  body: Readable;
  /** The request, for messages. */
  what: string;
  /** Scheme, host and port of the server. */
  origin: string;
  /** How long the server may send nothing. */
  idleMs: number;
  clock: Clock;
  /** Aborts `body`, too. Distinguishes an abort from a failure here. */
  signal: AbortSignal;
  /** Called at the end of the body, possibly more than once. */
  ended: () => void;
}

/** Can be read once. `return()` closes the connection, also before the first read. */
function readBody(options: IncomingBody): AsyncIterable<Uint8Array> {
  const pieces = read(options);
  const iterator: AsyncIterator<Uint8Array, void, undefined> = {
    next: () => pieces.next(),
    // A generator that has not started would not clean up, and one that waits would do so only later.
    return() {
      // An error without a listener would end the process.
      options.body.once('error', () => {}).destroy();
      options.ended();
      return pieces.return();
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

async function* read(options: IncomingBody): AsyncGenerator<Uint8Array, void, undefined> {
  const { body, what, origin, idleMs, clock, signal, ended } = options;
  const onIdle = () => void body.destroy(new DeadlineExceeded(`the next piece of ${what}`, idleMs));
  try {
    // The client checks that the server sends the length that it announced.
    yield* idleTimeout(body, { clock, windowMs: idleMs }, onIdle);
  } catch (error) {
    signal.throwIfAborted();
    throw new ConnectionFailed(origin, error);
  } finally {
    body.destroy();
    ended();
  }
}

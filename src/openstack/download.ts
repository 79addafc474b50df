/**
 * One download. Law: its body ends with exactly the bytes that were announced or throws, a server that stops sending is noticed,
 * and however the reading ends, the connection is let go. Time counts only while we wait for the server: a slow reader makes
 * no stall.
 */
import type { Readable } from 'node:stream';
import { idleTimeout } from '../http/idle-timeout.ts';
import { DeadlineExceeded, linked } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { safeUrl } from '../lib/secret.ts';
import { ConnectionFailed } from './errors.ts';
import type { Send, Transport } from './exchange.ts';
import { connectionError, errorBodyLimitBytes, headOf, readResponse } from './response.ts';

export function createDownload(send: Send, clock: Clock): Transport['download'] {
  return async ({ url, headers, requestId, answerDeadlineMs, idleMs, signal }) => {
    signal.throwIfAborted();
    const what = `GET ${safeUrl(url)}`;
    const over = linked(signal);
    const ended = () => over[Symbol.dispose]();
    const late = () => over.abort(new DeadlineExceeded(what, answerDeadlineMs));
    const stopTimer = clock.schedule(answerDeadlineMs, late);
    try {
      const answer = await send({ method: 'GET', url, headers, requestId, signal: over.signal });
      const head = headOf(answer);
      if (head.status >= 300) {
        const rejected = await readResponse(answer, errorBodyLimitBytes);
        ended();
        return { rejected };
      }
      const { origin } = new URL(url);
      const body = readBody({ body: answer.body, what, origin, idleMs, clock, signal, ended });
      return { accepted: { ...head, body } };
    } catch (error) {
      ended();
      signal.throwIfAborted();
      throw connectionError(url, over.signal.aborted ? over.signal.reason : error);
    } finally {
      stopTimer();
    }
  };
}

interface IncomingBody {
  body: Readable;
  /** Of the request, as messages may show it. */
  what: string;
  /** Scheme, host and port of the server. */
  origin: string;
  /** The longest silence, in milliseconds. */
  idleMs: number;
  clock: Clock;
  /** Whoever made `body` has bound it to this signal; here it only tells an abort from a failure. */
  signal: AbortSignal;
  /** Called when the body is over, perhaps more than once. */
  ended: () => void;
}

/** To be read once. Letting it go unread, by `return()`, closes the connection too. */
function readBody(options: IncomingBody): AsyncIterable<Uint8Array> {
  const pieces = read(options);
  const iterator: AsyncIterator<Uint8Array, void, undefined> = {
    next: () => pieces.next(),
    // A generator that was never started would not clean up, and one that waits would do so only later.
    return() {
      // Nobody reads any more, so nobody is to hear of the end: an error without a listener would end the process.
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

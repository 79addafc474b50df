/**
 * One upload. Law: its answer counts, whether it comes after the body or before it; a success counts only when the whole body was
 * handed over; and when it ends, however it ends, its connection and its source are let go.
 */
import { Readable } from 'node:stream';
import type { MayWrite } from '../http/fence.ts';
import { createIdleTimer } from '../http/idle-timeout.ts';
import { DeadlineExceeded, linked } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { safeUrl } from '../lib/secret.ts';
import { type Relay, relay } from './body.ts';
import { MalformedResponse } from './errors.ts';
import type { HttpResponse, Send, Transport } from './exchange.ts';
import { connectionError, errorBodyLimitBytes, readResponse } from './response.ts';

export function createUpload(send: Send, clock: Clock, mayWrite: MayWrite): Transport['upload'] {
  return async (upload, begun) => {
    const { method, url, headers, requestId, size, answerDeadlineMs, signal } = upload;
    signal.throwIfAborted();
    using over = linked(signal);
    const late = () => over.abort(new DeadlineExceeded(`${method} ${safeUrl(url)}`, answerDeadlineMs));
    const timer = createIdleTimer({ clock, windowMs: answerDeadlineMs }, late);
    const turn = (whose: 'server' | 'source') => {
      timer.received(1);
      if (whose === 'server') timer.waiting();
    };
    const relayed = relay(upload.body, { size, turn, begun, mayWrite, over: over.signal, clock });
    const body = Readable.from(relayed.body);
    // Its errors are known to the relay; without a listener a late one would end the process.
    body.on('error', () => {});
    const length: Record<string, string> = size === undefined ? {} : { 'content-length': String(size) };
    try {
      const request = { method, url, headers: { ...headers, ...length }, requestId, body, signal: over.signal };
      const answer = await send(request);
      // The answer itself is the server's turn too.
      turn('server');
      return complete(await readResponse(answer, errorBodyLimitBytes), relayed);
    } catch (error) {
      signal.throwIfAborted();
      const failure = relayed.failure();
      if (failure !== undefined) throw failure.error;
      throw connectionError(url, over.signal.aborted ? over.signal.reason : error);
    } finally {
      timer.stop();
      over.abort();
    }
  };
}

/** Success is only believed when the whole body was handed over before. */
function complete(response: HttpResponse, relayed: Relay): HttpResponse {
  if (response.status >= 300 || relayed.isComplete()) return response;
  throw new MalformedResponse(`it answered ${response.status} before it had all of the data`, response.requestId);
}

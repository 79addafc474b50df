/**
 * One upload.
 *
 * Guarantees: a response is the result also if it arrives before the end of the body; a success counts only if the whole body was
 * handed over; at the end of the upload, connection and source are released in any case.
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
import { asConnectionFailed, errorLimit, readResponse } from './response.ts';

export function createUpload(send: Send, clock: Clock, mayWrite: MayWrite): Transport['upload'] {
  return async (upload, onSending) => {
    const { purpose, method, url, headers, requestId, size, onSent, responseDeadlineMs, signal } = upload;
    signal.throwIfAborted();
    using over = linked(signal);
    const late = () => over.abort(new DeadlineExceeded(`${method} ${safeUrl(url)}`, responseDeadlineMs));
    const timer = createIdleTimer({ clock, windowMs: responseDeadlineMs }, late);
    const onWait = (waitingFor: 'server' | 'source') => {
      timer.received(1);
      if (waitingFor === 'server') timer.waiting();
    };
    const relayed = relay(upload.body, { size, onWait, onSending, mayWrite, over: over.signal, clock });
    const body = Readable.from(relayed.body);
    // The relay knows its errors. Without a listener a late one would end the process.
    body.on('error', () => {});
    if (onSent !== undefined) watchSent(body, onSent);
    const length: Record<string, string> = size === undefined ? {} : { 'content-length': String(size) };
    try {
      const request = {
        purpose,
        method,
        url,
        headers: { ...headers, ...length },
        requestId,
        body,
        signal: over.signal,
      };
      const response = await send(request);
      onWait('server');
      return checkComplete(await readResponse(response, errorLimit, url), relayed);
    } catch (error) {
      signal.throwIfAborted();
      const failure = relayed.failure();
      if (failure !== undefined) throw failure.error;
      throw asConnectionFailed(url, over.signal.aborted ? over.signal.reason : error);
    } finally {
      timer.stop();
      over.abort();
    }
  };
}

/**
 * The client writes the data of a stream to its socket, pauses the stream when the socket has to keep some of it, and resumes it when
 * the system has taken over all of it. The event `resume` may come too late to show that, after the next data.
 *
 * A response does not show it: a server can respond before it has received everything.
 */
function watchSent(body: Readable, onSent: (piece: Uint8Array) => void): void {
  let written: Uint8Array | undefined;
  let kept: Uint8Array | undefined;
  // A listener would let the data flow before the client listens.
  body.pause();
  body.on('pause', () => {
    kept = written;
  });
  body.on('data', (piece: Uint8Array) => {
    if (kept !== undefined) onSent(kept);
    kept = undefined;
    written = piece;
  });
}

/** A success counts only if the whole body was handed over before. */
function checkComplete(response: HttpResponse, relayed: Relay): HttpResponse {
  if (response.status >= 300 || relayed.isComplete()) return response;
  throw new MalformedResponse(
    `it returned ${response.status} before it had received all of the data`,
    response.requestId,
  );
}

/**
 * Relays the body of an upload from its source to the server.
 *
 * Guarantees: unless the source ends properly and at its announced size, the request stays incomplete, so that the server cannot
 * take it for the whole; the source is released as soon as the upload ends; waiting for the server is reported, so that it can be
 * timed.
 */
import { type BodyCheck, holdBack } from '../http/body.ts';
import type { MayWrite } from '../http/fence.ts';
import { abortableCalls } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { OperatorError } from '../lib/errors.ts';
import { BodyFailed } from './errors.ts';

/** The source has fewer or more bytes than announced, or none. */
export class SizeMismatch extends OperatorError {
  constructor(announced: number | undefined, seen: number) {
    const [code, message]: [ErrorCode, string] =
      seen === 0
        ? ['EmptySource', 'the data is empty']
        : seen > (announced ?? seen)
          ? ['SourceTooLong', `the data went on after the ${announced} bytes that were announced`]
          : ['SourceTooShort', `the data ended after ${seen} of the ${announced} bytes that were announced`];
    super(message, { code });
  }
}

export interface RelayOptions {
  /** Announced size in bytes. */
  size: number | undefined;
  /** Reports which side the upload waits for: the server (accept a chunk or respond) or the source (produce the next chunk). */
  onWait: (waitingFor: 'server' | 'source') => void;
  /** Called before the first byte is sent. From then on the request must not be repeated. */
  onSending: () => void;
  /** Called before each piece: an upload must not be completed after this process has lost the right to write. */
  mayWrite: MayWrite;
  /** Aborts when the upload is over. */
  over: AbortSignal;
  clock: Clock;
}

export interface Relay {
  /** For the HTTP client. */
  body: AsyncIterable<Uint8Array>;
  /** Whether the source has ended without an error and its last byte was handed over. */
  isComplete(): boolean;
  /** BodyFailed, or the error of `mayWrite`: it is then the cause of the failed upload. */
  failure(): { error: unknown } | undefined;
}

/**
 * Time for the server to reject the request after its head and the first bytes. A response that arrives while we write is lost if
 * the server resets the connection. One that arrives in this pause is not.
 */
const rejectionPauseMs = 250;
/** Sent before the pause, because the head is sent only together with the start of the body. */
const firstBytes = 16 * 1024;
/** Glance under uWSGI returns 500 for a chunk of 1 MiB in a body of unknown length. */
const largestPiece = 256 * 1024;
/** A smaller body is in the buffers of the server before the server can reset the connection. */
const smallBodyBytes = 1024 * 1024;

export function relay(source: AsyncIterable<Uint8Array>, options: RelayOptions): Relay {
  const { size, onWait, onSending, mayWrite, over, clock } = options;
  let complete = false;
  let failure: { error: unknown } | undefined;

  /**
   * Only for what the source and `mayWrite` throw. When a connection breaks, the client throws its error into the body, which would
   * hide that the connection was the cause.
   */
  function failed(error: unknown): never {
    if (!over.aborted) failure = { error };
    throw error;
  }

  function checkMayWrite(): void {
    try {
      mayWrite();
    } catch (error) {
      failed(error);
    }
  }

  /** Splits chunks into pieces, reports the waiting, and pauses after the first bytes of a body that is not small. */
  async function* body(): AsyncGenerator<Uint8Array> {
    let pauses = size === undefined || size > smallBodyBytes;
    onWait('source');
    onSending();
    let chunks: AsyncIterator<Uint8Array> | undefined;
    function readNext(): Promise<IteratorResult<Uint8Array>> {
      chunks ??= holdBack(source, sizeCheck(size))[Symbol.asyncIterator]();
      return chunks.next();
    }
    using next = abortableCalls(readNext, over);
    const read = () => next.call().catch((error: unknown) => failed(new BodyFailed(error)));
    try {
      for (let step = await read(); step.done !== true; step = await read()) {
        const { value: chunk } = step;
        for (let start = 0; start < chunk.byteLength; ) {
          const piece = chunk.subarray(start, start + (pauses ? firstBytes : largestPiece));
          checkMayWrite();
          onWait('server');
          yield piece;
          onWait('source');
          if (pauses) await clock.sleep(rejectionPauseMs, over);
          pauses = false;
          start += piece.byteLength;
        }
      }
      complete = true;
      onWait('server');
    } finally {
      // Not awaited: a hanging source must not delay the end of the upload.
      chunks?.return?.()?.catch(() => undefined);
    }
  }

  return { body: body(), isComplete: () => complete, failure: () => failure };
}

/** The last chunk is sent only after the source has ended, at the announced size. */
function sizeCheck(size: number | undefined): BodyCheck {
  let seen = 0;
  return {
    update(chunk) {
      seen += chunk.byteLength;
      if (size !== undefined && seen > size) throw new SizeMismatch(size, seen);
    },
    finish() {
      if (seen === 0 || (size !== undefined && seen < size)) throw new SizeMismatch(size, seen);
    },
  };
}

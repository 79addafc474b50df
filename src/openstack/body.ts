/**
 * The body of an upload on its way to the server. Law: unless the source ends properly and at its announced size, the
 * request stays incomplete, so that the server cannot take it for the whole; the source is let go as soon as the upload has
 * ended, however it ended; and while it is the server that has to move, a clock is running.
 */

import { type BodyCheck, holdBack } from '../http/body.ts';
import type { MayWrite } from '../http/fence.ts';
import { abortable } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';

/** The source has fewer or more bytes than announced, or none. */
export class SizeMismatch extends OperatorError {
  constructor(announced: number | undefined, seen: number) {
    const [code, message] =
      seen === 0
        ? ['EmptySource', 'the data is empty']
        : seen > (announced ?? seen)
          ? ['SourceTooLong', `the data went on after the ${announced} bytes that were announced`]
          : ['SourceTooShort', `the data ended after ${seen} of the ${announced} bytes that were announced`];
    super(message, { code, retry: retry.backoff });
  }
}

export interface RelayOptions {
  /** Announced size in bytes. */
  size: number | undefined;
  /** Whose move it is now. The server has to take a chunk or to answer; the source has to bring the next one. */
  turn: (whose: 'server' | 'source') => void;
  /** Called before the first byte leaves; from then on the request must not be repeated. */
  begun: () => void;
  /** Asked before each piece: what has begun while this process might write must not be completed when it may not. */
  mayWrite: MayWrite;
  /** Aborts when the upload is over. */
  over: AbortSignal;
  clock: Clock;
}

export interface Relay {
  /** To be given to the HTTP client. */
  body: AsyncIterable<Uint8Array>;
  /** Whether the source has ended well and its last byte was handed over. */
  isComplete(): boolean;
  /** What the source threw, if it did: then that is why the upload failed. */
  failure(): { error: unknown } | undefined;
}

/**
 * How long the server gets to refuse after the request's head and the first bytes. An answer that comes while we write is
 * lost if the server resets the connection; one that comes in this pause is not.
 */
const refusalPauseMs = 250;
/** What goes out before the pause: the head leaves only together with some of the body. */
const firstBytes = 16 * 1024;
/** uWSGI, under which Glance runs, answers 500 to a chunk of 1 MiB in a body of unknown length. */
const largestPiece = 256 * 1024;
/** A smaller body is in the server's buffers before it could reset anything. */
const smallBodyBytes = 1024 * 1024;

export function relay(source: AsyncIterable<Uint8Array>, options: RelayOptions): Relay {
  const { size, turn, begun, mayWrite, over, clock } = options;
  let complete = false;
  let failure: { error: unknown } | undefined;

  async function* body(): AsyncGenerator<Uint8Array> {
    turn('source');
    begun();
    const chunks = holdBack(source, sizeCheck(size))[Symbol.asyncIterator]();
    try {
      yield* paced({ [Symbol.asyncIterator]: () => ({ next: () => abortable(chunks.next(), over) }) });
      complete = true;
      turn('server');
    } catch (error) {
      if (!over.aborted) failure = { error };
      throw error;
    } finally {
      // Not waited for: a source that hangs must not keep the upload from ending.
      chunks.return?.()?.catch(() => undefined);
    }
  }

  /** Keeps the turns, and makes the pause after the first bytes of a body that is not small. */
  async function* paced(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let pauses = size === undefined || size > smallBodyBytes;
    for await (const chunk of chunks) {
      let start = 0;
      while (start < chunk.byteLength) {
        const piece = chunk.subarray(start, start + (pauses ? firstBytes : largestPiece));
        mayWrite();
        turn('server');
        yield piece;
        turn('source');
        if (pauses) await clock.sleep(refusalPauseMs, over);
        pauses = false;
        start += piece.byteLength;
      }
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

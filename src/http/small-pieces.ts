/**
 * A response of small pieces, such as the chunks of a chunked body. Where the body of a response reads nothing ahead, the client pauses its
 * parser at each piece, and then gives it a copy of all that it has received and not parsed. With 1 MiB received at once, that
 * cost 15 s of processor time for each MiB in chunks of one byte.
 *
 * Guarantees: a response is paused only when the reader has a certain number of bytes to read, so each of them is copied only a few times
 * however small the pieces are; a piece of that length still reaches the reader by itself.
 */
import type { Dispatcher } from 'undici';
import { passedTo } from './handler.ts';

/** What a piece counts for at least, because the object of each one takes memory too: 64 KiB in pieces of one byte took 6 MiB. */
const leastWeight = 64;

/** For `Dispatcher.compose`. `bytes`: unread, from which on a response may be paused. */
export function pausedFrom(bytes: number): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => dispatch(options, withLatePauses(handler, bytes));
}

function withLatePauses(handler: Dispatcher.DispatchHandler, bytes: number): Dispatcher.DispatchHandler {
  let unread = 0;

  /** The body resumes the response when its reader has read everything. */
  function late(controller: Dispatcher.DispatchController): Dispatcher.DispatchController {
    return {
      get aborted() {
        return controller.aborted;
      },
      get paused() {
        return controller.paused;
      },
      get reason() {
        return controller.reason;
      },
      get rawHeaders() {
        return controller.rawHeaders ?? null;
      },
      get rawTrailers() {
        return controller.rawTrailers ?? null;
      },
      abort: (reason) => controller.abort(reason),
      pause() {
        if (unread >= bytes) controller.pause();
      },
      resume() {
        unread = 0;
        controller.resume();
      },
    };
  }

  let current: { of: Dispatcher.DispatchController; late: Dispatcher.DispatchController } | undefined;
  function lateOf(controller: Dispatcher.DispatchController): Dispatcher.DispatchController {
    if (current?.of !== controller) current = { of: controller, late: late(controller) };
    return current.late;
  }

  return {
    ...passedTo(handler),
    onResponseStart: (controller, ...rest) => handler.onResponseStart?.(lateOf(controller), ...rest),
    onResponseData(controller, piece) {
      unread += Math.max(piece.length, leastWeight);
      handler.onResponseData?.(lateOf(controller), piece);
    },
  };
}

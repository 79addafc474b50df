/** Handlers of undici's dispatchers that stand before another one: they look at a request on its way, and can end it. */
import type { Dispatcher } from 'undici';

/** What a hook throws fails the request. */
export interface Hooks {
  /** The client is about to send the request. */
  onStart?: () => void;
  /** The head of the response has arrived. */
  onHead?: (status: number) => void;
}

export function withHooks(handler: Dispatcher.DispatchHandler, hooks: Hooks): Dispatcher.DispatchHandler {
  return {
    ...passedTo(handler),
    onRequestStart(controller, context) {
      hooks.onStart?.();
      handler.onRequestStart?.(controller, context);
    },
    onResponseStart(controller, status, ...rest) {
      hooks.onHead?.(status);
      handler.onResponseStart?.(controller, status, ...rest);
    },
  };
}

/** A handler that passes everything on, for one that adds something to some of it. */
export function passedTo(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  return {
    onRequestStart: (...args) => handler.onRequestStart?.(...args),
    onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
    onResponseStart: (...args) => handler.onResponseStart?.(...args),
    onResponseData: (...args) => handler.onResponseData?.(...args),
    onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
    onResponseError: (...args) => handler.onResponseError?.(...args),
    onResponseStarted: () => handler.onResponseStarted?.(),
    onBodySent: (chunk) => handler.onBodySent?.(chunk),
    onRequestSent: () => handler.onRequestSent?.(),
  };
}

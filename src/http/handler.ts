/** Handlers of undici's dispatchers that look at a request on its way and can end it. */
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
    onRequestStart(controller, context) {
      hooks.onStart?.();
      handler.onRequestStart?.(controller, context);
    },
    onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
    onResponseStart(controller, status, ...rest) {
      hooks.onHead?.(status);
      handler.onResponseStart?.(controller, status, ...rest);
    },
    onResponseData: (...args) => handler.onResponseData?.(...args),
    onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
    onResponseError: (...args) => handler.onResponseError?.(...args),
    onResponseStarted: () => handler.onResponseStarted?.(),
    onBodySent: (chunk) => handler.onBodySent?.(chunk),
    onRequestSent: () => handler.onRequestSent?.(),
  };
}

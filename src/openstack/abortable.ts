/**
 * Waiting for something that has no signal of its own. Law: the wait ends at once when the signal aborts, what was waited
 * for goes on undisturbed, and no listener stays behind on a long-lived signal.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

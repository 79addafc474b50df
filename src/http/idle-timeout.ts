/**
 * Idle timeout: detects a peer that sends nothing, or too little, while we wait for it. A half-open connection, whose other
 * end is gone without a reset, looks like one on which nothing happens.
 *
 * Guarantees: only time spent waiting for the peer counts, on the monotonic clock, so a slow reader on our side is never
 * mistaken for an idle peer. One timer serves any number of chunks.
 */
import type { Clock } from '../lib/clock.ts';

export interface IdleLimit {
  clock: Clock;
  /** The peer is idle when it needs more than this time for the next `minBytes`. */
  windowMs: number;
  /** Default: 1, so that any data counts. */
  minBytes?: number;
}

export interface IdleTimer {
  /** From now on we wait for the peer. */
  waiting(): void;
  /** The peer did something: the wait is over. */
  received(bytes: number): void;
  stop(): void;
}

/** Calls `onIdle` at most once, when the peer is idle. */
export function createIdleTimer({ clock, windowMs, minBytes = 1 }: IdleLimit, onIdle: () => void): IdleTimer {
  /** In the present window: bytes that came, and time spent waiting before the present wait. */
  let bytes = 0;
  let waitedMs = 0;
  let since: number | undefined;
  let cancel: (() => void) | undefined;

  const arm = (ms: number) => {
    cancel = clock.schedule(ms, () => {
      cancel = undefined;
      if (since === undefined) return;
      const leftMs = windowMs - waitedMs - (clock.monotonic() - since);
      if (leftMs > 0) arm(leftMs);
      else onIdle();
    });
  };

  return {
    waiting() {
      since = clock.monotonic();
      if (cancel === undefined) arm(Math.max(windowMs - waitedMs, 0));
    },
    received(length) {
      if (since !== undefined) waitedMs += clock.monotonic() - since;
      since = undefined;
      bytes += length;
      if (bytes < minBytes) return;
      bytes = 0;
      waitedMs = 0;
    },
    stop() {
      since = undefined;
      cancel?.();
    },
  };
}

/** The same body. `onIdle` is called at most once, and has to make `body` fail or end. */
export async function* idleTimeout(
  body: AsyncIterable<Uint8Array>,
  limit: IdleLimit,
  onIdle: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const timer = createIdleTimer(limit, onIdle);
  try {
    timer.waiting();
    for await (const chunk of body) {
      timer.received(chunk.byteLength);
      yield chunk;
      timer.waiting();
    }
  } finally {
    timer.stop();
  }
}

/** Counts the bytes that arrive and how long the reader waits for them, and holds the number of connections that follows from both. */
import type { Clock } from '../../lib/clock.ts';
import { begun, nextWidth, startWidth, withOneConnection } from './width.ts';

export interface Arrivals {
  readonly connections: number;
  /** Bytes per second before the number of connections rose the last time. */
  readonly bytesPerSecond: number;
  /** From now on the reader waits for the next bytes. */
  waiting(): void;
  received(bytes: number): void;
  /** The same, if the reader does not get them yet. */
  arrived(bytes: number): void;
  /** Further connections begin to send only now. Until then nothing was counted since the decision. */
  begin(): void;
  /** One connection is enough from now on. */
  settle(): void;
}

export function createArrivals(clock: Pick<Clock, 'monotonic'>): Arrivals {
  let state = startWidth();
  let since = clock.monotonic();
  /** Further connections were decided on, and have not begun to send. */
  let isBeginning = false;
  return {
    get connections() {
      return state.width;
    },
    get bytesPerSecond() {
      return (state.before?.rate ?? 0) * 1000;
    },
    waiting() {
      since = clock.monotonic();
    },
    received(bytes) {
      if (isBeginning) return;
      const at = clock.monotonic();
      const { width } = state;
      state = nextWidth(state, { at, bytes, waitedMs: at - since });
      isBeginning = width === 1 && state.width > 1;
    },
    arrived(bytes) {
      state = { ...state, bytes: state.bytes + bytes };
    },
    begin() {
      state = begun(state, clock.monotonic());
      isBeginning = false;
    },
    settle() {
      state = withOneConnection(state);
    },
  };
}

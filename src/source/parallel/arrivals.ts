/** Counts the bytes that arrive and how long the reader waits for them, and holds the number of connections that follows from both. */
import type { Clock } from '../../lib/clock.ts';
import { nextWidth, startWidth, withOneConnection } from './width.ts';

export interface Arrivals {
  readonly connections: number;
  /** Bytes per second before the number of connections rose the last time. */
  readonly bytesPerSecond: number;
  /** From now on the reader waits for the next bytes. */
  waiting(): void;
  received(bytes: number): void;
  /** The same, if the reader does not get them yet. */
  arrived(bytes: number): void;
  /** The connections are open only now: what arrived since the decision does not count. */
  begin(): void;
  /** One connection is enough from now on. */
  settle(): void;
}

export function createArrivals(clock: Pick<Clock, 'monotonic'>): Arrivals {
  let state = startWidth(clock.monotonic());
  let since = clock.monotonic();
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
      const at = clock.monotonic();
      state = nextWidth(state, { at, bytes, waitedMs: at - since });
    },
    arrived(bytes) {
      state = { ...state, bytes: state.bytes + bytes };
    },
    begin() {
      state = { ...state, since: clock.monotonic(), bytes: 0, waitedMs: 0 };
    },
    settle() {
      state = withOneConnection(state);
    },
  };
}

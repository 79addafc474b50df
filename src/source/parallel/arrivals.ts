/** Counts the bytes that arrive and how long the reader waits for them, and holds the number of connections that follows from both. */
import type { Clock } from '../../lib/clock.ts';
import type { AllDownloads, Trial } from './downloads.ts';
import {
  begun,
  type Counts,
  nextWidth,
  notBegun,
  postponed,
  startWidth,
  type Width,
  withOneConnection,
} from './width.ts';

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
  /** Further connections cannot be used now. */
  postpone(): void;
  /** A second connection has not begun to send in time. */
  miss(): void;
  /** One connection is enough from now on. */
  settle(): void;
  /** All connections have ended. */
  end(): void;
}

export interface ArrivalsOptions {
  clock: Pick<Clock, 'monotonic'>;
  downloads: Omit<AllDownloads, 'readAhead'>;
}

export function createArrivals({ clock, downloads }: ArrivalsOptions): Arrivals {
  let state = startWidth();
  let since = clock.monotonic();
  let own = 0;
  /** Further connections were decided on, and have not begun to send. */
  let isBeginning = false;
  /** Of a second connection. */
  let trial: Trial | undefined;
  let ownCuts = 0;
  function now(): { at: number; others: Counts } {
    const { bytes, cuts } = downloads.counts();
    return { at: clock.monotonic(), others: { bytes: bytes - own, cuts: cuts - ownCuts } };
  }

  function count(bytes: number): void {
    own += bytes;
    downloads.arrived(bytes);
  }

  function end(hasGain: boolean): void {
    trial?.end(hasGain);
    trial = undefined;
  }

  /** `next` has a second connection. */
  function tryIt(next: Width): Width {
    trial = downloads.beginTrial();
    isBeginning = trial !== undefined;
    return isBeginning ? next : postponed(next);
  }

  function cut(): void {
    ownCuts++;
    downloads.cut();
  }

  function leave(next: Width): void {
    state = next;
    isBeginning = false;
    // Nothing is known about a gain.
    end(true);
  }

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
      count(bytes);
      if (isBeginning) return;
      const { at, others } = now();
      const idleProcessors = downloads.idleProcessors();
      const next = nextWidth(state, { at, bytes, waitedMs: at - since, others, idleProcessors });
      const isSecond = state.width === 1 && next.width > 1;
      if (next.width < state.width) cut();
      state = isSecond ? tryIt(next) : next;
      if (state.before?.width !== 1) end(state.width > 1);
    },
    arrived(bytes) {
      count(bytes);
      state = { ...state, bytes: state.bytes + bytes };
    },
    begin() {
      state = begun(state, now());
      isBeginning = false;
    },
    postpone: () => leave(postponed(state)),
    miss: () => leave(notBegun(state, clock.monotonic())),
    settle() {
      if (state.width > 1) cut();
      leave(withOneConnection(state));
    },
    end() {
      cut();
      leave(postponed(state));
    },
  };
}

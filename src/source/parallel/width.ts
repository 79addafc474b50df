/**
 * How many connections a download uses. It begins with one, tries twice as many while the reader waits for the source, and keeps them
 * only if more bytes arrive.
 *
 * Guarantees: at most 8; a source that is not limited for each connection gets at most one more, and only for the time of one trial;
 * after a trial without gain there is no other.
 */
export interface Width {
  readonly width: number;
  /** Since the last decision. */
  readonly since: number;
  readonly bytes: number;
  readonly waitedMs: number;
  /** Bytes per millisecond of the width before. */
  readonly rateBefore: number | undefined;
  readonly isSettled: boolean;
}

/** At the moment `at`: bytes that have arrived after a wait of so many milliseconds. */
export interface Arrival {
  at: number;
  bytes: number;
  waitedMs: number;
}

export const mostConnections = 8;
/** Connections need about a second to reach their rate. */
const trialMs = 3000;
/** The source is the limit if the reader waits for it for at least this part of the time. */
const leastWait = 0.5;
/** The factor by which the rate has to rise with twice as many connections. */
const leastGain = 1.25;

export function startWidth(at: number): Width {
  return { width: 1, since: at, bytes: 0, waitedMs: 0, rateBefore: undefined, isSettled: false };
}

export function nextWidth(state: Width, { at, bytes, waitedMs }: Arrival): Width {
  const counted = { ...state, bytes: state.bytes + bytes, waitedMs: state.waitedMs + waitedMs };
  const ms = at - state.since;
  if (state.isSettled || ms < trialMs) return counted;
  const rate = counted.bytes / ms;
  const fresh = { since: at, bytes: 0, waitedMs: 0 };
  const isGain = state.rateBefore === undefined || rate >= state.rateBefore * leastGain;
  if (!isGain) return { ...state, ...fresh, width: state.width / 2, isSettled: true };
  const isLimited = counted.waitedMs >= ms * leastWait;
  if (!isLimited) return { ...state, ...fresh, rateBefore: undefined };
  if (state.width === mostConnections) return { ...state, ...fresh, isSettled: true };
  return { ...state, ...fresh, width: state.width * 2, rateBefore: rate };
}

/** The source has rejected a part, or failed to send it: one connection is enough from now on. */
export function withOneConnection(state: Width): Width {
  return { ...state, width: 1, isSettled: true };
}

/**
 * How many connections a download uses. It begins with one, tries a second one while the reader waits for the source, and more of them as
 * long as more bytes arrive.
 *
 * Guarantees: at most 8; a source that is not limited for each connection gets at most one more, and only for the time of one trial;
 * after a trial without gain there is no other, and no connections are kept that half as many could replace.
 */
export interface Width {
  readonly width: number;
  /** Since the last decision. */
  readonly since: number;
  readonly bytes: number;
  readonly waitedMs: number;
  /** What the width is compared with: the one before, and its bytes per millisecond. */
  readonly before: { readonly width: number; readonly rate: number } | undefined;
  readonly isSettled: boolean;
}

/** At the moment `at`: bytes that have arrived, and that the reader has waited for so many milliseconds. */
export interface Arrival {
  at: number;
  bytes: number;
  waitedMs: number;
}

export const mostConnections = 8;
/** A connection needs some time to reach its rate. */
const beginMs = 500;
const trialMs = 1000;
/** Many new connections reach their rate later. */
const longTrialMs = 2000;
/** The source is the limit if the reader waits for it for at least this part of the time. */
const leastWait = 0.7;
/** The factor by which the rate has to rise with twice as many connections. */
const leastGain = 1.25;
/** From this gain on, each connection has its own limit, and the largest number of them is tried at once. (The pauses between parts cost some.) */
const clearGain = 1.6;

export function startWidth(at: number): Width {
  return { width: 1, since: at + beginMs, bytes: 0, waitedMs: 0, before: undefined, isSettled: false };
}

export function nextWidth(state: Width, { at, bytes, waitedMs }: Arrival): Width {
  const { width, before } = state;
  if (at < state.since) return state;
  const counted = { ...state, bytes: state.bytes + bytes, waitedMs: state.waitedMs + waitedMs };
  const ms = at - state.since;
  if (state.isSettled || ms < (width > 2 ? longTrialMs : trialMs)) return counted;
  const rate = counted.bytes / ms;
  const fresh = { since: at, bytes: 0, waitedMs: 0 };
  const gain = before === undefined ? undefined : rate / before.rate;
  if (before !== undefined && gain !== undefined && gain < (leastGain * width) / before.width / 2)
    return { ...state, ...fresh, width: gain < leastGain ? before.width : width / 2, isSettled: true };
  const isLimited = counted.waitedMs >= ms * leastWait;
  if (!isLimited) return { ...state, ...fresh, before: undefined };
  if (width === mostConnections) return { ...state, ...fresh, isSettled: true };
  const isClear = gain !== undefined && gain >= clearGain;
  return { ...state, ...fresh, width: isClear ? mostConnections : width * 2, before: { width, rate } };
}

/** The source has rejected a part, or failed to send it: one connection is enough from now on. */
export function withOneConnection(state: Width): Width {
  return { ...state, width: 1, isSettled: true };
}

/**
 * How many connections a download uses. It begins with one, tries a second one while the reader waits for the source, and more of them as
 * long as more bytes arrive.
 *
 * Guarantees: at most 8; a source that is not limited for each connection gets at most one more, and only for the time of one trial;
 * after a trial without gain there is no other, and no connections are kept that half as many could replace.
 */
export interface Width {
  readonly width: number;
  /** Since when bytes are counted; undefined before the first of them. */
  readonly since: number | undefined;
  readonly bytes: number;
  readonly waitedMs: number;
  /** Bytes per millisecond in the part of the time before. */
  readonly earlier: number | undefined;
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
/** A connection needs some time to reach its rate. It has reached it when it is no faster than so long ago. */
const partMs = 300;
/** Servers that limit a rate send in bursts: a smaller difference is none. */
const leastRise = 1.15;
const trialMs = 1000;
/** Many new connections reach their rate later. */
const longTrialMs = 2000;
/** The source is the limit if the reader waits for it for at least this part of the time. */
const leastWait = 0.75;
/** The factor by which the rate has to rise with twice as many connections. */
const leastGain = 1.25;
/** From this gain on, each connection has its own limit, and the largest number of them is tried at once. */
const clearGain = 1.6;
/** A trial with a clear gain needs no more time. */
const clearMs = 400;

const uncounted = { since: undefined, bytes: 0, waitedMs: 0, earlier: undefined };

export function startWidth(): Width {
  return { ...uncounted, width: 1, before: undefined, isSettled: false };
}

/** The first bytes only begin the count: it is not known since when they were on their way. */
export function nextWidth(state: Width, { at, bytes, waitedMs }: Arrival): Width {
  if (state.isSettled) return state;
  if (state.since === undefined) return { ...state, since: at };
  const counted = { ...state, bytes: state.bytes + bytes, waitedMs: state.waitedMs + waitedMs };
  const ms = at - state.since;
  return state.before === undefined ? measured(counted, ms, at) : tried(counted, state.before, ms, at);
}

/** Measures the rate, and begins a trial of twice as many connections where the source is the limit. */
function measured(state: Width, ms: number, at: number): Width {
  if (ms < partMs) return state;
  const { width, earlier } = state;
  const rate = state.bytes / ms;
  const isSteady = earlier !== undefined && rate < earlier * leastRise;
  if (!isSteady || state.waitedMs < ms * leastWait)
    return { ...state, since: at, bytes: 0, waitedMs: 0, earlier: rate };
  if (width === mostConnections) return { ...state, isSettled: true };
  return { ...state, ...uncounted, width: width * 2, before: { width, rate: (rate + earlier) / 2 } };
}

/** Ends the trial of more connections, when it is clear what they bring. */
function tried(state: Width, before: NonNullable<Width['before']>, ms: number, at: number): Width {
  const { width, bytes, waitedMs } = state;
  const rate = bytes / ms;
  const gain = rate / before.rate;
  const isLimited = waitedMs >= ms * leastWait;
  if (width === 2 && ms >= clearMs && gain >= clearGain && isLimited)
    return { ...state, ...uncounted, width: mostConnections, before: { width, rate } };
  if (ms < (width > 2 ? longTrialMs : trialMs)) return state;
  if (gain < (leastGain * width) / before.width / 2)
    return { ...state, width: gain < leastGain ? before.width : width / 2, isSettled: true };
  if (!isLimited) return { ...state, ...uncounted, since: at, before: undefined };
  if (width === mostConnections) return { ...state, isSettled: true };
  const next = gain >= clearGain ? mostConnections : width * 2;
  return { ...state, ...uncounted, width: next, before: { width, rate } };
}

/** All connections send only now. Bytes that have arrived since the decision do not count. */
export function begun(state: Width, at: number): Width {
  return state.isSettled ? state : { ...state, since: at, bytes: 0, waitedMs: 0 };
}

/** The source has rejected a part, or failed to send it: one connection is enough from now on. */
export function withOneConnection(state: Width): Width {
  return { ...state, width: 1, isSettled: true };
}

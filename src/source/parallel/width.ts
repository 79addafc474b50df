/**
 * How many connections a download uses. It begins with one, tries a second one while the reader waits for the source, and more of them as
 * long as more bytes arrive, in this download and in all together.
 *
 * Guarantees: at most 8; none more while the processors of this machine are busy, because then they are the limit; a source that is not
 * limited for each connection gets at most one more, and only for the time of a trial; a trial without gain is made once more, after a
 * pause, because other downloads may have begun or ended meanwhile; no connections are kept that half as many could replace.
 */
export interface Width {
  readonly width: number;
  /** Since when bytes are counted; undefined before the first of them. */
  readonly since: number | undefined;
  readonly bytes: number;
  readonly waitedMs: number;
  /** Of the other downloads, at `since`. */
  readonly others: Counts;
  /** In the part of the time before. */
  readonly earlier: Rates | undefined;
  /** What the width is compared with: the one before. `isSlow`: the new connections may not have reached their rate yet. */
  readonly before: (Rates & { readonly width: number; readonly isSlow: boolean }) | undefined;
  /** Trials without gain. */
  readonly failures: number;
  /** Nothing is measured before. */
  readonly pausedUntil: number;
  readonly isSettled: boolean;
}

/** Of several downloads. */
export interface Counts {
  /** That have arrived. */
  readonly bytes: number;
  /** How often a download has ended, or given up connections. Then fewer bytes arrive in all, whatever the others do. */
  readonly cuts: number;
}

/** Bytes per millisecond. */
interface Rates {
  readonly rate: number;
  /** Of all other downloads. */
  readonly othersRate: number;
  /** Of the others, before. */
  readonly cuts: number;
}

/** At the moment `at`: bytes that have arrived, and that the reader has waited for so many milliseconds. */
export interface Arrival {
  at: number;
  bytes: number;
  waitedMs: number;
  /** Of all other downloads of the process, so far. */
  others: Counts;
  /** How many processors had nothing to do lately. It may be a fraction. */
  idleProcessors: number;
}

export const mostConnections = 8;
/** A connection needs some time to reach its rate. It has reached it when it is no faster than so long ago. */
const partMs = 120;
/** Servers that limit a rate send in bursts: a smaller difference is none. */
const leastRise = 1.15;
/** A first part with what buffers on the way have held is faster: from this fall on, the mean of both would hide a gain. */
const leastFall = 1.5;
/** The first connection of a source with one limit for all still sends then, at half its rate. */
const trialMs = 800;
/** Many new connections reach their rate later. What arrives until then says nothing of them. */
const slowMs = 1000;
/** The source is the limit if the reader waits for it for at least this part of the time. */
const leastWait = 0.75;
/** The processors are the limit with less than this, because a transfer at 100 MB/s needs about a third of one, and so does the source. */
const leastIdle = 0.5;
/** The factor by which the rate has to rise with twice as many connections. */
const leastGain = 1.25;
/** From this gain on, each connection has its own limit, and the largest number of them is tried at once. */
const clearGain = 1.6;
/** A trial with a clear gain needs no more time. */
const clearMs = 300;
/** After a trial without gain. */
const pauseMs = 30_000;
const mostFailures = 2;

const uncounted = { since: undefined, bytes: 0, waitedMs: 0, earlier: undefined };

export function startWidth(): Width {
  return {
    ...uncounted,
    others: { bytes: 0, cuts: 0 },
    width: 1,
    before: undefined,
    failures: 0,
    pausedUntil: 0,
    isSettled: false,
  };
}

/** The first bytes only begin the count: it is not known since when they were on their way. */
export function nextWidth(state: Width, { at, bytes, waitedMs, others, idleProcessors }: Arrival): Width {
  if (state.isSettled || at < state.pausedUntil) return state;
  if (state.since === undefined) return { ...state, since: at, others };
  const counted = { ...state, bytes: state.bytes + bytes, waitedMs: state.waitedMs + waitedMs };
  const ms = at - state.since;
  return state.before === undefined
    ? measured(counted, { at, ms, others, idleProcessors })
    : tried(counted, state.before, { at, ms, others, idleProcessors });
}

/** The part of the time that ends now. */
interface Part extends Pick<Arrival, 'at' | 'others' | 'idleProcessors'> {
  ms: number;
}

function ratesOf({ bytes, others }: Width, part: Part): Rates {
  return { rate: bytes / part.ms, othersRate: (part.others.bytes - others.bytes) / part.ms, cuts: others.cuts };
}

function isLimitedBySource({ waitedMs }: Width, { ms, idleProcessors }: Part): boolean {
  return waitedMs >= ms * leastWait && idleProcessors >= leastIdle;
}

/** Measures the rate, and begins a trial of twice as many connections where the source is the limit. */
function measured(state: Width, part: Part): Width {
  if (part.ms < partMs) return state;
  const { width, earlier } = state;
  const rates = ratesOf(state, part);
  const isSteady =
    earlier !== undefined &&
    rates.rate < earlier.rate * leastRise &&
    earlier.rate < rates.rate * leastFall &&
    earlier.cuts === part.others.cuts;
  if (!isSteady || !isLimitedBySource(state, part)) return { ...recounted(state, part), earlier: rates };
  if (width === mostConnections) return { ...state, isSettled: true };
  const rate = (rates.rate + earlier.rate) / 2;
  const othersRate = (rates.othersRate + earlier.othersRate) / 2;
  return { ...state, ...uncounted, width: width * 2, before: { ...rates, width, rate, othersRate, isSlow: width > 1 } };
}

/** Ends the trial of more connections, when it is clear what they bring. */
function tried(state: Width, before: NonNullable<Width['before']>, part: Part): Width {
  const { width } = state;
  const { at, ms } = part;
  if (before.isSlow) {
    return ms < slowMs ? state : { ...recounted(state, part), before: { ...before, isSlow: false } };
  }
  const rates = ratesOf(state, part);
  // What the others lose is no gain, unless it is known why.
  const lost = part.others.cuts === before.cuts ? Math.max(before.othersRate - rates.othersRate, 0) : 0;
  const gain = (rates.rate - lost) / before.rate;
  if (width === 2 && ms >= clearMs && gain >= clearGain && isLimitedBySource(state, part))
    return { ...state, ...uncounted, width: mostConnections, before: { width, ...rates, isSlow: true } };
  if (ms < trialMs) return state;
  if (gain < (leastGain * width) / before.width / 2)
    return withoutGain(state, gain < leastGain ? before.width : width / 2, at);
  if (!isLimitedBySource(state, part)) return { ...recounted(state, part), before: undefined };
  if (width === mostConnections) return { ...state, isSettled: true };
  const next = gain >= clearGain ? mostConnections : width * 2;
  return { ...state, ...uncounted, width: next, before: { width, ...rates, isSlow: true } };
}

function recounted(state: Width, { at, others }: Pick<Part, 'at' | 'others'>): Width {
  return { ...state, ...uncounted, since: at, others };
}

function withoutGain(state: Width, width: number, at: number): Width {
  const failures = state.failures + 1;
  const isSettled = failures === mostFailures;
  return { ...state, ...uncounted, width, before: undefined, failures, pausedUntil: at + pauseMs, isSettled };
}

/** All connections send only now. Bytes that have arrived since the decision do not count. */
export function begun(state: Width, { at, others }: Pick<Arrival, 'at' | 'others'>): Width {
  return state.isSettled ? state : { ...state, since: at, bytes: 0, waitedMs: 0, others };
}

/** No trial can begin now: one connection is used as before. */
export function postponed(state: Width): Width {
  return { ...state, ...uncounted, width: 1, before: undefined };
}

/** A second connection has not sent anything so far. */
export function notBegun(state: Width, at: number): Width {
  return { ...withoutGain(state, 1, at), pausedUntil: at };
}

/** The source has rejected a part, or failed to send it: one connection is enough from now on. */
export function withOneConnection(state: Width): Width {
  return { ...state, width: 1, isSettled: true };
}

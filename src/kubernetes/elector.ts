/**
 * Takes part in an election until it is told to stop: looks at the lease, takes it, renews it, gives it back. Laws: the fence
 * is open only while the lease is held and renewed in time; it is closed before the lease is given back; each call has a
 * deadline of its own, so that one that hangs leaves time for the next.
 */

import { type Fence, LeadershipLost } from '../http/fence.ts';
import { aborted, type LinkedAbort, linked, neverAborted } from '../lib/abort.ts';
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { describe, unreachable } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { type Election, type ElectionTiming, type Finding, next, start } from './election.ts';
import type { Lease, LeaseClient } from './lease.ts';

export interface ElectorOptions {
  leases: LeaseClient;
  /** Never used before: whoever starts anew is somebody else. */
  identity: string;
  timing: ElectionTiming;
  fence: Fence;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Called when this process begins to lead, and when that is over. */
  observe?: ((leads: boolean) => void) | undefined;
  /** Called at each turn, whatever it found: at least every `longestTurnMs`. */
  onTurn?: () => void;
}

export interface Elector {
  readonly leading: boolean;
  /** Resolves as soon as this process leads; rejects with the signal's reason. */
  whenLeading(signal: AbortSignal): Promise<void>;
  /**
   * Until `stop`, after which the lease is given back, unless `halt` has cut off work that may still be on its way. Throws
   * LeadershipLost as soon as that is known: nothing may be written then, and the process has to end.
   */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

const jitterFraction = 0.1;
const releaseDeadlineMs = 2000;

/** Of one call. */
function callDeadlineOf({ renewDeadlineMs }: ElectionTiming): number {
  return Math.max(1000, renewDeadlineMs / 2);
}

/** Two calls that are not answered, and the wait before the next. An elector that is silent for longer hangs. */
export function longestTurnMs(timing: ElectionTiming): number {
  return 2 * callDeadlineOf(timing) + timing.retryMs * (1 + jitterFraction);
}

export function createElector(options: ElectorOptions): Elector {
  const { leases, identity, timing, fence, clock, random, log, observe, onTurn } = options;
  const callDeadlineMs = callDeadlineOf(timing);
  const won = Promise.withResolvers<void>();
  let state: Election = start;
  let cancelDeadline = () => {};
  let problem: string | undefined;

  function learn(finding: Finding, over: LinkedAbort): void {
    const before = state;
    state = next(before, finding, identity, timing);
    cancelDeadline();
    switch (state.kind) {
      case 'following':
        if (before.kind !== 'following' || holderOf(before) !== holderOf(state)) tellFollowing(state);
        break;
      case 'acquiring':
        break;
      case 'leading': {
        const until = state.renewedAt + timing.renewDeadlineMs;
        fence.openUntil(until);
        cancelDeadline = clock.schedule(until - clock.monotonic(), () =>
          learn({ kind: 'nothing', at: clock.monotonic() }, over),
        );
        if (before.kind === 'leading') break;
        log.info({ lease: leases.at, identity }, 'Leading');
        observe?.(true);
        won.resolve();
        break;
      }
      case 'lost':
        fence.close();
        over.abort(new LeadershipLost(state.why));
        break;
      default:
        unreachable(state);
    }
  }

  function tellFollowing({ seen }: Extract<Election, { kind: 'following' }>): void {
    if (seen !== undefined) log.info({ lease: leases.at, identity, leader: seen.lease.holder }, 'Following');
  }

  /** One call, and what is known after it. */
  async function ask(signal: AbortSignal): Promise<Finding> {
    try {
      const finding = await call(state, signal);
      problem = undefined;
      return finding;
    } catch (error) {
      signal.throwIfAborted();
      const said = describe(error);
      if (said !== problem)
        log.warn({ lease: leases.at, error }, 'The lease could not be read or written; trying again');
      problem = said;
      return { kind: 'nothing', at: clock.monotonic() };
    }
  }

  async function call(now: Election, signal: AbortSignal): Promise<Finding> {
    switch (now.kind) {
      case 'following':
      case 'lost':
        return read(signal);
      case 'acquiring':
        return hold(now.over, signal);
      case 'leading':
        return hold(now.lease, signal);
      default:
        return unreachable(now);
    }
  }

  async function read(signal: AbortSignal): Promise<Finding> {
    const lease = await leases.read(callDeadlineMs, signal);
    return { kind: 'read', lease, at: clock.monotonic() };
  }

  async function hold(over: Lease | undefined, signal: AbortSignal): Promise<Finding> {
    const sentAt = clock.monotonic();
    const claim = { identity, durationMs: timing.leaseMs };
    const result = await leases.hold(over, claim, callDeadlineMs, signal);
    if (result.kind === 'overtaken') return read(signal);
    return { kind: 'held', lease: result.lease, sentAt, at: clock.monotonic() };
  }

  /** Until something is to be done in this state. Renewing over what was just read waits for nothing. */
  function pause(last: Finding): number {
    if (state.kind === 'acquiring' || (state.kind === 'leading' && last.kind === 'read')) return 0;
    const periodMs = state.kind === 'leading' ? timing.retryMs : timing.retryMs / 2;
    return jitter(periodMs, jitterFraction, random);
  }

  /** What it is now is read first: the stop may have cut off a write of ours that the server has carried out. */
  async function release(): Promise<void> {
    if (state.kind !== 'acquiring' && state.kind !== 'leading') return;
    const never = neverAborted();
    try {
      const lease = await leases.read(releaseDeadlineMs, never);
      if (lease?.holder !== identity) return;
      await leases.release(lease, releaseDeadlineMs, never);
      log.info({ lease: leases.at, identity }, 'Released the lease');
    } catch (error) {
      log.warn({ lease: leases.at, error }, 'The lease could not be released; another can lead once it has expired');
    }
  }

  return {
    get leading() {
      return state.kind === 'leading';
    },
    async whenLeading(signal) {
      await Promise.race([won.promise, aborted(signal)]);
      signal.throwIfAborted();
    },
    async run(stop, halt) {
      using over = linked(stop);
      try {
        for (;;) {
          const finding = await ask(over.signal);
          onTurn?.();
          learn(finding, over);
          over.signal.throwIfAborted();
          await clock.sleep(pause(finding), over.signal);
          // Whoever wakes too late has lost, even where nobody has taken the lease yet.
          if (state.kind === 'leading') learn({ kind: 'nothing', at: clock.monotonic() }, over);
        }
      } finally {
        cancelDeadline();
        fence.close();
        observe?.(false);
        if (stop.aborted && !halt.aborted) await release();
      }
    },
  };
}

function holderOf(state: Election): string | undefined {
  return state.kind === 'following' || state.kind === 'acquiring' ? state.seen?.lease.holder : undefined;
}

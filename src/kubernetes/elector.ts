/**
 * Takes part in a leader election until `stop` aborts: reads the lease, acquires it, renews it, releases it. Invariants: the
 * fence is open only while the lease is held and renewed in time; it is closed before the lease is released; each call has a
 * deadline of its own, so a call that hangs leaves time for the next.
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
  /** Unique to this process: a restarted process is another replica. */
  identity: string;
  timing: ElectionTiming;
  fence: Fence;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Called when this process starts to lead, and when it stops. */
  observe?: ((leads: boolean) => void) | undefined;
  /** Called after each round, whatever its result: at least every `longestRoundMs`. */
  onRound?: () => void;
}

export interface Elector {
  /** Resolves as soon as this process leads; rejects with the signal's reason. */
  whenLeading(signal: AbortSignal): Promise<void>;
  /**
   * Runs until `stop`, and then releases the lease, unless `halt` has aborted work that may still be in progress. Throws
   * LeadershipLost as soon as leadership is lost: from then on the process must not write, and has to exit.
   */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

const jitterFraction = 0.1;
const releaseDeadlineMs = 2000;

function callDeadlineOf({ renewDeadlineMs }: ElectionTiming): number {
  return Math.max(1000, renewDeadlineMs / 2);
}

/** Two calls without a response, and the delay before the next round. An elector that takes longer hangs. */
export function longestRoundMs(timing: ElectionTiming): number {
  return 2 * callDeadlineOf(timing) + timing.retryMs * (1 + jitterFraction);
}

export function createElector(options: ElectorOptions): Elector {
  const { leases, identity, timing, fence, clock, random, log, observe, onRound } = options;
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
        if (before.kind !== 'following' || holderOf(before) !== holderOf(state)) logFollowing(state);
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

  function logFollowing({ seen }: Extract<Election, { kind: 'following' }>): void {
    if (seen !== undefined) log.info({ lease: leases.at, identity, leader: seen.lease.holder }, 'Following');
  }

  /** One call, and its result. */
  async function round(signal: AbortSignal): Promise<Finding> {
    try {
      const finding = await call(state, signal);
      problem = undefined;
      return finding;
    } catch (error) {
      signal.throwIfAborted();
      const description = describe(error);
      if (description !== problem)
        log.warn({ lease: leases.at, error }, 'The lease could not be read or written; retrying');
      problem = description;
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

  /** The delay before the next round. Replacing a lease that was just read does not wait. */
  function pause(last: Finding): number {
    if (state.kind === 'acquiring' || (state.kind === 'leading' && last.kind === 'read')) return 0;
    const periodMs = state.kind === 'leading' ? timing.retryMs : timing.retryMs / 2;
    return jitter(periodMs, jitterFraction, random);
  }

  /** Reads the lease first: the stop may have aborted a write of ours that the server has carried out. */
  async function release(): Promise<void> {
    if (state.kind !== 'acquiring' && state.kind !== 'leading') return;
    const never = neverAborted();
    try {
      const lease = await leases.read(releaseDeadlineMs, never);
      if (lease?.holder !== identity) return;
      await leases.release(lease, releaseDeadlineMs, never);
      log.info({ lease: leases.at, identity }, 'Released the lease');
    } catch (error) {
      log.warn(
        { lease: leases.at, error },
        'The lease could not be released; another replica can lead once it has expired',
      );
    }
  }

  return {
    async whenLeading(signal) {
      await Promise.race([won.promise, aborted(signal)]);
      signal.throwIfAborted();
    },
    async run(stop, halt) {
      using over = linked(stop);
      try {
        for (;;) {
          const finding = await round(over.signal);
          onRound?.();
          learn(finding, over);
          over.signal.throwIfAborted();
          await clock.sleep(pause(finding), over.signal);
          // A process that wakes too late has lost, even if no other replica has taken the lease yet.
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

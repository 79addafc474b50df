/**
 * Leader election, as a state machine without I/O.
 *
 * Invariants: another replica's lease counts as expired only after this process has observed it unchanged for its full
 * duration, on the local monotonic clock; remote timestamps are ignored. Our own lease counts from the time at which the
 * renewal was sent, and ends `leaseMs - renewDeadlineMs` before another replica may take it: a write in progress has that time
 * to arrive.
 */
import { unreachable } from '../lib/errors.ts';
import type { Lease } from './lease.ts';

export interface ElectionTiming {
  /** How long standbys wait before they take over a lease that is not renewed. */
  leaseMs: number;
  /** How long after its last renewal the holder still leads. */
  renewDeadlineMs: number;
  /** How often the holder renews. Standbys read twice as often, so a released lease is taken within this time. */
  retryMs: number;
}

export type Election =
  /** Another replica leads, or may lead. */
  | { kind: 'following'; seen: Seen | undefined }
  /** No replica leads: the lease is ours if our write is the first. */
  | { kind: 'acquiring'; seen: Seen | undefined; over: Lease | undefined }
  /** The next renewal replaces `lease`; undefined if it was deleted. */
  | { kind: 'leading'; lease: Lease | undefined; renewedAt: number }
  /** Final: a process that has led does not lead again. */
  | { kind: 'lost'; why: string };

/** A state of another replica's lease, and when we first saw it. */
export interface Seen {
  lease: Lease;
  at: number;
}

/** The result of one call or timer; `at` is monotonic and in milliseconds, like all times here. */
export type Finding =
  | { kind: 'read'; lease: Lease | undefined; at: number }
  | { kind: 'held'; lease: Lease; sentAt: number; at: number }
  /** Time has passed, or a call failed: whether the server has carried it out is unknown. */
  | { kind: 'nothing'; at: number };

export const start: Election = { kind: 'following', seen: undefined };

export function next(state: Election, finding: Finding, identity: string, timing: ElectionTiming): Election {
  switch (state.kind) {
    case 'following':
    case 'acquiring':
      return candidate(state.seen, finding, identity, timing);
    case 'leading':
      return leader(state, finding, identity, timing);
    case 'lost':
      return state;
    default:
      return unreachable(state);
  }
}

function candidate(seen: Seen | undefined, finding: Finding, identity: string, timing: ElectionTiming): Election {
  switch (finding.kind) {
    case 'nothing':
      return { kind: 'following', seen };
    case 'held': {
      const { lease, sentAt, at } = finding;
      // After a response that took too long we do not lead yet; the lease is ours, and the next read confirms it.
      if (at - sentAt >= timing.renewDeadlineMs) return { kind: 'following', seen: undefined };
      return { kind: 'leading', lease, renewedAt: sentAt };
    }
    case 'read': {
      const { lease, at } = finding;
      // It was deleted; its holder may not know yet, and has its full duration to notice.
      if (lease === undefined) {
        const isOver = seen === undefined || isFree(seen, at, timing);
        return isOver ? { kind: 'acquiring', seen, over: undefined } : { kind: 'following', seen };
      }
      const now = seen !== undefined && isUnchanged(seen.lease, lease) ? { lease, at: seen.at } : { lease, at };
      // Ours, by a write whose response was lost.
      if (lease.holder === identity || isFree(now, at, timing)) return { kind: 'acquiring', seen: now, over: lease };
      return { kind: 'following', seen: now };
    }
    default:
      return unreachable(finding);
  }
}

function leader(
  state: Extract<Election, { kind: 'leading' }>,
  finding: Finding,
  identity: string,
  timing: ElectionTiming,
): Election {
  const renewedAt = finding.kind === 'held' ? finding.sentAt : state.renewedAt;
  if (finding.kind === 'read' && finding.lease !== undefined && finding.lease.holder !== identity) {
    const { holder } = finding.lease;
    return {
      kind: 'lost',
      why: holder === '' ? 'its lease was released by another client' : `${holder} has taken its lease`,
    };
  }
  const silentMs = finding.at - renewedAt;
  if (silentMs >= timing.renewDeadlineMs) {
    return { kind: 'lost', why: `it could not renew its lease for ${Math.round(silentMs / 100) / 10} s` };
  }
  switch (finding.kind) {
    case 'nothing':
      return state;
    case 'held':
    case 'read':
      return { kind: 'leading', lease: finding.lease, renewedAt };
    default:
      return unreachable(finding);
  }
}

function isFree({ lease, at }: Seen, now: number, { leaseMs }: ElectionTiming): boolean {
  return lease.holder === '' || now - at >= (lease.durationMs ?? leaseMs);
}

/** Whether the holder has not renewed it between the two. Labels that others have set do not matter. */
function isUnchanged(a: Lease, b: Lease): boolean {
  return a.holder === b.holder && a.renewTime === b.renewTime && a.transitions === b.transitions;
}

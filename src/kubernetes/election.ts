/**
 * Who leads, as a state machine without I/O. Laws: a lease of another is over only after this process itself has seen it
 * unchanged for as long as its holder may be silent, by the monotonic clock; what any clock of another says is not looked at.
 * One's own lease counts from the moment at which the renewal was sent, and ends `leaseMs - renewDeadlineMs` before anybody
 * else may take it: that is the time that a write under way has to arrive.
 */
import { unreachable } from '../lib/errors.ts';
import type { Lease } from './lease.ts';

export interface ElectionTiming {
  /** How long others wait for a silent holder. */
  leaseMs: number;
  /** How long after the last renewal a holder still holds. */
  renewDeadlineMs: number;
  /** How often it renews. Others look twice as often, so that what is given up is taken within this time. */
  retryMs: number;
}

export type Election =
  /** Another leads, or may lead. */
  | { kind: 'following'; seen: Seen | undefined }
  /** Nobody leads: it is ours if our write comes first. */
  | { kind: 'acquiring'; seen: Seen | undefined; over: Lease | undefined }
  /** `lease` is what the next renewal replaces; undefined where somebody has deleted it. */
  | { kind: 'leading'; lease: Lease | undefined; renewedAt: number }
  /** For good: a process that has led once does not lead again. */
  | { kind: 'lost'; why: string };

/** A state of the lease of another, and when we first saw it. */
export interface Seen {
  lease: Lease;
  at: number;
}

/** What has come to be known; `at` is monotonic and in milliseconds, like all times here. */
export type Finding =
  | { kind: 'read'; lease: Lease | undefined; at: number }
  | { kind: 'held'; lease: Lease; sentAt: number; at: number }
  /** Time has passed, or a call failed: whatever the server did, we do not know of it. */
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
      // An answer that took too long is no beginning; the lease is ours all the same, and the next look will say so.
      if (at - sentAt >= timing.renewDeadlineMs) return { kind: 'following', seen: undefined };
      return { kind: 'leading', lease, renewedAt: sentAt };
    }
    case 'read': {
      const { lease, at } = finding;
      // Somebody deleted it; its holder may not know, and has as much time to find out as it always has.
      if (lease === undefined) {
        const isOver = seen === undefined || isFree(seen, at, timing);
        return isOver ? { kind: 'acquiring', seen, over: undefined } : { kind: 'following', seen };
      }
      const now = seen !== undefined && isUnchanged(seen.lease, lease) ? { lease, at: seen.at } : { lease, at };
      // Ours by a write whose answer was lost.
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
    return { kind: 'lost', why: holder === '' ? 'somebody has released its lease' : `${holder} has taken its lease` };
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

/** Whether the holder has given no sign between the two. Labels that others set are no sign of the holder. */
function isUnchanged(a: Lease, b: Lease): boolean {
  return a.holder === b.holder && a.renewTime === b.renewTime && a.transitions === b.transitions;
}

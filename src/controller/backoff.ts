/**
 * The delay after a reconcile that threw, for each key: exponential with full jitter. Invariant: each failure in a row doubles
 * the ceiling, up to ten minutes; a reconcile that returns an outcome resets it.
 *
 * It is for faults that no status reports: a bug, the deadline, a status that could not be written. A failure that the status
 * reports has its own `status.nextAttemptTime`, and arrives here as an outcome with a delay.
 */
import { backoff } from '../lib/backoff.ts';
import type { Random } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';

export interface Backoff {
  /** Counts a failure. Returns the delay in ms. */
  fail(key: Key): number;
  /** Resets the key: its reconcile succeeded, or its object does not exist. */
  forget(key: Key): void;
}

const ceiling = { firstMs: 1000, maxMs: 10 * 60_000 };

export function createBackoff(random: Random): Backoff {
  const failures = new Map<Key, number>();
  return {
    fail(key) {
      const before = failures.get(key) ?? 0;
      failures.set(key, before + 1);
      return Math.round(random() * backoff(ceiling, before));
    },
    forget: (key) => failures.delete(key),
  };
}

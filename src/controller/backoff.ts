/**
 * How long to wait after a reconcile that threw, per key: exponential, with full jitter. Law: each failure in a row doubles the
 * ceiling, up to ten minutes; one reconcile that ends in an outcome, whatever it says, starts anew.
 *
 * It is for faults that no status could tell of: a bug, the deadline, a status that could not be written. What the status tells
 * of has its own time, `status.nextAttemptTime`, and comes here as an outcome that says when to look again.
 */
import { backoff } from '../lib/backoff.ts';
import type { Random } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';

export interface Backoff {
  /** One more failure: how long to wait now, in ms. */
  fail(key: Key): number;
  /** It went well, or the key is gone. */
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

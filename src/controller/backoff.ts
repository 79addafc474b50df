/**
 * How long to wait after a failure, per key: exponential with full jitter. Law: the wait is drawn once per failure, so that
 * what a reconcile tells its user ("next try at …") is what then happens.
 */
import type { Random } from '../lib/clock.ts';
import type { Key } from '../lib/outcome.ts';

export interface Attempt {
  /** Failures in a row before this attempt. */
  failures: number;
  /** The wait that follows if this attempt fails, too. */
  delayMs: number;
}

export interface Backoff {
  /** What is so for the attempt that is under way; stays the same until `fail` or `forget`. */
  attempt(key: Key): Attempt;
  /** The attempt failed: returns its wait, in ms. */
  fail(key: Key): number;
  /** It succeeded, or the key is gone. */
  forget(key: Key): void;
}

const baseMs = 1000;
const capMs = 10 * 60_000;

export function createBackoff(random: Random): Backoff {
  const attempts = new Map<Key, Attempt>();
  const draw = (failures: number): Attempt => ({
    failures,
    delayMs: Math.round(random() * Math.min(capMs, baseMs * 2 ** failures)),
  });
  function attempt(key: Key): Attempt {
    const found = attempts.get(key) ?? draw(0);
    attempts.set(key, found);
    return found;
  }
  return {
    attempt,
    fail(key) {
      const { failures, delayMs } = attempt(key);
      attempts.set(key, draw(failures + 1));
      return delayMs;
    },
    forget: (key) => attempts.delete(key),
  };
}

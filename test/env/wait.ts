/**
 * Waiting for events. All waits share one limit, which is only there so that a test ends that waits for something that never comes.
 *
 * Invariant: the limit is no part of what a test shows. A loaded machine makes a wait longer, and no test red.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export const patienceMs = 300_000;

/** For calls that end by themselves. */
export function patience(): AbortSignal {
  return AbortSignal.timeout(patienceMs);
}

/** Resolves with the first value of `look` that is neither undefined nor false. `missing` describes what never came. */
export async function eventually<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  missing: () => string,
): Promise<T> {
  for (const end = performance.now() + patienceMs; ; ) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(missing());
    await sleep(50);
  }
}

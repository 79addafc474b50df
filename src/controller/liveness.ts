/**
 * Liveness checks, which detect that a part of the process hangs while the rest continues. Invariant: each check fails by the
 * passage of time alone, so a part that hangs is detected without its help.
 */
import type { Clock } from '../lib/clock.ts';
import { formatDuration } from '../lib/duration.ts';
import type { Check } from './health.ts';
import type { Queue } from './queue.ts';
import type { Workers } from './workers.ts';

export interface Heartbeat {
  /** Records progress. */
  beat(): void;
  check: Check;
}

/** Fails when the last beat was more than `limitMs` ago. */
export function createHeartbeat(clock: Clock, limitMs: number): Heartbeat {
  let lastAt = clock.monotonic();
  return {
    beat() {
      lastAt = clock.monotonic();
    },
    check() {
      const silentMs = clock.monotonic() - lastAt;
      return silentMs > limitMs ? `no heartbeat for ${formatDuration(silentMs)}` : undefined;
    },
  };
}

/** Fails when a key has been in work for longer than `limitMs`, which is far beyond the deadline of a reconcile. */
export function stuckWorkers(queue: Queue, limitMs: number): Check {
  return () => {
    const longestMs = Math.max(0, ...queue.running());
    return longestMs > limitMs ? `a reconcile has been running for ${formatDuration(longestMs)}` : undefined;
  };
}

/** Fails when keys wait and no worker has taken one for `limitMs`. A standby, whose workers do not run, is not idle. */
export function idleWorkers(workers: Workers, queue: Queue, limitMs: number): Check {
  return () => {
    const idleMs = Math.min(workers.idleMs() ?? 0, queue.longestWait());
    return idleMs > limitMs ? `keys are waiting, but no worker has taken one for ${formatDuration(idleMs)}` : undefined;
  };
}

export interface LoopMonitor {
  run(stop: AbortSignal): Promise<void>;
  check: Check;
}

/** Fails when the event loop has been `limitMs` late three times in a row: it is overloaded, although it still responds. */
export function createLoopMonitor(clock: Clock, limitMs: number): LoopMonitor {
  const intervalMs = 1000;
  const tolerated = 2;
  let lateInARow = 0;
  let lastLagMs = 0;
  return {
    async run(stop) {
      for (;;) {
        const before = clock.monotonic();
        await clock.sleep(intervalMs, stop);
        lastLagMs = clock.monotonic() - before - intervalMs;
        lateInARow = lastLagMs > limitMs ? lateInARow + 1 : 0;
      }
    },
    check: () =>
      lateInARow > tolerated ? `the event loop is repeatedly late, last by ${formatDuration(lastLagMs)}` : undefined,
  };
}

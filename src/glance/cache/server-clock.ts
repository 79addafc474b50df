/**
 * What time it is on the server at least, learned from the times that it stamps on images. Law: while the server's clock runs
 * forward at the usual rate, it is never earlier than this says; our own time of day is compared with nothing.
 *
 * A stamp is a time that has passed on the server when we read it, and since then as much has passed there as here. So after a
 * quiet night the next list asks for what changed since the last one, and not for all that changed in yesterday's last minute.
 */

export interface ServerClock {
  /** What was read at the monotonic time `atMs` bore this stamp. What is no time teaches nothing. */
  saw(stamp: string, atMs: number): void;
  /** The server's time at the monotonic time `atMs`, or an earlier one; undefined before the first stamp. */
  atLeast(atMs: number): Date | undefined;
}

export function createServerClock(): ServerClock {
  let aheadMs = Number.NEGATIVE_INFINITY;
  return {
    saw(stamp, atMs) {
      const ms = Date.parse(stamp);
      if (Number.isFinite(ms)) aheadMs = Math.max(aheadMs, ms - atMs);
    },
    atLeast: (atMs) => (Number.isFinite(aheadMs) ? new Date(atMs + aheadMs) : undefined),
  };
}

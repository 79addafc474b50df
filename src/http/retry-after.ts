/**
 * The header Retry-After: how long a server asks its clients to wait.
 *
 * Guarantees: no server makes this program wait longer than `longestMs`, whatever it sends. A header that is neither a number of
 * seconds nor an HTTP date counts as absent.
 */

/** Maintenance that is announced for a day may end earlier. */
const longestMs = 3_600_000;

/** In milliseconds. Undefined if it is absent or malformed. Dates are relative to `now`; without it they count as malformed. */
export function retryAfterMs(header: string | number | undefined, now?: Date): number | undefined {
  const ms = askedMs(String(header ?? '').trim(), now);
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), longestMs);
}

function askedMs(text: string, now: Date | undefined): number {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const isDate = now !== undefined && /^[A-Z][a-z]{2},? /.test(text);
  return isDate ? new Date(text).getTime() - now.getTime() : Number.NaN;
}

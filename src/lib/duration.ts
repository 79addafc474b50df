/**
 * Durations in the form of Kubernetes and Go: `90s`, `10m`, `1h30m`.
 *
 * Invariant: every duration that matches the CRD's pattern is parsed.
 */
const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration such as `1h30m`; `0` needs no unit. Throws a RangeError on anything else. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  if (!/^([0-9]+(ms|s|m|h))+$/.test(text)) throw new RangeError(`not a duration such as 90s, 10m or 1h30m: ${text}`);
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9]+)(ms|s|m|h)/g))
    total += Number(amount) * (unitMs[unit ?? ''] ?? 0);
  return total;
}

/** A duration for people, in at most two units: `42s`, `3m20s`, `2h5m`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours > 0) return minutes > 0 ? `${hours}h${minutes}m` : `${hours}h`;
  if (minutes > 0) return seconds % 60 > 0 ? `${minutes}m${seconds % 60}s` : `${minutes}m`;
  return `${seconds}s`;
}

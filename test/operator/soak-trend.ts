/**
 * Decides whether a measured quantity grows, by the median of the slopes between all pairs of samples (Theil and Sen),
 * which tolerates 29 % of arbitrary samples.
 *
 * Invariant: neither outliers nor the sawtooth of the garbage collector decide.
 */

export interface Point {
  /** In seconds. */
  at: number;
  value: number;
}

/** Units a second; 0 of fewer than two points. */
export function slopeOf(points: readonly Point[]): number {
  const slopes = points.flatMap((a, index) =>
    points.slice(index + 1).flatMap((b) => (b.at === a.at ? [] : [(b.value - a.value) / (b.at - a.at)])),
  );
  return medianOf(slopes);
}

export interface Trend {
  /** Over the last two thirds of the samples; before that a process warms up. */
  median: number;
  /** What the slope makes of the time of these samples. */
  growth: number;
}

export function trendOf(points: readonly Point[]): Trend {
  const settled = points.slice(Math.floor(points.length / 3));
  const seconds = (settled.at(-1)?.at ?? 0) - (settled[0]?.at ?? 0);
  return { median: medianOf(settled.map(({ value }) => value)), growth: slopeOf(settled) * seconds };
}

export function medianOf(values: readonly number[]): number {
  return quantileOf(values, 0.5);
}

/** 0 of no values. */
export function quantileOf(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

/**
 * Exponential backoff: how long to wait before a retry. It is a pure function of the number of the attempt; callers count
 * the attempts, add jitter where many of them could wake together, and decide when the count starts again.
 */
export interface Growth {
  /** The wait before the first retry. */
  firstMs: number;
  /** No wait is longer. */
  maxMs: number;
  /** How many times longer each wait is than the one before. Default: 2. */
  factor?: number;
}

/** Milliseconds to wait before retry number `attempt`, which is 0 for the first. */
export function backoff({ firstMs, maxMs, factor = 2 }: Growth, attempt: number): number {
  return Math.min(maxMs, firstMs * factor ** attempt);
}

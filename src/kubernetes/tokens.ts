/** Token buckets by key: so many at once, then one per refill. Law: bounded; the key unused for longest is forgotten. */
import type { Clock } from '../lib/clock.ts';

export interface TokenBuckets {
  /** Whether there was a token left for this key. */
  take(key: string): boolean;
}

export function createTokenBuckets(
  clock: Clock,
  { burst, refillMs, maxKeys }: { burst: number; refillMs: number; maxKeys: number },
): TokenBuckets {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    take(key) {
      const now = clock.monotonic();
      const bucket = buckets.get(key) ?? { tokens: burst, at: now };
      const tokens = Math.min(burst, bucket.tokens + (now - bucket.at) / refillMs);
      const granted = tokens >= 1;
      buckets.delete(key);
      buckets.set(key, { tokens: granted ? tokens - 1 : tokens, at: now });
      const [oldest] = buckets.keys();
      if (buckets.size > maxKeys && oldest !== undefined) buckets.delete(oldest);
      return granted;
    },
  };
}

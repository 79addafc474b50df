/**
 * How many retries a cloud may be burdened with. Law: over any time, the retries are at most `capacity` and one for every
 * ten answers, so that a cloud that is down or overloaded is not asked four times what it cannot answer once.
 *
 * It is the token bucket of gRPC's retry throttling: a try that failed takes one token, and must find it there to be repeated;
 * a try that was answered gives a tenth of one back. When the bucket is empty only first tries are made: each call asks every
 * endpoint once, because going on to an endpoint that was not asked yet repeats nothing.
 */
export interface RetryBudget {
  /** A try was answered, if only with a refusal. */
  answered(): void;
  /** A try failed. Whether the bucket held a token for its repetition, which is taken. */
  failed(): boolean;
}

export const budgetDefaults = {
  /** Ten calls in a row may fail in each of their four tries. */
  capacity: 40,
  /** Tokens given back by an answer. */
  refill: 0.1,
};

export function createRetryBudget({ capacity, refill } = budgetDefaults): RetryBudget {
  // In thousandths, for sums that stay exact.
  const unit = 1000;
  const most = capacity * unit;
  let left = most;
  return {
    answered() {
      left = Math.min(most, left + Math.round(refill * unit));
    },
    failed() {
      if (left < unit) return false;
      left -= unit;
      return true;
    },
  };
}

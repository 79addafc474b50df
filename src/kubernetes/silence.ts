/**
 * Notices that nothing comes any more. A connection whose other end is gone without a word (half-open: a NAT that forgot it, a
 * node that lost its power) looks like one on which nothing happens. Law: time is measured from the last byte and on the
 * monotonic clock, and one timer serves for any number of bytes.
 */
import type { Clock } from '../lib/clock.ts';

/** Passes on what comes, and calls `onSilence` once when nothing has come for `limitMs`. */
export async function* watchSilence<T>(
  chunks: AsyncIterable<T>,
  clock: Clock,
  limitMs: number,
  onSilence: () => void,
): AsyncGenerator<T> {
  let heardAt = clock.monotonic();
  let cancel = () => {};
  const wait = (ms: number) => {
    cancel = clock.schedule(ms, () => {
      const left = heardAt + limitMs - clock.monotonic();
      if (left > 0) wait(left);
      else onSilence();
    });
  };
  wait(limitMs);
  try {
    for await (const chunk of chunks) {
      heardAt = clock.monotonic();
      yield chunk;
    }
  } finally {
    cancel();
  }
}

/**
 * Newer digests of publishers, for each resource: the one whose image is being made, so that a list that cannot be read meanwhile
 * cancels nothing; and the one that failed, so that its image stays as it is, and its list is read again before the file is blamed.
 *
 * Guarantees: a failure is forgotten when its time is over, and at a restart; the number of failures is bounded.
 */
import type { GlanceImageStatus } from '../../api/status.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { delayOf, reactionTo } from '../../lib/error-codes.ts';
import type { OperatorError } from '../../lib/errors.ts';
import type { Key } from '../../lib/key.ts';

/** What is recorded of a file that a publisher provides. */
export type PinnedSource = NonNullable<GlanceImageStatus['source']>;

export interface Rejected {
  digest: string;
  error: OperatorError;
  /** A list that was read before this monotonic time may be older than the file. Undefined where the file is not to blame. */
  sinceMs: number | undefined;
  /** Until the digest is tried again; 0 or less: now. */
  leftMs: number;
}

export interface Candidates {
  /** The file whose image is being made. */
  current(key: Key): PinnedSource | undefined;
  make(key: Key, source: PinnedSource): void;
  get(key: Key): Rejected | undefined;
  reject(key: Key, digest: string, error: OperatorError): void;
  /** Its list was read again since. */
  reread(key: Key): void;
  /** The image with this digest is the current one, and no other is being made. The failure of another file stays known. */
  settle(key: Key, digest: string): void;
  forget(key: Key): void;
}

/** Failures after which the list may be newer than the file, or the file newer than the list. */
const mismatches: ReadonlySet<string> = new Set(['DigestMismatch', 'SplicedDigestMismatch', 'SourceNotFound']);

export function isMismatch({ code }: OperatorError): boolean {
  return mismatches.has(code);
}

/** Failures after which the image of a newer file stays, and is continued. */
export function isPassing(error: OperatorError): boolean {
  return error.retry.kind !== 'change' && !isMismatch(error);
}

const mostKept = 100_000;

export function createCandidates(clock: Clock, random: Random): Candidates {
  const made = new BoundedMap<Key, PinnedSource>(mostKept);
  const rejected = new BoundedMap<Key, Omit<Rejected, 'leftMs'> & { attempts: number; untilMs: number }>(mostKept);
  return {
    current: (key) => made.get(key),
    make: (key, source) => void made.set(key, source),
    get(key) {
      const known = rejected.get(key);
      return known && { ...known, leftMs: known.untilMs - clock.monotonic() };
    },
    reject(key, digest, error) {
      made.delete(key);
      const before = rejected.get(key);
      const attempts = before?.digest === digest ? before.attempts + 1 : 1;
      const now = clock.monotonic();
      const untilMs = now + delayOf(reactionTo(error.retry, attempts), attempts, random());
      const sinceMs = isMismatch(error) ? now : undefined;
      rejected.set(key, { digest, error, sinceMs, attempts, untilMs });
    },
    reread(key) {
      const known = rejected.get(key);
      if (known?.sinceMs !== undefined) rejected.set(key, { ...known, sinceMs: undefined });
    },
    settle(key, digest) {
      made.delete(key);
      if (rejected.get(key)?.digest === digest) rejected.delete(key);
    },
    forget(key) {
      made.delete(key);
      rejected.delete(key);
    },
  };
}

/**
 * Which of several addresses is asked next, and after what pause. Law: pure decisions; between two pieces of progress each
 * address is tried a bounded number of times, so a download ends; progress gives every address that may recover its tries back.
 */
import { backoff } from '../lib/backoff.ts';
import { jitter, type Random } from '../lib/clock.ts';
import { OperatorError, type Retry } from '../lib/errors.ts';

/** At one address, without progress. */
const tries = 4;
/** A server that asks for a longer pause is left for the next address. */
const longestPauseMs = 10_000;
/** Before the second try and each further one, ± half. */
const growth = { firstMs: 250, maxMs: longestPauseMs, factor: 4 };
/** How many of the other failures a message lists. */
const listed = 3;

export type Step =
  /** Ask this address after a pause. */
  | { kind: 'ask'; index: number; pauseMs: number }
  /** Nothing is left to ask. */
  | { kind: 'over'; error: OperatorError };

export interface Rotation {
  /** The address in use, as an index. */
  readonly index: number;
  /** What to do after a failure of the address in use. */
  failed(error: OperatorError): Step;
  /** The address in use has brought enough to count as progress. */
  progressed(): void;
}

/** `count`: how many addresses there are, at least one, in the order of preference. */
export function createRotation(count: number, random: Random): Rotation {
  let index = 0;
  let tried = 0;
  /** By address: why it is not asked again, until there is progress or for good. */
  const failures = new Map<number, { error: OperatorError; forGood: boolean }>();

  function failed(error: OperatorError): Step {
    const verdict = judge(error);
    if (verdict === 'hopeless') return { kind: 'over', error };
    // A silent try has waited for long already.
    tried += error.code === 'SourceStalled' || error.code === 'SourceSilent' ? 2 : 1;
    const asked = error.retry.kind === 'after' ? error.retry.ms : 0;
    if (verdict === 'passing' && tried < tries && asked <= longestPauseMs) {
      const pause = jitter(backoff(growth, tried - 1), 0.5, random);
      return { kind: 'ask', index, pauseMs: Math.max(pause, asked) };
    }
    failures.set(index, { error, forGood: verdict === 'elsewhere' });
    for (let step = 1; step < count; step++) {
      const next = (index + step) % count;
      if (failures.has(next)) continue;
      index = next;
      tried = 0;
      return { kind: 'ask', index, pauseMs: 0 };
    }
    const errors = [...failures].sort(([a], [b]) => a - b).map(([, failure]) => failure.error);
    return { kind: 'over', error: mostTelling(errors) ?? error };
  }

  return {
    get index() {
      return index;
    },
    failed,
    progressed() {
      tried = 0;
      for (const [key, { forGood }] of failures) if (!forGood) failures.delete(key);
    },
  };
}

/** `passing`: the same address may do better; `elsewhere`: only another one may; `hopeless`: none can. */
function judge(error: OperatorError): 'passing' | 'elsewhere' | 'hopeless' {
  switch (error.code) {
    case 'SourceUnreachable':
    case 'SourceUnavailable':
    case 'SourceSilent':
    case 'SourceStalled':
    case 'SourceTooShort':
      return 'passing';
    case 'SourceTooLong':
      return 'hopeless';
    default:
      return 'elsewhere';
  }
}

/** How soon another try makes sense. */
const urgency: Record<Retry['kind'], number> = { backoff: 0, after: 1, change: 2 };

/**
 * Of the failures of several addresses, in their order, the one that decides what happens next: that which may pass soonest, so
 * that one mirror that is gone for good does not hide that another is only down. The others are told beside it.
 */
function mostTelling(errors: readonly OperatorError[]): OperatorError | undefined {
  const [best, ...others] = errors.toSorted((a, b) => urgency[a.retry.kind] - urgency[b.retry.kind]);
  if (best === undefined || others.length === 0) return best;
  const rest = others.slice(0, listed).map(({ message }) => message);
  if (others.length > listed) rest.push(`and ${others.length - listed} more`);
  return new OperatorError(`${best.message}. The other addresses of the source failed too: ${rest.join('; ')}`, {
    code: best.code,
    retry: best.retry,
    cause: best,
    ...(best.httpStatus === undefined ? {} : { httpStatus: best.httpStatus }),
  });
}

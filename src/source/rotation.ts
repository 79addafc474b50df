/**
 * Which of several addresses to try next, and after which pause.
 *
 * Guarantees: between two steps of progress each address is tried a bounded number of times, so a download ends; after progress,
 * every address that may recover gets its attempts back.
 */
import { backoff } from '../lib/backoff.ts';
import { jitter, type Random } from '../lib/clock.ts';
import type { ErrorCode, Retry } from '../lib/error-codes.ts';
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import { RedirectedError } from './errors.ts';

/** At one address, without progress. */
const maxAttempts = 4;
/** For a longer Retry-After the next address is tried. */
const longestPauseMs = 10_000;
/** Before the second and each further attempt, ± half. */
const growth = { firstMs: 250, maxMs: longestPauseMs, factor: 4 };
/** How many of the other failures a message lists. */
const listed = 3;

export type Step =
  /** Try this address after a pause. */
  | { kind: 'try'; index: number; pauseMs: number }
  /** No address is left. */
  | { kind: 'over'; error: OperatorError };

export interface Rotation {
  /** The address in use, as an index. */
  readonly index: number;
  /** The next step after a failure of the address in use. */
  failed(error: OperatorError): Step;
  /** The address in use has sent enough bytes to count as progress. */
  progressed(): void;
}

/** `count`: the number of addresses, at least one, in order of preference. */
export function createRotation(count: number, random: Random): Rotation {
  let index = 0;
  let attempts = 0;
  /** By address: why it is not tried again, until there is progress or at all. */
  const failures = new Map<number, { error: OperatorError; isFinal: boolean }>();

  function failed(error: OperatorError): Step {
    const scope = scopeOf(error);
    if (scope === 'all') return { kind: 'over', error };
    // An attempt without a response has taken long already.
    attempts += error.code === 'SourceStalled' || error.code === 'SourceSilent' ? 2 : 1;
    // After a redirect it is not this address that has the problem, unless the server of the file asks for a pause.
    const isOwn = error.code === 'SourceUnavailable' || !(error instanceof RedirectedError);
    const requested = isOwn ? requestedPause(error.retry) : 0;
    if (scope === 'attempt' && attempts < maxAttempts && requested <= longestPauseMs) {
      const pause = jitter(backoff(growth, attempts - 1), 0.5, random);
      return { kind: 'try', index, pauseMs: Math.max(pause, requested) };
    }
    failures.set(index, { error, isFinal: scope === 'address' });
    for (let step = 1; step < count; step++) {
      const next = (index + step) % count;
      if (failures.has(next)) continue;
      index = next;
      attempts = 0;
      return { kind: 'try', index, pauseMs: 0 };
    }
    const errors = [...failures].sort(([a], [b]) => a - b).map(([, failure]) => failure.error);
    return { kind: 'over', error: soonestOf(errors) ?? error };
  }

  return {
    get index() {
      return index;
    },
    failed,
    progressed() {
      attempts = 0;
      for (const [key, { isFinal }] of failures) if (!isFinal) failures.delete(key);
    },
  };
}

/** What fails: this `attempt`, this `address`, or `all` of them. */
function scopeOf(error: OperatorError): 'attempt' | 'address' | 'all' {
  switch (error.code) {
    case 'SourceUnreachable':
    case 'SourceUnavailable':
    case 'SourceSilent':
    case 'SourceStalled':
    case 'SourceTooShort':
      return 'attempt';
    case 'SourceTooLong':
      return 'all';
    default:
      // A mirror network leads to another mirror the next time. An address that is not allowed is not for trying.
      return error instanceof RedirectedError && error.code !== 'EgressRefused' ? 'attempt' : 'address';
  }
}

/** Failures of the download, after which another file may have the image. The others are about the data, or about Glance. */
const failedDownloads: ReadonlySet<ErrorCode> = new Set([
  'ConversionNeedsRanges',
  'EgressRefused',
  'EmptySource',
  'PageReceived',
  'ProxyDenied',
  'SourceChanged',
  'SourceForbidden',
  'SourceInvalid',
  'SourceNotFound',
  'SourceRefused',
  'SourceSilent',
  'SourceStalled',
  'SourceTooShort',
  'SourceUnavailable',
  'SourceUnreachable',
  'SourceUntrusted',
  'SourceURLInvalid',
]);

export function isFailedDownload({ code }: OperatorError): boolean {
  return failedDownloads.has(code);
}

/** The shortest pause before another attempt, in milliseconds. */
function requestedPause(retry: Retry): number {
  if (retry.kind === 'backoff') return retry.leastMs ?? 0;
  return retry.kind === 'after' ? retry.ms : 0;
}

/** How soon another attempt makes sense: a smaller number is sooner. */
function urgency(retry: Retry): number {
  switch (retry.kind) {
    case 'backoff':
      return retry.leastMs === undefined ? 0 : 1;
    case 'after':
      return 1;
    case 'change':
    case 'backoffThenChange':
      return 2;
  }
}

/**
 * The failure that decides when to retry: the one that may end soonest; undefined only of none. A mirror that no longer exists must not hide that another
 * one is only down. The message has the others as well.
 */
export function soonestOf(errors: readonly OperatorError[]): OperatorError | undefined {
  const [best, ...others] = errors.toSorted((a, b) => urgency(a.retry) - urgency(b.retry));
  if (best === undefined || others.length === 0) return best;
  const rest = others.slice(0, listed).map(({ message }) => message);
  if (others.length > listed) rest.push(`and ${others.length - listed} more`);
  return new OperatorError(`${best.message}. The other addresses of the source failed too: ${rest.join('; ')}`, {
    code: best.code,
    cause: best,
    ...responseFieldsOf(best),
  });
}

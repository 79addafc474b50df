/**
 * What a status says about a publisher: what is pinned, and in the condition Updating what becomes of something newer.
 *
 * Guarantees: pure; while the image that is pinned is as declared, nothing that a publisher does changes Ready, Reconciling or
 * Stalled.
 */
import { isDeepStrictEqual } from 'node:util';
import { type ConditionVerdict, findCondition, type Verdicts } from '../../api/conditions.ts';
import type { GlanceImageStatus } from '../../api/status.ts';
import type { OperatorError } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { digestIn } from '../model/fingerprint.ts';
import { candidateIn, type Memory, verifiedAs } from '../model/memory.ts';
import type { End } from '../model/report.ts';
import type { PinnedSource } from '../publishers/candidates.ts';
import type { Pinning } from '../publishers/resolution.ts';
import { reasonOf } from './failure.ts';
import { type UpkeepScene, whileNewerIsMade } from './upkeep.ts';

type Main = Pick<Verdicts, 'ready' | 'activity'>;

/** The file of a candidate is pinned once its image is the one to use. */
export function pinningAfter(pinning: Pinning, memory: Memory): Pinning {
  if (pinning.kind !== 'candidate') return pinning;
  const { before: _, ...rest } = pinning;
  return promotedDigest(memory) === pinning.source.digest ? { ...rest, kind: 'pinned' } : pinning;
}

function promotedDigest(memory: Memory): string | undefined {
  const found = memory.promoted === undefined ? undefined : verifiedAs(memory, memory.promoted);
  return found && digestIn(found.fingerprint);
}

/** What is pinned after this reconcile. */
export function sourceAfter(pinning: Pinning, end: End, previous: GlanceImageStatus): PinnedSource | undefined {
  return pinning.kind === 'candidate' && end.kind === 'converged' ? pinning.source : pinnedIn(pinning, previous);
}

/** What is pinned. */
export function pinnedIn(pinning: Pinning, previous: GlanceImageStatus): PinnedSource | undefined {
  switch (pinning.kind) {
    case 'declared':
      return undefined;
    case 'open':
      return previous.source;
    case 'pinned':
      return pinning.source;
    case 'candidate':
      return pinning.before;
  }
}

export function withPublisher(
  pinning: Pinning,
  end: End,
  scene: UpkeepScene,
): Main & { updating: ConditionVerdict | undefined } {
  const { main } = scene;
  if (pinning.kind !== 'candidate' || end.kind === 'converged') return { ...main, updating: standing(pinning) };
  return { ...whileNewerIsMade(scene), updating: becomesOf(pinning.source, end, main.ready) };
}

export function whileFollowing(
  end: Extract<End, { kind: 'resolving' | 'held' }>,
): ['Progressing' | 'Resolving', string] {
  return end.kind === 'resolving'
    ? ['Resolving', `reading ${safeUrl(end.url)}, which has the digest of the file`]
    : ['Progressing', `the newer file of the publisher is not usable (${end.error.message}): the image stays as it is`];
}

/** Whether the status does not say yet what is known of the publisher, or names a newer file whose image is no longer made. */
export function isUnshown(pinning: Pinning, status: GlanceImageStatus): boolean {
  if (pinning.kind === 'candidate') return !isTriedLater(pinning, status);
  if (status.operation?.['candidate'] !== undefined) return true;
  if (pinning.kind !== 'pinned') return false;
  const shown = findCondition(status.conditions, 'Updating');
  const wanted = standing(pinning);
  const isShown =
    wanted === undefined ? shown === undefined : shown?.reason === wanted.reason && shown.message === wanted.message;
  return !isShown || !isDeepStrictEqual(status.source, pinning.source);
}

/** The time of the next attempt is that of this newer file. */
function isTriedLater(
  { source, declared: { metadata } }: Extract<Pinning, { kind: 'candidate' }>,
  status: GlanceImageStatus,
): boolean {
  const isMade = candidateIn({ metadata, status })?.digest === source.digest;
  const hasFailed = findCondition(status.conditions, 'Updating')?.status === 'False';
  return isMade && hasFailed && status.nextAttemptTime !== undefined;
}

function standing(pinning: Pinning): ConditionVerdict | undefined {
  return pinning.kind === 'pinned' && pinning.trouble !== undefined ? failing(pinning.trouble) : undefined;
}

function failing(error: OperatorError): ConditionVerdict {
  const message = `${error.message}. The image stays as it is, and the operator tries again by itself`;
  return { status: 'False', reason: reasonOf(error), message };
}

function becomesOf(source: PinnedSource, end: End, { reason, message }: ConditionVerdict): ConditionVerdict {
  if (end.kind === 'held') return failing(end.error);
  const status = end.kind === 'failed' ? 'False' : 'True';
  const { version, digest } = source;
  const file = version === undefined ? digest : `version ${version} (${digest})`;
  return { status, reason, message: `the publisher has ${file}: ${message}` };
}

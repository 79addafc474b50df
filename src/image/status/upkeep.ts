/**
 * The part of a status about the image to use while that of a publisher's newer file is made.
 *
 * Guarantees: pure; a failure to keep the image to use as declared is shown until the next attempt, and the attempts for the newer file are
 * not counted together with its own.
 */
import { type ConditionVerdict, findCondition, isConvergedReason, type Verdicts } from '../../api/conditions.ts';
import { isReason } from '../../api/reasons.ts';
import type { GlanceImageStatus } from '../../api/status.ts';
import type { Report, Upkeep } from '../model/report.ts';
import type { Pinning } from '../publishers/resolution.ts';
import { type Failure, verdictsOnFailure } from './failure.ts';

/** `stillFailing`: it was not looked at, because the next attempt is later. */
export type KnownUpkeep = Upkeep | { kind: 'stillFailing' };

type Main = Pick<Verdicts, 'ready' | 'activity'>;

export interface UpkeepScene {
  upkeep: KnownUpkeep | undefined;
  /** The conditions without regard to publishers. */
  main: Main;
  /** Of this upkeep, if it fails. */
  failure: Failure | undefined;
  /** Ready of an image that is as declared. */
  converged: ConditionVerdict;
  /** The image to use; undefined where it is gone, or not verified. */
  imageID: string | undefined;
  previous: GlanceImageStatus;
  generation: number;
  /** Ready was not False for the present generation. */
  wasReady: boolean;
}

/** Whether the failure in a status is of the image to use: the newer file is on its way. */
export function isUpkeepFailing({ conditions, nextAttemptTime }: GlanceImageStatus): boolean {
  return nextAttemptTime !== undefined && findCondition(conditions, 'Updating')?.status === 'True';
}

export function knownUpkeep(
  { upkeep, end }: Pick<Report, 'upkeep' | 'end'>,
  pinning: Pinning,
  previous: GlanceImageStatus,
  generation: number,
): KnownUpkeep | undefined {
  if (pinning.kind !== 'candidate') return undefined;
  const isSame = previous.observedGeneration === generation && end.kind === 'transferring';
  return upkeep ?? (isSame && isUpkeepFailing(previous) ? { kind: 'stillFailing' } : undefined);
}

export function isFailing(upkeep: KnownUpkeep | undefined): boolean {
  return upkeep?.kind === 'failed' || upkeep?.kind === 'stillFailing';
}

/** Ready, and whether the operator continues by itself. */
export function whileNewerIsMade(scene: UpkeepScene): Main {
  const { upkeep, main, failure, converged, imageID, previous, generation, wasReady } = scene;
  switch (upkeep?.kind) {
    case 'asDeclared':
      return imageID === undefined ? main : { ready: converged, activity: { kind: 'none' } };
    case 'differs':
      return main;
    case 'failed':
      return failure === undefined ? main : verdictsOnFailure(upkeep.error, failure, wasReady, undefined);
    case 'stillFailing':
      return failingAsBefore(previous) ?? main;
    case 'notCompared':
    case undefined: {
      const isSame = previous.observedGeneration === generation && imageID !== undefined;
      const ready = findCondition(previous.conditions, 'Ready');
      if (!isSame || ready?.status !== 'True' || !isConvergedReason(ready.reason)) return main;
      const { status, reason, message = '' } = ready;
      return { ready: { status, reason, message }, activity: { kind: 'none' } };
    }
  }
}

function failingAsBefore({ conditions, lastError }: GlanceImageStatus): Main | undefined {
  const before = findCondition(conditions, 'Ready');
  if (before === undefined || !isReason(before.reason)) return undefined;
  const { status, reason, message } = before;
  const activity: Main['activity'] =
    lastError?.retryable === false
      ? { kind: 'stalled', reason, message }
      : { kind: 'reconciling', reason: 'ProgressingWithRetry', message };
  return { ready: { status, reason, message }, activity };
}

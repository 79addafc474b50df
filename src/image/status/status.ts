/**
 * The status, worked out from the report of a reconcile and the status before.
 *
 * Invariants: pure; a value that was not requested again stays as last known; the same report twice gives the same status, so the
 * status of a settled resource is never written; a failure names its cause, its attempts and what happens next.
 */
import {
  type ConditionVerdict,
  conditionsFrom,
  findCondition,
  isConvergedReason,
  rfc3339,
  type Verdicts,
  type Warning,
} from '../../api/conditions.ts';
import type { CompleteSpec } from '../../api/defaults.ts';
import type { GlanceImageStatus, SeenImage, TransferStatus } from '../../api/status.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { compact } from '../../lib/compact.ts';
import { formatDuration } from '../../lib/duration.ts';
import { delayOf, reactionTo } from '../../lib/error-codes.ts';
import { unreachable } from '../../lib/errors.ts';
import { asOperation, isBlank, type Memory } from '../model/memory.ts';
import type { ActiveTransfer, End, Report } from '../model/report.ts';
import { sanitise } from '../model/sanitise.ts';
import type { Pinning } from '../publishers/resolution.ts';
import { availabilityOf } from './available.ts';
import { type Failure, reasonOf, verdictsOnFailure } from './failure.ts';
import { shownOf } from './shown.ts';
import { pinnedIn, pinningAfter, sourceAfter, whileFollowing, withPublisher } from './updating.ts';
import { isFailing, isUpkeepFailing, type KnownUpkeep, knownUpkeep } from './upkeep.ts';

/** When and for what a status is worked out: what it needs in addition to the report of the reconcile. */
export interface Moment {
  generation: number;
  /** Hash of all that is declared but `suspend`. */
  specHash: string;
  /** Value of the reconcile-at annotation that was handled. */
  reconcileAt: string | undefined;
  /** The policy of a resource that is being deleted. */
  deletion: CompleteSpec['deletionPolicy'] | undefined;
  /** No content is declared: nothing says what the data should be. */
  recordOnly: boolean;
  /** What happens to an image that existed before; undefined where there is none. */
  imported: 'adopted' | 'observed' | undefined;
  pinning: Pinning;
  /** What people should know although it prevents nothing. */
  warning: Warning | undefined;
  now: Date;
  /** In [0, 1), for the jitter of the next attempt. */
  random: number;
}

export function summarise(report: Report, previous: GlanceImageStatus, moment: Moment): GlanceImageStatus {
  const { end, memory, cloud, secret } = report;
  const shown = shownOf(report, previous, moment.now);
  const { imageID, image } = shown;
  const pinning = end.kind === 'failed' ? pinningAfter(moment.pinning, memory) : moment.pinning;
  const { generation } = moment;
  const upkeep = knownUpkeep(report, pinning, previous, generation);
  const failure = failureOf(end, upkeep, previous, moment);
  const ofEnd = isFailing(upkeep) && end.kind !== 'failed' ? undefined : failure;
  const main = verdictsOf(end, { previous, memory, image, imageID, failure: ofEnd, moment });
  const converged = whenConverged({ image, imageID, moment });
  const kept = {
    upkeep,
    main,
    failure,
    converged,
    imageID,
    previous,
    generation,
    wasReady: wasReady(previous, moment),
  };
  const verdicts = withPublisher(pinning, end, kept);
  const transfer = transferOf(end, previous.transfer, moment.now);
  return sanitise({
    observedGeneration: moment.generation,
    conditions: conditionsFrom(
      {
        ...verdicts,
        available: availabilityOf(imageID, image, !moment.recordOnly),
        warning: moment.warning ?? missingData(image, moment),
      },
      previous.conditions ?? [],
      moment.generation,
      moment.now,
    ),
    ...shown,
    size: sizeOf(image, transfer),
    progress: transfer?.percent === undefined ? undefined : `${transfer.percent}%`,
    transfer,
    lastError: failure?.lastError,
    nextAttemptTime: failure?.nextAttemptTime,
    cloud: cloud === undefined ? previous.cloud : compact({ ...cloud }),
    secretVersion: secret === undefined ? previous.secretVersion : secret.version,
    source: sourceAfter(pinning, end, previous),
    operation: isBlank(memory) ? undefined : asOperation(settledBy(report, moment)),
    lastHandledReconcileAt: moment.reconcileAt,
  });
}

/**
 * The status before, with what must not be forgotten if the process ends before the reconcile does. Where another image is the one
 * to use, everything that is shown is of that one. `Ready` stays only if it was True for the present generation. The generation of
 * the status stays, and the next attempt is at once, so that a later process goes on.
 */
export function recorded(
  { memory, observed }: Pick<Report, 'memory' | 'observed'>,
  previous: GlanceImageStatus,
  moment: Moment,
): GlanceImageStatus {
  const kept = { ...previous, operation: asOperation(memory) };
  if (memory.promoted === previous.imageID) return compact(kept);
  const shown = shownOf({ memory, observed }, previous, moment.now);
  const { imageID, image } = shown;
  const isSame = previous.observedGeneration === moment.generation;
  const isKept = isSame && imageID !== undefined && isReadyIn(previous);
  const main = isKept
    ? { ready: whenConverged({ image, imageID, moment }), activity: { kind: 'none' as const } }
    : working('Progressing', whileReplacing(imageID), undefined);
  const verdicts = {
    ...main,
    available: availabilityOf(imageID, image, !moment.recordOnly),
    warning: moment.warning ?? missingData(image, moment),
    updating: undefined,
  };
  return sanitise({
    ...kept,
    ...shown,
    conditions: conditionsFrom(verdicts, previous.conditions ?? [], moment.generation, moment.now),
    size: sizeOf(image, undefined),
    progress: undefined,
    transfer: undefined,
    lastError: isSame ? previous.lastError : undefined,
    nextAttemptTime: rfc3339(moment.now),
    source: pinnedIn(pinningAfter(moment.pinning, memory), previous),
  });
}

function whileReplacing(imageID: string | undefined): string {
  return imageID === undefined
    ? 'the image to use is gone or has other data than declared, and the operator makes another one'
    : `image ${imageID} has the declared data and is the one to use now; the operator retires the previous image and applies the rest of the declaration`;
}

function isReadyIn({ conditions }: GlanceImageStatus): boolean {
  const ready = findCondition(conditions, 'Ready');
  return ready?.status === 'True' && isConvergedReason(ready.reason);
}

function settledBy({ end, upkeep, memory }: Report, { specHash }: Moment): Memory {
  const isSettled = end.kind === 'converged' || upkeep?.kind === 'asDeclared';
  return isSettled ? { ...memory, settled: specHash } : memory;
}

/** A failure stays in sight until the image is as declared; a new declaration starts the count again. */
function failureOf(
  end: End,
  upkeep: KnownUpkeep | undefined,
  previous: GlanceImageStatus,
  moment: Moment,
): Failure | undefined {
  const sameDeclaration = previous.observedGeneration === moment.generation;
  const isOfSame = isFailing(upkeep) === isUpkeepFailing(previous);
  const before = sameDeclaration && isOfSame ? previous.lastError : undefined;
  if (end.kind === 'converged' || end.kind === 'suspended' || end.kind === 'held') return undefined;
  const error = upkeep?.kind === 'failed' ? upkeep.error : end.kind === 'failed' ? end.error : undefined;
  if (error === undefined) {
    const nextAttemptTime = upkeep?.kind === 'stillFailing' ? previous.nextAttemptTime : undefined;
    return before === undefined ? undefined : { lastError: before, nextAttemptTime, reaction: { kind: 'backoff' } };
  }
  const attempts = isProgress(before?.reason, reasonOf(error)) ? 1 : (before?.attempts ?? 0) + 1;
  const reaction = reactionTo(error.retry, attempts);
  const lastError = compact({
    reason: reasonOf(error),
    message: error.message,
    httpStatus: error.httpStatus,
    requestID: error.requestId,
    retryable: reaction.kind !== 'change',
    attempts,
    at: rfc3339(moment.now),
  });
  const next = new Date(moment.now.getTime() + delayOf(reaction, attempts, moment.random));
  return { lastError, nextAttemptTime: rfc3339(roundUp(next)), reaction };
}

/** Causes that lie before the first call to Glance. A failure after one of them is the first of its kind. */
const early: ReadonlySet<string> = new Set([
  'SecretNotFound',
  'SecretInvalid',
  'CloudNotFound',
  'AuthenticationFailed',
  'IdentityUnavailable',
  'EndpointNotFound',
]);

function isProgress(before: string | undefined, now: string): boolean {
  return before !== undefined && early.has(before) && !early.has(now);
}

function roundUp(time: Date): Date {
  return new Date(Math.ceil(time.getTime() / 1000) * 1000);
}

interface Scene {
  previous: GlanceImageStatus;
  memory: Memory;
  image: SeenImage | undefined;
  imageID: string | undefined;
  failure: Failure | undefined;
  moment: Moment;
}

function verdictsOf(end: End, scene: Scene): Pick<Verdicts, 'ready' | 'activity'> {
  const { previous, failure, moment } = scene;
  switch (end.kind) {
    case 'converged': {
      return { ready: whenConverged(scene), activity: { kind: 'none' } };
    }
    case 'suspended':
      return { ready: whileSuspended(scene), activity: { kind: 'none' } };
    case 'resolving':
    case 'held':
      return working(...whileFollowing(end), failure);
    case 'transferring': {
      const message = transferMessage(end.state, failure);
      const isReadBack = end.state.plan.method === 'Verify';
      const isQueued = end.state.kind === 'queued' || typeof end.state.awaits === 'string';
      const reason = isQueued ? 'Queued' : isReadBack ? 'Verifying' : 'Transferring';
      return working(reason, message, failure);
    }
    case 'waiting':
      return working(
        end.phase === 'Importing' ? 'Importing' : 'WaitingForGlance',
        `image ${end.imageID}: ${end.why}; the operator checks again in ${formatDuration(end.ms)}`,
        failure,
      );
    case 'failed': {
      if (failure === undefined) throw new Error('a failed end has a failure');
      return verdictsOnFailure(end.error, failure, wasReady(previous, moment), moment.deletion);
    }
    default:
      return unreachable(end);
  }
}

function wasReady(previous: GlanceImageStatus, moment: Moment): boolean {
  const ready = findCondition(previous.conditions, 'Ready');
  return previous.observedGeneration === moment.generation && ready !== undefined && ready.status !== 'False';
}

/**
 * No image is compared while suspended: Ready stays as it was, unless the declaration has changed since the last comparison, or no image
 * is known.
 */
function whileSuspended(scene: Scene): ConditionVerdict {
  const verdict = suspendedVerdict(scene);
  return verdict.status === 'True' && scene.imageID === undefined ? { ...verdict, status: 'Unknown' } : verdict;
}

function suspendedVerdict({ previous, memory, moment }: Scene): ConditionVerdict {
  const rest = 'the image is neither compared nor changed until spec.suspend is false';
  const before = findCondition(previous.conditions, 'Ready');
  if (before?.reason === 'Suspended' && previous.observedGeneration === moment.generation)
    return { status: before.status, reason: 'Suspended', message: before.message };
  // One edit may suspend and change more, and several edits may be seen as one.
  if (before === undefined || before.status === 'False' || memory.settled === moment.specHash)
    return { status: before?.status ?? 'Unknown', reason: 'Suspended', message: `suspended: ${rest}` };
  return {
    status: 'Unknown',
    reason: 'Suspended',
    message: `suspended: the spec has changed since, and ${rest}`,
  };
}

function working(
  reason: 'Progressing' | 'Resolving' | 'Queued' | 'Transferring' | 'Verifying' | 'Importing' | 'WaitingForGlance',
  message: string,
  failure: Failure | undefined,
): Pick<Verdicts, 'ready' | 'activity'> {
  return {
    ready: { status: 'False', reason, message },
    activity: { kind: 'reconciling', reason: failure === undefined ? 'Progressing' : 'ProgressingWithRetry', message },
  };
}

function whenConverged({ image, imageID, moment }: Pick<Scene, 'image' | 'imageID' | 'moment'>): ConditionVerdict {
  if (moment.deletion !== undefined) return { status: 'True', reason: 'Ready', message: 'the image is being deleted' };
  const size = image?.size === undefined ? '' : `, ${formatBytes(image.size)}`;
  const state = `image ${imageID} is ${image?.status ?? 'there'}`;
  if (moment.imported === 'observed')
    return { status: 'True', reason: 'NotCompared', message: `${state}${size}; it is observed, and never changed` };
  const found = `${state} as declared${size}`;
  if (!moment.recordOnly) return { status: 'True', reason: 'Ready', message: found };
  if (moment.imported === 'adopted') {
    const uncompared = `${found}; spec.content is absent, so its data is not compared`;
    return { status: 'True', reason: 'NotCompared', message: uncompared };
  }
  const message = `${found}; spec.content is absent, so the operator neither uploads nor verifies its data`;
  return { status: 'True', reason: 'RecordOnly', message };
}

/** Ready alone would not say that no server can boot from this image yet. */
function missingData(image: SeenImage | undefined, { recordOnly, imported }: Moment): Warning | undefined {
  if (!recordOnly || imported === 'observed' || image?.status !== 'queued') return undefined;
  return {
    reason: 'RecordOnly',
    message: 'the image has no data, and no server can use it: declare spec.content, or upload the data to this image',
  };
}

const gaveWayNote = '; its transfer moved less than 1 MiB/s while others waited, and starts again with twice the time';

function transferMessage(state: ActiveTransfer, failure: Failure | undefined): string {
  const again =
    failure === undefined
      ? ''
      : ` (attempt ${failure.lastError.attempts + 1}; previous error: ${failure.lastError.message})`;
  const slow = state.kind === 'queued' && state.gaveWay !== undefined ? gaveWayNote : '';
  if (state.kind === 'queued') return `waiting for a free transfer slot, position ${state.position}${slow}${again}`;
  if (typeof state.awaits === 'string') return `waiting for ${state.awaits}${again}`;
  if (state.plan.method === 'Verify')
    return `reading image ${state.plan.imageID} back, to compare its data with the declaration${again}`;
  return `transferring the data to Glance${again}`;
}

function transferOf(end: End, before: TransferStatus | undefined, now: Date): TransferStatus | undefined {
  switch (end.kind) {
    case 'transferring': {
      const { state } = end;
      if (state.kind === 'queued') return { phase: 'Queued', bytes: 0, startedAt: rfc3339(new Date(state.queuedAt)) };
      const percent =
        state.total === undefined || state.total === 0
          ? undefined
          : Math.min(100, Math.floor((100 * state.servedBytes) / state.total));
      return compact({
        phase: typeof state.awaits === 'string' ? ('Queued' as const) : ('Transferring' as const),
        bytes: state.bytes,
        totalBytes: state.total,
        percent,
        bytesPerSecond: Math.round(state.bytesPerSecond),
        startedAt: rfc3339(new Date(state.startedAt)),
      });
    }
    case 'waiting':
      return { phase: end.phase, bytes: 0, startedAt: before?.phase === end.phase ? before.startedAt : rfc3339(now) };
    case 'converged':
    case 'suspended':
    case 'resolving':
    case 'held':
    case 'failed':
      return undefined;
    default:
      return unreachable(end);
  }
}

function sizeOf(image: SeenImage | undefined, transfer: TransferStatus | undefined): string | undefined {
  const bytes = image?.size ?? transfer?.totalBytes;
  return bytes === undefined ? undefined : formatBytes(bytes);
}

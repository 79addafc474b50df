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
  rfc3339,
  type Verdicts,
  type Warning,
} from '../api/conditions.ts';
import type { GlanceImageStatus, SeenImage, TransferStatus } from '../api/status.ts';
import { dateOf } from '../glance/image.ts';
import { formatBytes } from '../lib/bytes.ts';
import { compact } from '../lib/compact.ts';
import { formatDuration } from '../lib/duration.ts';
import { delayOf, reactionTo } from '../lib/error-codes.ts';
import { unreachable } from '../lib/errors.ts';
import { availabilityOf } from './available.ts';
import { type Failure, reasonOf, verdictsOnFailure } from './failure.ts';
import { digestIn } from './fingerprint.ts';
import { numberOf } from './identity.ts';
import { asOperation, isBlank, isRetired, type Memory, verifiedAs } from './memory.ts';
import type { ActiveTransfer, End, Report } from './report.ts';
import type { Pinning } from './resolution.ts';
import type { Observed, Revision } from './revisions.ts';
import { sanitise } from './sanitise.ts';
import { seen } from './seen.ts';
import { sourceAfter, whileFollowing, withPublisher } from './updating.ts';
import { hashOf } from './verify.ts';

/** What a summary needs in addition to the report. */
export interface Moment {
  generation: number;
  /** Value of the reconcile-at annotation that was handled. */
  reconcileAt: string | undefined;
  deleting: boolean;
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
  const { end, memory, observed, cloud, secret } = report;
  const image = imageOf(report, previous, moment.now);
  const failure = failureOf(end, previous, moment);
  const imageID = memory.promoted;
  const main = verdictsOf(end, { previous, image, imageID, failure, moment });
  const verdicts = withPublisher(moment.pinning, end, main, previous, moment.generation);
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
    imageID,
    size: sizeOf(image, transfer),
    progress: transfer?.percent === undefined ? undefined : `${transfer.percent}%`,
    image,
    content: withShortDigest(shownContent(report, previous)),
    transfer,
    lastError: failure?.lastError,
    nextAttemptTime: failure?.nextAttemptTime,
    cloud: cloud === undefined ? previous.cloud : compact({ ...cloud }),
    secretVersion: secret === undefined ? previous.secretVersion : secret.version,
    revisions: observed === undefined ? withUnseen(previous.revisions, memory) : revisionsOf(observed, memory),
    members: membersOf(report, previous),
    source: sourceAfter(moment.pinning, end, previous),
    operation: isBlank(memory) ? undefined : asOperation(memory),
    lastHandledReconcileAt: moment.reconcileAt,
  });
}

/** The status before, with another memory: for what must not be forgotten if the process ends before the reconcile does. */
export function withMemory(previous: GlanceImageStatus, memory: Memory): GlanceImageStatus {
  return compact({ ...previous, imageID: memory.promoted, operation: asOperation(memory) });
}

/** Twelve hex digits are enough to recognise a digest in a column. */
function withShortDigest(content: GlanceImageStatus['content']): GlanceImageStatus['content'] {
  if (content === undefined) return undefined;
  return { ...content, shortDigest: content.digest.slice(content.digest.indexOf(':') + 1).slice(0, 12) };
}

/** The verified data of an image of this resource. It does not outlive its image. */
export function shownContent({ content, memory }: Report, previous: GlanceImageStatus): GlanceImageStatus['content'] {
  const known = [content, previous.content].filter((one) => one !== undefined && memory.images.includes(one.imageID));
  const { promoted } = memory;
  if (promoted === undefined || known.length === 0) return known[0];
  return known.find((one) => one?.imageID === promoted) ?? rolledBack(promoted, memory);
}

/** An earlier revision is the one to use again. Only its digests are known still. */
function rolledBack(imageID: string, memory: Memory): GlanceImageStatus['content'] {
  const found = verifiedAs(memory, imageID);
  const digest = found && (digestIn(found.fingerprint) ?? found.hash);
  return digest === undefined ? undefined : compact({ imageID, digest, imageDigest: found?.hash, size: found?.size });
}

/** The image to use; before there is one, the one that is to become it. */
function shownRevision({ revisions }: Observed, { promoted }: Memory): Revision | undefined {
  return revisions.find(({ image }) => image.id === promoted) ?? revisions.at(-1);
}

/** A foreign one is shown as it was before. */
function imageOf({ observed, memory }: Report, previous: GlanceImageStatus, now: Date): SeenImage | undefined {
  if (observed === undefined) return previous.image;
  const shown = shownRevision(observed, memory);
  if (shown === undefined) return undefined;
  return shown.ownership.kind === 'foreign' ? previous.image : seen(shown.image, previous.image, now);
}

/** Of the same image as `image`. */
function membersOf({ observed, memory }: Report, previous: GlanceImageStatus): GlanceImageStatus['members'] {
  if (memory.members === undefined) return undefined;
  const shown = observed && shownRevision(observed, memory);
  if (shown === undefined) return previous.members;
  if (shown.image.visibility !== 'shared') return undefined;
  return shown.members?.map(({ project, status }) => ({ project, status })) ?? previous.members;
}

function revisionsOf({ revisions }: Observed, memory: Memory): GlanceImageStatus['revisions'] {
  const ours = revisions.filter(({ ownership }) => ownership.kind === 'created' || ownership.kind === 'adopted');
  if (ours.length === 0) return undefined;
  return ours.map(({ number, image }) => {
    const found = verifiedAs(memory, image.id);
    const digest = found && digestIn(found.fingerprint);
    const retired = memory.retired?.find(({ imageID }) => imageID === image.id);
    return compact({
      number,
      imageID: image.id,
      digest,
      hash: hashOf(image),
      state: revisionState(image.id, memory),
      createdAt: rfc3339(dateOf(image.createdAt)),
      retiredAt: retired && rfc3339(new Date(retired.at)),
    });
  });
}

/** An image whose transfer started a moment ago was not looked at since. */
function withUnseen(before: GlanceImageStatus['revisions'], memory: Memory): GlanceImageStatus['revisions'] {
  const shown = new Set(before?.map(({ imageID }) => imageID));
  const unseen = memory.images.filter((id) => !shown.has(id));
  if (unseen.length === 0) return before;
  return [
    ...(before ?? []),
    ...unseen.map((imageID) => ({
      number: numberOf(memory.uid, imageID, memory.next) ?? 0,
      imageID,
      state: revisionState(imageID, memory),
    })),
  ].slice(-64);
}

function revisionState(id: string, memory: Memory) {
  const { promoted, published, inUse = [] } = memory;
  if (id === promoted) return 'Current' as const;
  if (inUse.some(({ imageID }) => imageID === id)) return 'InUse' as const;
  const isReplaced = isRetired(memory, id) || (published.includes(id) && promoted !== undefined);
  return isReplaced ? ('Retired' as const) : ('Pending' as const);
}

/** A failure stays in sight until the image is as declared; a new declaration starts the count again. */
function failureOf(end: End, previous: GlanceImageStatus, moment: Moment): Failure | undefined {
  const sameDeclaration = previous.observedGeneration === moment.generation;
  const before = sameDeclaration ? previous.lastError : undefined;
  if (end.kind === 'converged' || end.kind === 'suspended' || end.kind === 'held') return undefined;
  if (end.kind !== 'failed') {
    return before === undefined
      ? undefined
      : { lastError: before, nextAttemptTime: undefined, reaction: { kind: 'backoff' } };
  }
  const { error } = end;
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
  image: SeenImage | undefined;
  imageID: string | undefined;
  failure: Failure | undefined;
  moment: Moment;
}

function verdictsOf(end: End, scene: Scene): Pick<Verdicts, 'ready' | 'beside'> {
  const { previous, failure, moment } = scene;
  switch (end.kind) {
    case 'converged': {
      return { ready: whenConverged(scene), beside: { kind: 'none' } };
    }
    case 'suspended':
      return { ready: whileSuspended(previous, moment), beside: { kind: 'none' } };
    case 'resolving':
    case 'held':
      return working(...whileFollowing(end), failure);
    case 'transferring': {
      const message = transferMessage(end.state, failure);
      const isReadBack = end.state.plan.method === 'Verify';
      const reason = end.state.kind === 'queued' ? 'Queued' : isReadBack ? 'Verifying' : 'Transferring';
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
      return verdictsOnFailure(end.error, failure, wasReady(previous, moment), moment.deleting);
    }
    default:
      return unreachable(end);
  }
}

function wasReady(previous: GlanceImageStatus, moment: Moment): boolean {
  const ready = findCondition(previous.conditions, 'Ready');
  return previous.observedGeneration === moment.generation && ready !== undefined && ready.status !== 'False';
}

/** As good as it was, until the declaration changes: no reconcile compares the image with that one. */
function whileSuspended(previous: GlanceImageStatus, moment: Moment): ConditionVerdict {
  const rest = 'the image is neither compared nor changed until spec.suspend is false';
  const before = findCondition(previous.conditions, 'Ready');
  if (before?.reason !== 'Suspended')
    return { status: before?.status ?? 'Unknown', reason: 'Suspended', message: `suspended: ${rest}` };
  if (previous.observedGeneration === moment.generation)
    return { status: before.status, reason: 'Suspended', message: before.message };
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
): Pick<Verdicts, 'ready' | 'beside'> {
  return {
    ready: { status: 'False', reason, message },
    beside: { kind: 'reconciling', reason: failure === undefined ? 'Progressing' : 'ProgressingWithRetry', message },
  };
}

function whenConverged({ image, imageID, moment }: Scene): ConditionVerdict {
  if (moment.deleting) return { status: 'True', reason: 'Ready', message: 'the image is being deleted' };
  const size = image?.size === undefined ? '' : `, ${formatBytes(image.size)}`;
  const state = `image ${imageID} is ${image?.status ?? 'there'}`;
  if (moment.imported === 'observed')
    return { status: 'True', reason: 'NotCompared', message: `${state}${size}; it is observed, and never changed` };
  const found = `${state} as declared${size}`;
  if (!moment.recordOnly) return { status: 'True', reason: 'Ready', message: found };
  if (moment.imported === 'adopted') {
    const uncompared = `${found}; spec.content is absent, so its data is compared with nothing`;
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

const gaveWayNote = '; its transfer moved less than 1 MiB/s for 5 minutes while others waited, and starts again';

function transferMessage(state: ActiveTransfer, failure: Failure | undefined): string {
  const again =
    failure === undefined
      ? ''
      : ` (attempt ${failure.lastError.attempts + 1}; previous error: ${failure.lastError.message})`;
  const slow = state.kind === 'queued' && state.gaveWay !== undefined ? gaveWayNote : '';
  if (state.kind === 'queued') return `waiting for a free transfer slot, position ${state.position}${slow}${again}`;
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
        phase: 'Transferring' as const,
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

/**
 * The state of a transfer, from its Job and its pods, as a pure function.
 *
 * Invariant: an outcome that a pod has left counts more than anything else. A state without one that cannot become one is `lost`,
 * with its cause.
 */
import type { ErrorCode } from '../lib/error-codes.ts';
import { OperatorError, unreachable } from '../lib/errors.ts';
import { podExitCodes } from './manifest.ts';
import { type PodOutcome, readMessage } from './message.ts';
import type { ReportedCondition, TransferJob, TransferPod } from './objects.ts';

export type JobState =
  /** By a queue, or by hand. */
  | { kind: 'suspended' }
  /** `sinceMs`: how long. */
  | { kind: 'waiting'; cause: WaitCause; message: string; sinceMs: number }
  | { kind: 'running' }
  | { kind: 'ended'; outcome: PodOutcome }
  /** As far as these pods show: a watch may not have shown all of them yet. */
  | { kind: 'lost'; cause: LossCause; message: string };

/** notCreated: there is no pod, because a quota or an admission policy rejects it. */
export type WaitCause = 'notCreated' | 'noNode' | 'imagePull' | 'starting';

export type LossCause = 'evicted' | 'nodeLost' | 'outOfMemory' | 'crashed' | 'deadline' | 'invalidImage' | 'deleted';

/** A pod that is being deleted has its grace period, and as long again. */
const lateDeletionMs = 60_000;

export function jobStateOf(job: TransferJob, pods: readonly TransferPod[], now: Date): JobState {
  const ended = outcomeOf(pods);
  if (ended !== undefined) return { kind: 'ended', outcome: ended };
  const lost = lossOf(job, pods, now);
  if (lost !== undefined) return { kind: 'lost', ...lost };
  if (job.suspend) return { kind: 'suspended' };
  const pod = pods.find(({ metadata }) => metadata.deletionTimestamp === undefined) ?? pods[0];
  if (pod === undefined) {
    const message = 'a quota or an admission policy may reject the pod';
    return { kind: 'waiting', cause: 'notCreated', message, sinceMs: ageOf(startOf(job), now) };
  }
  if (pod.container.kind === 'running' || pod.phase === 'Running') return { kind: 'running' };
  return waitOf(pod, now);
}

/** Undefined: it was suspended, and has not been started yet. The time in a queue does not count. */
function startOf({ metadata, startTime, conditions }: TransferJob): string | undefined {
  const wasSuspended = conditions.some(({ type }) => type === 'Suspended');
  return startTime ?? (wasSuspended ? undefined : metadata.creationTimestamp);
}

function outcomeOf(pods: readonly TransferPod[]): PodOutcome | undefined {
  for (const { container } of pods) {
    const outcome = container.kind === 'terminated' ? readMessage(container.message) : undefined;
    if (outcome !== undefined) return outcome;
  }
  return undefined;
}

const isEnd = (condition: ReportedCondition) => isTrue('Complete')(condition) || isTrue('Failed')(condition);

/** By itself. Its pods may be seen later. */
export function hasEnded({ conditions }: TransferJob): boolean {
  return conditions.some(isEnd);
}

type Loss = Omit<Extract<JobState, { kind: 'lost' }>, 'kind'>;

function lossOf(job: TransferJob, pods: readonly TransferPod[], now: Date): Loss | undefined {
  for (const pod of pods) {
    const loss = lossOfPod(pod, now);
    if (loss !== undefined) return loss;
  }
  const failed = job.conditions.find(isTrue('Failed'));
  if (failed !== undefined) {
    const cause = failed.reason === 'DeadlineExceeded' ? 'deadline' : 'deleted';
    return { cause, message: textOf(failed) };
  }
  const complete = job.conditions.find(isTrue('Complete'));
  return complete && { cause: 'deleted', message: 'the pod and its result are gone' };
}

function lossOfPod(pod: TransferPod, now: Date): Loss | undefined {
  const { phase, container, conditions, metadata } = pod;
  const disruption = conditions.find(isTrue('DisruptionTarget'));
  if (phase === 'Failed' || phase === 'Succeeded' || container.kind === 'terminated') return endOfPod(pod, disruption);
  const deletedMs = metadata.deletionTimestamp === undefined ? 0 : ageOf(metadata.deletionTimestamp, now);
  if (phase === 'Unknown' || deletedMs > lateDeletionMs) {
    const message = disruption === undefined ? 'its node does not report the end of the pod' : textOf(disruption);
    return { cause: 'nodeLost', message };
  }
  if (container.kind === 'waiting' && container.reason === 'InvalidImageName')
    return { cause: 'invalidImage', message: container.message };
  return undefined;
}

/** Of a pod that has ended without an outcome. */
function endOfPod(pod: TransferPod, disruption: ReportedCondition | undefined): Loss {
  const { reason = '', message = reason, container } = pod;
  if (container.kind === 'terminated' && container.reason === 'OOMKilled')
    return { cause: 'outOfMemory', message: 'the kernel killed its container, which exceeded the memory limit' };
  if (disruption !== undefined) return { cause: causeOf(disruption), message: textOf(disruption) };
  const cause = causes[reason];
  if (cause !== undefined) return { cause, message };
  if (container.kind === 'terminated' && container.exitCode === podExitCodes.cancelled)
    return { cause: 'deleted', message: 'it was stopped by a signal' };
  return { cause: 'crashed', message: crashOf(pod) };
}

/** By the reason of a pod. */
const causes: Readonly<Record<string, LossCause | undefined>> = {
  Evicted: 'evicted',
  Preempting: 'evicted',
  NodeShutdown: 'evicted',
  Terminated: 'evicted',
  NodeLost: 'nodeLost',
  DeadlineExceeded: 'deadline',
};

/** Of a DisruptionTarget. */
function causeOf({ reason }: ReportedCondition): LossCause {
  return reason === 'DeletionByTaintManager' || reason === 'DeletionByPodGC' ? 'nodeLost' : 'evicted';
}

function crashOf({ container, reason, message, phase }: TransferPod): string {
  if (container.kind !== 'terminated') return message ?? reason ?? `its phase is ${phase}`;
  const text = container.message.trim().slice(-500);
  return `it ended with exit code ${container.exitCode}${text === '' ? '' : `: ${text}`}`;
}

const pullFailures: ReadonlySet<string> = new Set(['ErrImagePull', 'ImagePullBackOff', 'ErrImageNeverPull']);

function waitOf({ container, conditions, metadata }: TransferPod, now: Date): JobState {
  const sinceMs = ageOf(metadata.creationTimestamp, now);
  const scheduled = conditions.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') return { kind: 'waiting', cause: 'noNode', message: textOf(scheduled), sinceMs };
  if (container.kind !== 'waiting') return { kind: 'waiting', cause: 'starting', message: '', sinceMs };
  const { reason, message } = container;
  const cause = pullFailures.has(reason) ? 'imagePull' : 'starting';
  return { kind: 'waiting', cause, message: message === '' ? reason : `${reason}: ${message}`, sinceMs };
}

function isTrue(name: string): (condition: ReportedCondition) => boolean {
  return ({ type, status }) => type === name && status === 'True';
}

function textOf({ reason, message }: ReportedCondition): string {
  return [reason, message].filter((text) => text !== undefined && text !== '').join(': ');
}

function ageOf(timestamp: string | undefined, now: Date): number {
  return timestamp === undefined ? 0 : Math.max(0, now.getTime() - Date.parse(timestamp));
}

/** A pod needs a moment to be created and started. */
const startMs = 10_000;

/** The missing start of a pod, for people: a noun phrase. Undefined: the container of the transfer runs, or has ended. */
export function awaitedIn(state: JobState): string | undefined {
  switch (state.kind) {
    case 'suspended':
      return 'the start of its Job, which is suspended, for example by a queue';
    case 'waiting':
      return state.sinceMs < startMs || state.message === '' ? 'its pod' : `its pod: ${state.message}`;
    case 'running':
    case 'ended':
    case 'lost':
      return undefined;
    default:
      return unreachable(state);
  }
}

const losses: Readonly<Record<LossCause, { code: ErrorCode; what: string }>> = {
  evicted: { code: 'TransferPodEvicted', what: 'was evicted' },
  nodeLost: { code: 'TransferNodeLost', what: 'was lost with its node' },
  outOfMemory: { code: 'TransferOutOfMemory', what: 'ran out of memory' },
  crashed: { code: 'TransferPodCrashed', what: 'ended without a result' },
  deadline: { code: 'TransferPodEvicted', what: 'exceeded a deadline of the cluster' },
  invalidImage: { code: 'TransferImagePull', what: 'has an invalid image name' },
  deleted: { code: 'TransferPodDeleted', what: 'was deleted' },
};

const waits: Readonly<Record<WaitCause, { code: ErrorCode; what: string }>> = {
  notCreated: { code: 'TransferPodRefused', what: 'was not created' },
  noNode: { code: 'TransferPodPending', what: 'found no node' },
  imagePull: { code: 'TransferImagePull', what: 'could not pull its image' },
  starting: { code: 'TransferPodPending', what: 'did not start' },
};

/** The failure that a state is, or becomes when it has lasted `pendingMs`. Undefined: none. */
export function failureIn(state: JobState, name: string, pendingMs: number): OperatorError | undefined {
  switch (state.kind) {
    case 'waiting': {
      if (state.sinceMs < pendingMs) return undefined;
      const { code, what } = waits[state.cause];
      return failure(code, `the pod of Job ${name} ${what} in ${Math.round(pendingMs / 1000)} s`, state.message);
    }
    case 'lost': {
      const { code, what } = losses[state.cause];
      return failure(code, `the pod of Job ${name} ${what}`, state.message);
    }
    case 'suspended':
    case 'running':
    case 'ended':
      return undefined;
    default:
      return unreachable(state);
  }
}

function failure(code: ErrorCode, what: string, detail: string): OperatorError {
  return new OperatorError(detail === '' ? what : `${what}: ${detail}`, { code });
}

/**
 * Conditions as kstatus reads them. Invariants: `Reconciling` and `Stalled` are never True together; `lastTransitionTime` changes
 * only with `status`; each condition has the generation that it describes.
 */
import type { Reason } from './reasons.ts';
import type { Condition } from './status.ts';

export type ConditionType = 'Ready' | 'Available' | 'Reconciling' | 'Stalled' | 'Updating' | 'Warning';

/** For the pages. */
export const conditionMeanings: Readonly<Record<ConditionType, string>> = {
  Ready:
    '`True`: the image is as declared. `Unknown`: it was, and the cloud does not respond now. `False`: it is not; the reason names the cause.',
  Available:
    '`True`: the image that `status.imageID` names is active and can be used, also while another revision is on its way or has failed. `False`: there is none.',
  Reconciling: '`True`: the operator works on it, or retries by itself.',
  Stalled:
    '`True`: a retry does not help until the resource or its Secret is changed. The operator nevertheless retries, every 10 minutes to an hour.',
  Warning: '`True`: something that you should know, although it prevents nothing.',
  Updating:
    '`True`: the publisher has a newer file, and its image is being made. `False`: that failed, or the publisher cannot be read; the reason names the cause. It is absent otherwise, and it says nothing about the image that is in use.',
};

export interface ConditionVerdict {
  status: Condition['status'];
  reason: Reason;
  message: string;
}

export interface Warning {
  reason: Reason;
  message: string;
}

/** `Ready`, and at most one of the two that show whether the operator continues by itself. */
export interface Verdicts {
  ready: ConditionVerdict;
  available: ConditionVerdict;
  activity:
    | { kind: 'none' }
    | { kind: 'reconciling'; reason: Reason; message: string }
    | { kind: 'stalled'; reason: Reason; message: string };
  /** Says nothing about whether the image is as declared. */
  warning: Warning | undefined;
  /** Of a publisher: says nothing about it either. */
  updating: ConditionVerdict | undefined;
}

/** The new list of conditions. `previous` only lends its transition times. */
export function conditionsFrom(
  verdicts: Verdicts,
  previous: readonly Condition[],
  generation: number,
  now: Date,
): Condition[] {
  const condition = (type: ConditionType, { status, reason, message }: ConditionVerdict): Condition => {
    const before = previous.find((one) => one.type === type);
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : rfc3339(now);
    return { type, status, reason, message, observedGeneration: generation, lastTransitionTime };
  };
  const { ready, available, activity, warning, updating } = verdicts;
  const list = [condition('Ready', ready), condition('Available', available)];
  if (activity.kind !== 'none') {
    const type = activity.kind === 'reconciling' ? 'Reconciling' : 'Stalled';
    list.push(condition(type, { status: 'True', reason: activity.reason, message: activity.message }));
  }
  if (warning !== undefined) list.push(condition('Warning', { status: 'True', ...warning }));
  if (updating !== undefined) list.push(condition('Updating', updating));
  return list;
}

/** Whether Ready has this reason once all that is declared is done. */
export function isConvergedReason(reason: string | undefined): reason is 'Ready' | 'RecordOnly' | 'NotCompared' {
  return reason === 'Ready' || reason === 'RecordOnly' || reason === 'NotCompared';
}

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: ConditionType,
): Condition | undefined {
  return conditions?.find((one) => one.type === type);
}

/** Times in status have whole seconds, as Kubernetes writes them. */
export function rfc3339(time: Date): string {
  return time.toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** The status of a Pod as a kubelet and a node controller report it, as strategic merge patches. */
import type { Terminated } from './container.ts';
import type { Pod } from './pod.ts';

export type Condition = { type: string; status: 'True' | 'False'; reason?: string; message?: string };

function statusOf(phase: string, conditions: readonly Condition[], state: unknown, pod: Pod) {
  const [{ name, image }] = pod.spec.containers;
  const now = new Date().toISOString();
  return {
    phase,
    conditions: conditions.map((condition) => ({ ...condition, lastTransitionTime: now })),
    ...(state === undefined
      ? {}
      : { containerStatuses: [{ name, image, imageID: '', ready: phase === 'Running', restartCount: 0, state }] }),
  };
}

const ready = (status: Condition['status']): Condition[] =>
  ['Ready', 'ContainersReady'].map((type) => ({ type, status }));

/** Of a container that cannot start yet, such as ContainerCreating, ErrImagePull or CreateContainerConfigError. */
export function waitingStatus(pod: Pod, reason: string, message: string) {
  const conditions: Condition[] = [...ready('False'), { type: 'PodScheduled', status: 'True' }];
  return statusOf('Pending', conditions, { waiting: { reason, message } }, pod);
}

/** Of a Pod for which no node has room. */
export function unschedulableStatus(pod: Pod, message: string) {
  return statusOf(
    'Pending',
    [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }],
    undefined,
    pod,
  );
}

export function runningStatus(pod: Pod) {
  const conditions: Condition[] = [...ready('True'), { type: 'PodScheduled', status: 'True' }];
  return statusOf('Running', conditions, { running: { startedAt: new Date().toISOString() } }, pod);
}

export interface EndReasons {
  /** Of the container. Default: Completed or Error. */
  container?: string;
  /** Of the Pod, such as Evicted. */
  pod?: { reason: string; message: string };
  disruption?: string;
}

export function endedStatus(pod: Pod, { exitCode, ...rest }: Terminated, reasons: EndReasons = {}) {
  const reason = reasons.container ?? (exitCode === 0 ? 'Completed' : 'Error');
  const conditions = [...ready('False'), ...disruption(reasons.disruption)];
  return {
    ...statusOf(
      exitCode === 0 ? 'Succeeded' : 'Failed',
      conditions,
      { terminated: { exitCode, reason, ...rest } },
      pod,
    ),
    ...reasons.pod,
  };
}

/** Of a Pod whose node does not report any more; its containers are as they were last. */
export function lostStatus(phase: 'Failed' | undefined) {
  const now = new Date().toISOString();
  const conditions = [...ready('False'), ...disruption('DeletionByTaintManager')];
  return {
    ...(phase === undefined ? {} : { phase }),
    conditions: conditions.map((condition) => ({ ...condition, lastTransitionTime: now })),
  };
}

function disruption(reason: string | undefined): Condition[] {
  return reason === undefined ? [] : [{ type: 'DisruptionTarget', status: 'True', reason, message: 'simulated' }];
}

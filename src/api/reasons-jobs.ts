/** Reasons of failures of the Jobs and pods of transfers. */
import { type ReasonEntry, showJobs } from './reason-entry.ts';

export const jobReasons = {
  TransferPodPending: {
    meaning: 'The pod of the transfer did not start in time: it found no node, or its container was not created.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'The message has the reason that the scheduler or the node reports. Add nodes, or change `transferJobs.resources`, `nodeSelector` or `tolerations` in the values of the chart.',
    command: showJobs,
  },
  TransferPodRefused: {
    meaning:
      'The cluster rejects the Job of the transfer, its Secret or its pod: because of a quota, an admission policy or a value of the chart.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'The message, or else the events of the Job, name the cause. Raise the quota of the namespace of the operator, exempt its Jobs and pods from the policy, or correct `transferJobs` in the values of the chart.',
    command: showJobs,
  },
  TransferImagePull: {
    meaning: 'The node could not pull the container image of the transfer.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy: 'Fix the image, the registry or `imagePullSecrets` in the values of the chart.',
    command: showJobs,
  },
  TransferPodEvicted: {
    meaning: 'The pod of the transfer was evicted or preempted, or exceeded a deadline of the cluster.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy:
      'Nothing at first: the transfer starts again. If it lasts, give the pods another priority class or other nodes with the chart value `transferJobs`.',
    command: showJobs,
  },
  TransferNodeLost: {
    meaning: 'The node with the pod of the transfer does not respond.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: 'Nothing: the transfer starts again on another node.',
    command: showJobs,
  },
  TransferPodDeleted: {
    meaning: 'The Job or the pod of the transfer was deleted by someone else before its result was read.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: 'Nothing: the transfer starts again, unless the image is complete.',
    command: showJobs,
  },
  TransferPodCrashed: {
    meaning: 'The pod of the transfer ended without a result.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'The message has the last lines of the log. If the next attempts fail too, report the failure with the URL of the file.',
    command: showJobs,
  },
  TransferOutOfMemory: {
    meaning: 'The pod of the transfer exceeded its memory limit.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy: 'Raise `transferJobs.resources.limits.memory` in the values of the chart.',
    command: showJobs,
  },
} as const satisfies Record<string, ReasonEntry>;

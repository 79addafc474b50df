import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { podExitCodes } from '../../src/jobs/manifest.ts';
import { type PodOutcome, writeMessage } from '../../src/jobs/message.ts';
import { failureIn, type JobState, jobStateOf } from '../../src/jobs/state.ts';
import { resultOf } from '../transfer/plans.ts';
import { at, condition, createdAt, jobObject, podObject, terminated, waiting } from './objects.ts';

const { image: _, ...result } = resultOf(7);
const succeeded: PodOutcome = { kind: 'succeeded', result };
const failed: PodOutcome = {
  kind: 'failed',
  error: { kind: 'operator', message: 'another digest', code: 'DigestMismatch' },
};

interface Case {
  name: string;
  job?: object;
  fields?: object;
  pods?: { status: object; metadata?: object }[];
  /** Seconds after the creation. */
  seconds?: number;
  expected: Partial<JobState>;
  code?: string;
}

const cases: Case[] = [
  { name: 'a Job without a pod waits', expected: { kind: 'waiting', cause: 'notCreated', sinceMs: 5_000 } },
  {
    name: 'a Job whose pod is rejected fails after the time for waiting',
    seconds: 600,
    expected: { kind: 'waiting', cause: 'notCreated' },
    code: 'TransferPodRefused',
  },
  {
    name: 'a suspended Job waits without a limit',
    fields: { suspend: true },
    seconds: 1e6,
    expected: { kind: 'suspended' },
  },
  {
    name: 'a Job that a queue has just released has waited no time for its pod',
    job: condition('Suspended', 'JobSuspended'),
    seconds: 1e6,
    expected: { kind: 'waiting', cause: 'notCreated', sinceMs: 0 },
  },
  {
    name: 'a Job that a queue has released waits for its pod from then on',
    job: { ...condition('Suspended', 'JobResumed', '', 'False'), startTime: at(1e6).toISOString() },
    seconds: 1e6 + 600,
    expected: { kind: 'waiting', cause: 'notCreated', sinceMs: 600_000 },
    code: 'TransferPodRefused',
  },
  {
    name: 'the container of a service mesh says nothing about the transfer',
    pods: [
      {
        status: {
          phase: 'Running',
          containerStatuses: [
            { name: 'istio-proxy', state: { running: {} } },
            ...terminated(0, writeMessage(succeeded)).containerStatuses,
          ],
        },
      },
    ],
    expected: { kind: 'ended', outcome: succeeded },
  },
  {
    name: 'a pod without a node waits, with the reason of the scheduler',
    pods: [{ status: { phase: 'Pending', ...condition('PodScheduled', 'Unschedulable', '0/3 nodes', 'False') } }],
    expected: { kind: 'waiting', cause: 'noNode', message: 'Unschedulable: 0/3 nodes' },
  },
  {
    name: 'a pod without a node fails after the time for waiting',
    pods: [{ status: { phase: 'Pending', ...condition('PodScheduled', 'Unschedulable', '0/3 nodes', 'False') } }],
    seconds: 601,
    expected: { kind: 'waiting', cause: 'noNode' },
    code: 'TransferPodPending',
  },
  {
    name: 'a pod that pulls its image starts',
    pods: [{ status: { phase: 'Pending', ...waiting('ContainerCreating') } }],
    expected: { kind: 'waiting', cause: 'starting', message: 'ContainerCreating' },
  },
  {
    name: 'a pod whose image cannot be pulled waits',
    pods: [{ status: { phase: 'Pending', ...waiting('ImagePullBackOff', 'no such tag') } }],
    expected: { kind: 'waiting', cause: 'imagePull', message: 'ImagePullBackOff: no such tag' },
  },
  {
    name: 'a pod whose image cannot be pulled fails after the time for waiting',
    pods: [{ status: { phase: 'Pending', ...waiting('ErrImagePull') } }],
    seconds: 700,
    expected: { kind: 'waiting', cause: 'imagePull' },
    code: 'TransferImagePull',
  },
  {
    name: 'a pod with an invalid image name fails at once',
    pods: [{ status: { phase: 'Pending', ...waiting('InvalidImageName', 'x') } }],
    expected: { kind: 'lost', cause: 'invalidImage' },
    code: 'TransferImagePull',
  },
  {
    name: 'a pod with a running container runs, for any time',
    pods: [
      {
        status: {
          phase: 'Running',
          containerStatuses: [{ name: 'transfer', state: { running: { startedAt: createdAt } } }],
        },
      },
    ],
    seconds: 1e6,
    expected: { kind: 'running' },
  },
  {
    name: 'a result in the termination message is the end, before the Job is complete',
    pods: [{ status: { phase: 'Running', ...terminated(0, writeMessage(succeeded), 'Completed') } }],
    expected: { kind: 'ended', outcome: succeeded },
  },
  {
    name: 'a result counts more than the suspension, the deletion and the eviction of its pod',
    fields: { suspend: true },
    pods: [
      {
        status: { phase: 'Failed', reason: 'Evicted', ...terminated(0, writeMessage(succeeded)) },
        metadata: { deletionTimestamp: createdAt },
      },
    ],
    expected: { kind: 'ended', outcome: succeeded },
  },
  {
    name: 'a failure in the termination message is the end',
    pods: [{ status: { phase: 'Failed', ...terminated(podExitCodes.needsChange, writeMessage(failed)) } }],
    expected: { kind: 'ended', outcome: failed },
  },
  {
    name: 'a pod that exceeded its memory is lost',
    pods: [{ status: { phase: 'Failed', ...terminated(137, '', 'OOMKilled') } }],
    expected: { kind: 'lost', cause: 'outOfMemory' },
    code: 'TransferOutOfMemory',
  },
  {
    name: 'a pod that crashed is lost, with the end of its log',
    pods: [{ status: { phase: 'Failed', ...terminated(139, 'segmentation fault') } }],
    expected: { kind: 'lost', cause: 'crashed', message: 'it ended with exit code 139: segmentation fault' },
    code: 'TransferPodCrashed',
  },
  {
    name: 'a pod that ends without a result is lost',
    pods: [{ status: { phase: 'Succeeded', ...terminated(0, 'not a message', 'Completed') } }],
    expected: { kind: 'lost', cause: 'crashed' },
    code: 'TransferPodCrashed',
  },
  {
    name: 'a pod that a kubelet evicted is lost',
    pods: [{ status: { phase: 'Failed', reason: 'Evicted', message: 'low on memory' } }],
    expected: { kind: 'lost', cause: 'evicted', message: 'low on memory' },
    code: 'TransferPodEvicted',
  },
  {
    name: 'a pod that was preempted is lost as evicted, although it was stopped by a signal',
    pods: [
      {
        status: {
          phase: 'Failed',
          ...terminated(podExitCodes.cancelled),
          ...condition('DisruptionTarget', 'PreemptionByScheduler', 'a more important pod'),
        },
      },
    ],
    expected: { kind: 'lost', cause: 'evicted' },
    code: 'TransferPodEvicted',
  },
  {
    name: 'a pod that someone deleted is lost as deleted',
    pods: [{ status: { phase: 'Failed', ...terminated(podExitCodes.cancelled) } }],
    expected: { kind: 'lost', cause: 'deleted' },
    code: 'TransferPodDeleted',
  },
  {
    name: 'a pod whose deletion its node does not carry out is lost with its node',
    pods: [
      {
        status: { phase: 'Running', ...condition('DisruptionTarget', 'DeletionByTaintManager', 'unreachable') },
        metadata: { deletionTimestamp: createdAt },
      },
    ],
    seconds: 61,
    expected: { kind: 'lost', cause: 'nodeLost', message: 'DeletionByTaintManager: unreachable' },
    code: 'TransferNodeLost',
  },
  {
    name: 'a pod in the phase Unknown is lost with its node',
    pods: [{ status: { phase: 'Unknown' } }],
    expected: { kind: 'lost', cause: 'nodeLost' },
    code: 'TransferNodeLost',
  },
  {
    name: 'a Job that exceeded a deadline is lost',
    job: condition('Failed', 'DeadlineExceeded', 'too long'),
    expected: { kind: 'lost', cause: 'deadline' },
    code: 'TransferPodEvicted',
  },
  {
    name: 'a Job that failed without a pod is lost as deleted',
    job: condition('Failed', 'BackoffLimitExceeded', 'no pod'),
    expected: { kind: 'lost', cause: 'deleted', message: 'BackoffLimitExceeded: no pod' },
    code: 'TransferPodDeleted',
  },
  {
    name: 'a Job that is complete without its pod has lost its result',
    job: condition('Complete', 'CompletionsReached'),
    expected: { kind: 'lost', cause: 'deleted' },
    code: 'TransferPodDeleted',
  },
];

describe('the state of a transfer from its Job and pods', () => {
  for (const { name, job, fields, pods = [], seconds = 5, expected, code } of cases) {
    test(name, () => {
      const objects = pods.map(({ status, metadata }) => podObject(status, metadata));
      const state = jobStateOf(jobObject(job, fields), objects, at(seconds));
      assert.deepEqual({ ...state, ...expected }, state);
      assert.equal(failureIn(state, 'transfer-x', 600_000)?.code, code);
    });
  }
});

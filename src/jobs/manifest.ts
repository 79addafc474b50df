/**
 * The Job and the Secret of one run, as pure functions of the run, the settings of the installation and the secrets.
 *
 * Invariant: the name of a Job follows from its run, so a second start of the same run conflicts with the first. The pod is admitted
 * by the Pod Security level `restricted`. Its Job never makes a second pod: the operator decides about retries. A Job ends also if
 * no operator is left, and is then deleted with its Secret.
 */
import * as z from 'zod';
import type { KubernetesObject } from '../kubernetes/resource.ts';
import { compact } from '../lib/compact.ts';
import { parseBounded } from '../lib/json.ts';
import type { Key } from '../lib/key.ts';
import { runIDOf, type TransferRun } from '../transfer/executor.ts';
import { longestRunOf } from '../transfer/pace.ts';
import { TransferPlan } from '../transfer/plan.ts';
import { containerName } from './objects.ts';
import type { RunFiles } from './run-files.ts';
import type { JobTemplate } from './template.ts';

export const leaseLabel = 'glance-image-operator.dev/lease';
export const runAnnotation = 'glance-image-operator.dev/run';
export const queueLabel = 'kueue.x-k8s.io/queue-name';

/** Exit codes of the pod's command, by class. */
export const podExitCodes = { failed: 1, usage: 2, needsChange: 10, mayPass: 11, cancelled: 12, fenced: 13 } as const;

const runDirectory = '/run/glance-image-operator';
const messageFile = '/dev/termination-log';

export interface Installation {
  namespace: string;
  /** Name of the leader's Lease. It distinguishes the Jobs of several installations in one namespace. */
  lease: string;
  template: JobTemplate;
}

export interface NewJob extends TransferRun {
  installation: Installation;
  /** Of letters and digits. It keeps the Secret of another Job of this name apart, which may be deleted late. */
  suffix: string;
}

export function jobNameOf(plan: TransferPlan): string {
  return `transfer-${runIDOf(plan)}`;
}

function secretNameOf({ plan, suffix }: Pick<NewJob, 'plan' | 'suffix'>): string {
  return `${jobNameOf(plan)}-${suffix}`;
}

function labelsOf({ template, lease }: Installation): Record<string, string> {
  return {
    ...template.labels,
    ...(template.queue === undefined ? {} : { [queueLabel]: template.queue }),
    'app.kubernetes.io/name': 'glance-image-operator',
    'app.kubernetes.io/component': 'transfer',
    'app.kubernetes.io/managed-by': 'glance-image-operator',
    [leaseLabel]: lease,
  };
}

export function jobOf(job: NewJob) {
  const { key, plan, suffix, installation } = job;
  const { namespace, template } = installation;
  const run = JSON.stringify({ version: 1, key, suffix, plan });
  const annotations: Record<string, string> = { ...template.annotations, [runAnnotation]: run };
  return {
    metadata: {
      name: jobNameOf(plan),
      namespace,
      labels: labelsOf(installation),
      annotations,
    },
    spec: {
      ...(template.queue === undefined ? {} : { suspend: true }),
      backoffLimit: 0,
      completions: 1,
      parallelism: 1,
      podReplacementPolicy: 'Failed',
      activeDeadlineSeconds: template.pendingSeconds + Math.ceil(longestRunOf(plan.limits.maxBytes) / 1000),
      ttlSecondsAfterFinished: template.ttlSecondsAfterFinished,
      podFailurePolicy: {
        rules: [
          {
            action: 'FailJob',
            onExitCodes: { containerName, operator: 'In', values: Object.values(podExitCodes) },
          },
          { action: 'FailJob', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
        ],
      },
      template: podOf(job),
    },
  };
}

function podOf(job: NewJob) {
  const { installation } = job;
  const { template } = installation;
  const { podLabels, podAnnotations, image, imagePullPolicy, command, resources, serviceAccountName } = template;
  const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName } = template;
  const { runtimeClassName, hostUsers, imagePullSecrets } = template;
  return {
    metadata: { labels: { ...podLabels, ...labelsOf(installation) }, annotations: podAnnotations },
    spec: {
      restartPolicy: 'Never',
      serviceAccountName,
      // The token is projected into the run's own volume.
      automountServiceAccountToken: false,
      // Otherwise a Service named glance-image-operator would add variables that look like settings.
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 10,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        fsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: containerName,
          image,
          imagePullPolicy,
          ...(command === undefined ? {} : { command }),
          args: ['transfer', `--run=${runDirectory}`, `--termination-message=${messageFile}`],
          terminationMessagePath: messageFile,
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources,
          volumeMounts: [{ name: 'run', mountPath: runDirectory, readOnly: true }],
        },
      ],
      volumes: [
        {
          name: 'run',
          projected: {
            defaultMode: 0o440,
            sources: [
              { secret: { name: secretNameOf(job) } },
              { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } },
            ],
          },
        },
      ],
      ...compact({ nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName }),
      ...compact({ runtimeClassName, hostUsers, imagePullSecrets }),
    },
  };
}

/** It is deleted with its Job. */
export function runSecretOf(job: NewJob, uid: string, files: RunFiles) {
  const { plan, installation } = job;
  const { namespace } = installation;
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name: jobNameOf(plan), uid, controller: true };
  const data = Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
  return {
    metadata: {
      name: secretNameOf(job),
      namespace,
      labels: { ...installation.template.labels, [leaseLabel]: installation.lease },
      ownerReferences: [owner],
    },
    type: 'Opaque',
    immutable: true,
    data: Object.fromEntries(data),
  };
}

const runSchema = z.object({
  version: z.literal(1),
  key: z.string().regex(/^[^/]+\/[^/]+$/),
  suffix: z.string().min(1).max(20),
  plan: TransferPlan,
});

/** An annotation of Kubernetes is smaller. */
const maxRunLength = 262_144;

/** The run of a Job that this version of the operator can take over, with the suffix of its Secret. */
export function readRun(
  annotations: Readonly<Record<string, string>> | undefined,
): { key: Key; suffix: string; plan: TransferPlan } | undefined {
  const read = parseBounded(runSchema, annotations?.[runAnnotation], maxRunLength);
  return read && { key: read.key, suffix: read.suffix, plan: read.plan };
}

/** The run of a Job whose name follows from it. Undefined: another version of the operator made it, or someone has edited it. */
export function runOf({ metadata }: KubernetesObject): (TransferRun & { suffix: string }) | undefined {
  const begun = readRun(metadata.annotations);
  return begun !== undefined && jobNameOf(begun.plan) === metadata.name ? begun : undefined;
}

/**
 * What the installation says about the pods of transfers: a file that the chart writes from its value `transferJobs`.
 *
 * Invariant: only what changes where and how a pod runs is configurable. What it runs, as whom and with which rights is not.
 */
import * as z from 'zod';

const text = z.string().min(1).max(1000);
/** YAML has a CPU as a number, too. */
const quantities = z.record(z.string(), z.union([text, z.number().min(0).transform(String)]));
const map = z.record(z.string(), z.string());
const labels = map.default({});
/** Fields of the pod that the API server checks. */
const open = z.record(z.string(), z.unknown());

export const JobTemplate = z.strictObject({
  /** Where the Jobs are. Default: the namespace of the operator. */
  namespace: text.optional(),
  /** Of the operator itself, in the same version. */
  image: text,
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  /** Default: that of the image. */
  command: z.array(text).min(1).max(16).optional(),
  /** Has the right to patch the ConfigMap of progress, and no other. */
  serviceAccountName: text,
  /** Each pod writes its progress into a key of its own. */
  progressConfigMap: text,
  resources: z
    .strictObject({ requests: quantities, limits: quantities })
    .default({ requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '2', memory: '512Mi' } }),
  nodeSelector: map.optional(),
  tolerations: z.array(open).optional(),
  affinity: open.optional(),
  topologySpreadConstraints: z.array(open).optional(),
  priorityClassName: text.optional(),
  runtimeClassName: text.optional(),
  hostUsers: z.boolean().optional(),
  imagePullSecrets: z.array(z.strictObject({ name: text })).optional(),
  /** Of Jobs and their Secrets. */
  labels,
  annotations: labels,
  podLabels: labels,
  podAnnotations: labels,
  /** A queue of Kueue: Jobs are created suspended, with its label. */
  queue: text.optional(),
  /** How long an outcome waits for an operator. */
  ttlSecondsAfterFinished: z.int().min(60).max(2_592_000).default(86_400),
  /** How long a pod may wait for a node or an image before its transfer fails. */
  pendingSeconds: z.int().min(10).max(86_400).default(600),
});
export type JobTemplate = z.infer<typeof JobTemplate>;

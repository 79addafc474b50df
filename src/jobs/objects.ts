/** Jobs and pods, as far as the state of a transfer follows from them. Texts of the cluster are cut when they are read. */
import * as z from 'zod';
import { type KubernetesObject, parseObject, type ResourceType } from '../kubernetes/resource.ts';
import { printable } from '../lib/text.ts';

export interface ReportedCondition {
  type: string;
  status: string;
  reason?: string | undefined;
  message?: string | undefined;
  /** RFC 3339. */
  lastTransitionTime?: string | undefined;
}

export interface TransferJob extends KubernetesObject {
  suspend: boolean;
  /** RFC 3339. Of the first pod, and again after a suspension. */
  startTime: string | undefined;
  conditions: readonly ReportedCondition[];
}

export interface TransferPod extends KubernetesObject {
  /** Uid of its Job. Another Job may have had the same name. */
  job: string | undefined;
  phase: string;
  reason: string | undefined;
  message: string | undefined;
  conditions: readonly ReportedCondition[];
  container: ContainerState;
}

export type ContainerState =
  | { kind: 'waiting'; reason: string; message: string }
  | { kind: 'running'; startedAt: string }
  | { kind: 'terminated'; exitCode: number; reason: string; message: string };

const shortText = z.string().transform((text) => printable(text, 1000));
/** It is parsed, and may be 4096 bytes long. */
const terminationMessage = z.string().transform((text) => text.slice(0, 4096));
const conditions = z
  .array(
    z.object({
      type: z.string(),
      status: z.string(),
      reason: shortText.optional(),
      message: shortText.optional(),
      lastTransitionTime: z.string().optional(),
    }),
  )
  .max(64)
  .default([]);

const jobSchema = z.object({
  spec: z.object({ suspend: z.boolean().optional() }),
  status: z.object({ conditions, startTime: z.string().optional() }).default({ conditions: [] }),
});

const stateSchema = z.object({
  waiting: z.object({ reason: shortText.default(''), message: shortText.default('') }).optional(),
  running: z.object({ startedAt: z.string().default('') }).optional(),
  terminated: z
    .object({ exitCode: z.int(), reason: shortText.default(''), message: terminationMessage.default('') })
    .optional(),
});
const podSchema = z.object({
  status: z
    .object({
      phase: z.string().default('Pending'),
      reason: shortText.optional(),
      message: shortText.optional(),
      conditions,
      containerStatuses: z
        .array(z.object({ name: z.string(), state: stateSchema.default({}) }))
        .max(16)
        .default([]),
    })
    .default({ phase: 'Pending', conditions: [], containerStatuses: [] }),
});

/** Of the container that transfers. */
export const containerName = 'transfer';

/** The Job controller labels pods with the uid of their Job. */
export const controllerLabel = 'batch.kubernetes.io/controller-uid';

/** The index of pods by the uid of their Job. */
export const byJob = 'job';

export const jobType: ResourceType<TransferJob> = {
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  plural: 'jobs',
  parse(object) {
    const { spec, status } = jobSchema.parse(object);
    const { startTime, conditions } = status;
    return { ...parseObject(object), suspend: spec.suspend ?? false, startTime, conditions };
  },
};

export const podType: ResourceType<TransferPod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  parse(object) {
    const { metadata } = parseObject(object);
    const { phase, reason, message, conditions, containerStatuses } = podSchema.parse(object).status;
    // Others are added by service meshes.
    const container = stateOf(containerStatuses.find(({ name }) => name === containerName)?.state);
    const job = metadata.labels?.[controllerLabel];
    return { metadata, job, phase, reason, message, conditions, container };
  },
};

function stateOf(state: z.infer<typeof stateSchema> | undefined): ContainerState {
  if (state?.terminated !== undefined) return { kind: 'terminated', ...state.terminated };
  if (state?.running !== undefined) return { kind: 'running', ...state.running };
  return { kind: 'waiting', reason: state?.waiting?.reason ?? '', message: state?.waiting?.message ?? '' };
}

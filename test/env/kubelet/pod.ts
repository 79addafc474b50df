/** The parts of a Pod that the kubelet of the tests obeys. Fields that only a scheduler or a container engine needs are not read. */
import { z } from 'zod';

const key = z.object({ name: z.string(), key: z.string(), optional: z.boolean().optional() });
const item = z.object({ key: z.string(), path: z.string(), mode: z.int().optional() });
const files = { items: z.array(item).optional(), optional: z.boolean().optional() };

const envSchema = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .strictObject({
      fieldRef: z.object({
        fieldPath: z.enum(['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName']),
      }),
      secretKeyRef: key,
      configMapKeyRef: key,
    })
    .partial()
    .optional(),
});

const projectionSchema = z
  .strictObject({
    secret: z.object({ name: z.string(), ...files }),
    configMap: z.object({ name: z.string(), ...files }),
    serviceAccountToken: z.object({
      path: z.string(),
      audience: z.string().optional(),
      expirationSeconds: z.int().optional(),
    }),
  })
  .partial();
export type Projection = z.infer<typeof projectionSchema>;

const volumeSchema = z.strictObject({
  name: z.string(),
  secret: z.object({ secretName: z.string(), defaultMode: z.int().optional(), ...files }).optional(),
  configMap: z.object({ name: z.string(), defaultMode: z.int().optional(), ...files }).optional(),
  projected: z.object({ defaultMode: z.int().optional(), sources: z.array(projectionSchema) }).optional(),
  emptyDir: z.object({}).optional(),
});
export type Volume = z.infer<typeof volumeSchema>;

const securityContext = {
  runAsUser: z.int().optional(),
  runAsGroup: z.int().optional(),
  runAsNonRoot: z.boolean().optional(),
};

const containerSchema = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).default([]),
  env: z.array(envSchema).default([]),
  volumeMounts: z
    .array(
      z.strictObject({
        name: z.string(),
        mountPath: z.string(),
        readOnly: z.boolean().optional(),
        recursiveReadOnly: z.string().optional(),
      }),
    )
    .default([]),
  securityContext: z.object(securityContext).optional(),
  terminationMessagePath: z.string().default('/dev/termination-log'),
  terminationMessagePolicy: z.enum(['File', 'FallbackToLogsOnError']).default('File'),
});
export type Container = z.infer<typeof containerSchema>;

export const podSpecSchema = z.object({
  nodeName: z.string().optional(),
  serviceAccountName: z.string().optional(),
  automountServiceAccountToken: z.boolean().optional(),
  securityContext: z.object({ ...securityContext, fsGroup: z.int().optional() }).optional(),
  /** One: the pods of this project have no others. */
  containers: z.tuple([containerSchema]),
  volumes: z.array(volumeSchema).default([]),
});

export const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
    deletionGracePeriodSeconds: z.int().optional(),
  }),
  spec: podSpecSchema,
  status: z.object({ phase: z.string().optional() }).optional(),
});
export type Pod = z.infer<typeof podSchema>;

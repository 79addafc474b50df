/** A Pod of the chart, as far as a kubelet looks at it to start its container and to probe it. */
import { z } from 'zod';
import type { RenderedObject } from '../rbac/chart.ts';

const probeSchema = z.looseObject({ httpGet: z.strictObject({ path: z.string(), port: z.string() }) });

const containerSchema = z.looseObject({
  args: z.array(z.string()),
  env: z.array(
    z.strictObject({
      name: z.string(),
      valueFrom: z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.literal('metadata.namespace') }) }),
    }),
  ),
  ports: z.array(z.strictObject({ name: z.string(), containerPort: z.number() })),
  startupProbe: probeSchema,
  livenessProbe: probeSchema,
  readinessProbe: probeSchema,
  securityContext: z.looseObject({ readOnlyRootFilesystem: z.literal(true) }),
  volumeMounts: z.undefined().optional(),
});

const deploymentSchema = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({ serviceAccountName: z.string(), containers: z.tuple([containerSchema]) }),
    }),
  }),
});

export interface Pod {
  serviceAccount: string;
  args: readonly string[];
  env: Record<string, string>;
  /** The URLs of its probes, on this machine. */
  probes: string[];
}

/** Throws where the Pod has what is not looked at here, such as a volume. */
export function podOf(deployment: RenderedObject, namespace: string): Pod {
  const { serviceAccountName, containers } = deploymentSchema.parse(deployment).spec.template.spec;
  const [{ args, env, ports, startupProbe, livenessProbe, readinessProbe }] = containers;
  const probes = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => {
    const port = ports.find(({ name }) => name === httpGet.port)?.containerPort;
    return `http://127.0.0.1:${port}${httpGet.path}`;
  });
  return {
    serviceAccount: serviceAccountName,
    args,
    env: Object.fromEntries(env.map(({ name }) => [name, namespace])),
    probes,
  };
}

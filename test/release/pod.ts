/** The parts of a Pod of the chart that a kubelet uses to start and probe its container. */
import { join } from 'node:path';
import { z } from 'zod';
import { ofKind, type RenderedObject } from '../rbac/chart.ts';

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
  volumeMounts: z.array(z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true) })),
});

const deploymentSchema = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({
        serviceAccountName: z.string(),
        containers: z.tuple([containerSchema]),
        volumes: z.array(z.strictObject({ name: z.string(), configMap: z.strictObject({ name: z.string() }) })),
      }),
    }),
  }),
});

const configMapSchema = z.looseObject({ data: z.record(z.string(), z.string()) });

export interface Pod {
  serviceAccount: string;
  args: readonly string[];
  env: Record<string, string>;
  /** The content of mounted files by path. */
  files: Record<string, string>;
  /** The URLs of the probes on this machine. */
  probes: string[];
}

/** Throws if the Pod has a volume that is not a ConfigMap of the chart, or other parts that are not read here. */
export function podOf(objects: readonly RenderedObject[], namespace: string): Pod {
  const [deployment] = ofKind(objects, 'Deployment');
  const { serviceAccountName, containers, volumes } = deploymentSchema.parse(deployment).spec.template.spec;
  const [{ args, env, ports, startupProbe, livenessProbe, readinessProbe, volumeMounts }] = containers;
  const files = volumeMounts.flatMap(({ name, mountPath }) => {
    const volume = volumes.find((each) => each.name === name);
    const found = ofKind(objects, 'ConfigMap').find(({ metadata }) => metadata.name === volume?.configMap.name);
    return Object.entries(configMapSchema.parse(found).data).map(([file, text]) => [join(mountPath, file), text]);
  });
  const probes = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => {
    const port = ports.find(({ name }) => name === httpGet.port)?.containerPort;
    return `http://127.0.0.1:${port}${httpGet.path}`;
  });
  return {
    serviceAccount: serviceAccountName,
    args,
    env: Object.fromEntries(env.map(({ name }) => [name, namespace])),
    files: Object.fromEntries(files),
    probes,
  };
}

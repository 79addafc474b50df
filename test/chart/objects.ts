/** Kubernetes objects in the YAML that helm prints. */
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { type Release, render } from '../../charts/helm.ts';

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});
export type KubernetesObject = z.infer<typeof objectSchema>;

export function objectsIn(text: string): KubernetesObject[] {
  return parseAllDocuments(text)
    .map((document): unknown => {
      if (document.errors[0] !== undefined) throw document.errors[0];
      return document.toJSON();
    })
    .filter((object) => object !== null)
    .map((object) => objectSchema.parse(object));
}

/** Values that render every object with a name of its own. */
export const everything: readonly string[] = [
  'transferLimits.total=1',
  'replicaCount=2',
  'podDisruptionBudget.enabled=true',
  'networkPolicy.enabled=true',
  'networkPolicy.apiServer.to[0].ipBlock.cidr=192.0.2.10/32',
  'metrics.serviceMonitor.enabled=true',
  'metrics.prometheusRule.enabled=true',
  'metrics.dashboard.enabled=true',
  'metrics.kubeStateMetrics.enabled=true',
  'policies.enabled=true',
  'policies.hosts.enabled=true',
];

const release = { name: 'images', namespace: 'images-system' };

/** The objects that the chart renders with these arguments of `--set`. */
export async function objectsWith(set: readonly string[], options: Partial<Release> = {}): Promise<KubernetesObject[]> {
  return objectsIn(await render({ ...release, ...options, set }));
}

export function ofKind(objects: readonly KubernetesObject[], kind: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind);
  if (found === undefined) throw new Error(`there is no ${kind}`);
  return found;
}

const deploymentSchema = z.looseObject({
  spec: z.looseObject({
    replicas: z.int(),
    strategy: z.looseObject({ type: z.string() }),
    template: z.looseObject({
      metadata: z.looseObject({ annotations: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.int(),
        imagePullSecrets: z.array(z.strictObject({ name: z.string() })).optional(),
        containers: z.tuple([z.looseObject({ image: z.string(), args: z.array(z.string()) })]),
      }),
    }),
  }),
});

export function deploymentIn(objects: readonly KubernetesObject[]) {
  const { spec } = deploymentSchema.parse(ofKind(objects, 'Deployment'));
  const pod = spec.template.spec;
  return { ...spec, pod, container: pod.containers[0] };
}

const roleSchema = z.looseObject({
  rules: z.array(
    z.strictObject({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
      verbs: z.array(z.string()),
    }),
  ),
});

export function rulesOf(role: KubernetesObject) {
  return roleSchema.parse(role).rules;
}

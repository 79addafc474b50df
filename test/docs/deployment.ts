/**
 * The Deployment controller that the test environment lacks: it makes one Pod of the chart's Deployment, which the kubelet of the
 * tests runs, and reports the Deployment available once the operator is ready.
 *
 * Invariant: only the nodes and this controller are simulated; the operator gets everything else from the chart.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Kubelet, startKubelet } from '../env/kubelet/kubelet.ts';
import type { Kubernetes } from '../env/kubernetes.ts';
import { eventually } from '../env/wait.ts';

const deploymentSchema = z.object({
  metadata: z.object({ generation: z.int() }),
  spec: z.object({
    template: z.object({
      metadata: z.looseObject({}),
      spec: z.looseObject({
        containers: z.tuple([z.looseObject({ args: z.array(z.string()).default([]) })]),
      }),
    }),
  }),
});

export interface DeploymentOptions {
  kubernetes: Kubernetes;
  namespace: string;
  deployment: string;
  /** Flags that the place of the test needs, after those of the Deployment. */
  flags: readonly string[];
  signal: AbortSignal;
}

/** Resolves once the Deployment is there and its operator runs. The kubelet also runs the other Pods of the namespace. */
export async function runDeployment(options: DeploymentOptions): Promise<Kubelet> {
  const { kubernetes, namespace, deployment, flags, signal } = options;
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`;
  let answer = await kubernetes.request('GET', path);
  while (answer.status === 404) {
    await sleep(200, undefined, { signal });
    answer = await kubernetes.request('GET', path);
  }
  const { metadata, spec } = answer.as(deploymentSchema);
  const [container] = spec.template.spec.containers;
  // The port of the Pod may be taken on this machine; the last flag counts.
  const args = [...container.args, '--health-address=127.0.0.1:0', ...flags];
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...spec.template.metadata, name: `${deployment}-0` },
    spec: { ...spec.template.spec, containers: [{ ...container, args }] },
  };
  const kubelet = startKubelet({ kubernetes, namespace });
  try {
    (await kubernetes.request('POST', `/api/v1/namespaces/${namespace}/pods`, pod)).ok();
    const operator = await kubelet.running(pod.metadata.name);
    await eventually(
      () => kubelet.pods.some(({ state }) => state === 'ended') || operator.log().includes('"msg":"Ready"'),
      () => `the operator is not ready:\n${operator.log()}`,
    );
    if (kubelet.pods.some(({ state }) => state === 'ended')) throw new Error(`the operator ended:\n${operator.log()}`);
    const { generation: observedGeneration } = metadata;
    const status = { observedGeneration, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 };
    const contentType = 'application/merge-patch+json';
    (await kubernetes.request('PATCH', `${path}/status`, { status }, { contentType })).ok();
    return kubelet;
  } catch (error) {
    await kubelet.stop();
    throw error;
  }
}

/**
 * The part of a node that the test environment lacks: it runs the container of the chart's Deployment as a process,
 * with the arguments, the environment and the ServiceAccount of its Pods, and reports it available once it is ready.
 *
 * Invariant: only the node is simulated; the operator gets everything else from the chart.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { kubeconfig } from '../env/kubeconfig.ts';
import type { Kubernetes } from '../env/kubernetes.ts';
import { type Operator, startOperator } from '../operator/operator.ts';

const deploymentSchema = z.object({
  metadata: z.object({ generation: z.int() }),
  spec: z.object({
    template: z.object({
      spec: z.object({
        serviceAccountName: z.string(),
        containers: z.tuple([z.object({ args: z.array(z.string()).default([]) })]),
      }),
    }),
  }),
});
const tokenSchema = z.object({ status: z.object({ token: z.string() }) });

export interface KubeletOptions {
  kubernetes: Kubernetes;
  namespace: string;
  deployment: string;
  /** Where the kubeconfig of the Pod goes. */
  directory: string;
  /** Flags that the place of the test needs, after those of the Deployment. */
  flags: readonly string[];
  signal: AbortSignal;
}

/** Resolves once the Deployment is there and its operator runs. */
export async function runDeployment(options: KubeletOptions): Promise<Operator> {
  const { kubernetes, namespace, deployment, directory, flags, signal } = options;
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`;
  let answer = await kubernetes.request('GET', path);
  while (answer.status === 404) {
    await sleep(200, undefined, { signal });
    answer = await kubernetes.request('GET', path);
  }
  const { metadata, spec } = answer.as(deploymentSchema);
  const { serviceAccountName, containers } = spec.template.spec;
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccountName}/token`;
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const { token } = (await kubernetes.request('POST', account, request)).as(tokenSchema).status;
  const file = join(directory, 'operator.kubeconfig');
  const { server, caPem: ca } = kubernetes;
  await writeFile(file, kubeconfig({ server, ca, token, namespace }), { mode: 0o600 });
  const args = containers[0].args.filter((arg) => arg !== 'run');
  // The port of the Pod may be taken on this machine; the last flag counts.
  const own = ['--health-address=127.0.0.1:0', ...flags];
  const operator = await startOperator({
    kubeconfig: file,
    flags: [...args, ...own],
    env: { POD_NAMESPACE: namespace },
  });
  const { generation: observedGeneration } = metadata;
  const status = { observedGeneration, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 };
  (
    await kubernetes.request('PATCH', `${path}/status`, { status }, { contentType: 'application/merge-patch+json' })
  ).ok();
  return operator;
}

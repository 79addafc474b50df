/** A ServiceAccount and tokens for it, as the kubelet asks for them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { kubeconfig } from '../env/kubeconfig.ts';
import type { Kubernetes } from '../env/kubernetes.ts';

export interface ServiceAccount {
  namespace: string;
  name: string;
}

const tokenSchema = z.object({ status: z.object({ token: z.string() }) });

/** How the API server, and so its audit log, calls it. */
export function userOf({ namespace, name }: ServiceAccount): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

/** A token of the ServiceAccount, which must exist, for an hour. */
export async function requestToken(kubernetes: Kubernetes, { namespace, name }: ServiceAccount): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  return (await kubernetes.request('POST', path, body)).as(tokenSchema).status.token;
}

/** The path of a kubeconfig as the ServiceAccount, for another `server` if one is given; its namespace is that of the account. */
export async function kubeconfigOf(
  kubernetes: Kubernetes,
  account: ServiceAccount,
  through: { server: string; ca?: string } = { server: kubernetes.server, ca: kubernetes.caPem },
): Promise<string> {
  const { namespace, name } = account;
  const file = join(kubernetes.directory, 'kubeconfigs', `${namespace}-${name}-${new URL(through.server).port}.yaml`);
  const token = await requestToken(kubernetes, account);
  await writeFile(file, kubeconfig({ ...through, token, namespace }), { mode: 0o600 });
  return file;
}

/**
 * Requests to the API server before the parts are assembled.
 *
 * Invariant: an error that a user has to fix ends the process with the name of the flag. Other errors are left to the
 * parts, which retry.
 */
import { glanceImageType } from '../image/access/resources.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { KubernetesError } from '../kubernetes/errors.ts';
import { parseObject } from '../kubernetes/resource.ts';
import { attempt, OperatorError } from '../lib/errors.ts';
import { UsageError } from './config.ts';
import type { RunSettings } from './settings.ts';

const namespaceType = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', parse: parseObject };

/** The default name of this cluster. */
export type ClusterUid =
  | { kind: 'known'; uid: string }
  | { kind: 'absent' }
  | { kind: 'forbidden'; cause: KubernetesError };

export async function readClusterUid(client: KubernetesClient, signal: AbortSignal): Promise<ClusterUid> {
  const read = await attempt(signal, () => client.get(namespaceType, { name: 'kube-system' }, signal));
  if (read.ok) return read.value === undefined ? { kind: 'absent' } : { kind: 'known', uid: read.value.metadata.uid };
  const { error } = read;
  if (error instanceof KubernetesError && error.reason === 'Forbidden') return { kind: 'forbidden', cause: error };
  throw error;
}

/** For the operator. */
export async function uidOfCluster(client: KubernetesClient, signal: AbortSignal): Promise<string> {
  const read = await readClusterUid(client, signal);
  switch (read.kind) {
    case 'known':
      return read.uid;
    case 'absent':
      throw new OperatorError('there is no namespace kube-system to name this cluster by: set --cluster-name', {
        code: 'InvalidSpec',
      });
    case 'forbidden':
      throw unnamedCluster(read.cause);
  }
}

/**
 * A rejected watch is retried, because the server may be the cause. An invalid selector is never valid later, so it
 * ends the process.
 */
export async function checkSelector(
  client: KubernetesClient,
  { selector, namespaces: [namespace] }: RunSettings,
  signal: AbortSignal,
): Promise<void> {
  if (selector === undefined) return;
  const scope = { labelSelector: selector, ...(namespace === undefined ? {} : { namespace }) };
  try {
    await client.listPage(glanceImageType, scope, undefined, signal);
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.httpStatus !== 400) return;
    throw new UsageError(`--selector: the API server cannot use "${selector}": ${error.message}`);
  }
}

function unnamedCluster(cause: KubernetesError): OperatorError {
  return new OperatorError(
    `the operator may not read the namespace kube-system, whose uid distinguishes this cluster's images from those of others: set --cluster-name to a name that no other cluster has, or allow it to get that namespace (${cause.message})`,
    { code: 'InvalidSpec', cause },
  );
}

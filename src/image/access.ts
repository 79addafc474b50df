/**
 * The secrets of a transfer. Law: they are read live, just before the run, and handed to nobody but its executor; what is
 * wrong with one of them is said by its name, never by its content.
 */
import type { KubernetesClient } from '../kubernetes/client.ts';
import { type Secret, secretType } from '../kubernetes/secret.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import type { TransferAccess } from '../transfer/executor.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import { filesOf, secretNotFound } from './clouds.ts';

export async function readAccess(
  client: KubernetesClient,
  { cloud, source }: TransferPlan,
  signal: AbortSignal,
): Promise<TransferAccess> {
  const { namespace } = cloud;
  const read = async (name: string, field: string): Promise<Secret['data']> => {
    const secret = await client.get(secretType, { namespace, name }, signal);
    if (secret === undefined) throw secretNotFound(namespace, name, `create it, or fix ${field}`);
    return secret.data;
  };
  const files = filesOf(cloud, await read(cloud.secretRef.name, 'spec.cloud.secretRef'));
  switch (source.kind) {
    case 'http': {
      const { headersSecretRef: headers, caSecretRef: ca } = source;
      return {
        cloud: files,
        ...(headers === undefined
          ? {}
          : { headers: valuesIn(await read(headers.name, 'spec.content.http.headersSecretRef')) }),
        ...(ca === undefined ? {} : { ca: caIn(ca.name, await read(ca.name, 'spec.content.http.caSecretRef')) }),
      };
    }
    case 'glance': {
      const data = await read(source.cloud.secretRef.name, 'spec.content.glance.cloud.secretRef');
      return { cloud: files, sourceCloud: filesOf(source.cloud, data) };
    }
  }
}

function valuesIn(data: Secret['data']): Record<string, string> {
  return Object.fromEntries([...data].map(([name, value]) => [name, value.reveal()]));
}

function caIn(name: string, data: Secret['data']): string {
  const pem = data.get('ca.crt');
  if (pem !== undefined) return pem.reveal();
  throw new OperatorError(`Secret "${name}" has no key ca.crt, which holds the CA certificates of a source in PEM`, {
    code: 'SecretInvalid',
    retry: retry.change,
  });
}

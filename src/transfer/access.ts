/**
 * Reads the secrets that a plan refers to, just before its run.
 *
 * Guarantees: they are handed to the executor only; an error names a Secret, never its content.
 */
import {
  type CredentialSource,
  cloudFilesIn,
  readSecret,
  requiredValue,
  type SecretData,
} from '../openstack/credential-source.ts';
import type { TransferAccess } from './executor.ts';
import type { TransferPlan } from './plan.ts';

export async function readAccess(
  credentials: CredentialSource,
  { cloud, source }: TransferPlan,
  signal: AbortSignal,
): Promise<TransferAccess> {
  const read = async (name: string, field: string, key?: string): Promise<SecretData> => {
    const reference = {
      namespace: cloud.namespace,
      name,
      field: `spec.${field}`,
      ...(key === undefined ? {} : { key }),
    };
    return (await readSecret(credentials, reference, signal)).data;
  };
  const cloudFiles = async (name: string, field: string) => cloudFilesIn(name, await read(name, field, 'clouds.yaml'));
  const files = await cloudFiles(cloud.secretRef.name, 'cloud.secretRef');
  switch (source.kind) {
    case 'http': {
      const { headersSecretRef: headers, caSecretRef: ca } = source;
      return {
        cloud: files,
        ...(headers === undefined
          ? {}
          : { headers: revealed(await read(headers.name, 'content.http.headersSecretRef')) }),
        ...(ca === undefined ? {} : { ca: caIn(ca.name, await read(ca.name, 'content.http.caSecretRef', 'ca.crt')) }),
      };
    }
    case 'glance':
      return {
        cloud: files,
        sourceCloud: await cloudFiles(source.cloud.secretRef.name, 'content.glance.cloud.secretRef'),
      };
  }
}

function revealed(data: SecretData): Record<string, string> {
  return Object.fromEntries([...data].map(([name, value]) => [name, value.reveal()]));
}

function caIn(name: string, data: SecretData): string {
  return requiredValue(name, data, 'ca.crt', 'the CA certificates of a source in PEM');
}

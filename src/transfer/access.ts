/**
 * Reads the secrets that a plan refers to, just before its run.
 *
 * Guarantees: only the executor gets them; an error names a Secret, never its content; headers are copied out of a Secret only if
 * its owner allows the host that they go to.
 */
import {
  type CredentialSource,
  cloudFilesIn,
  readSecret,
  requiredValue,
  type SecretContent,
} from '../openstack/credential-source.ts';
import { checkHeaderHosts } from '../source/header-hosts.ts';
import type { SecretNeed, SecretUse, SourceSecrets } from '../source/kind.ts';
import { sourceOf } from '../source/registry.ts';
import type { TransferAccess } from './executor.ts';
import type { TransferPlan } from './plan.ts';

/** By use, the key that a Secret must have. */
const requiredKeys: Readonly<Record<SecretUse, string | undefined>> = {
  headers: undefined,
  ca: 'ca.crt',
  cloud: 'clouds.yaml',
};

export async function readAccess(
  credentials: CredentialSource,
  { cloud, source }: TransferPlan,
  signal: AbortSignal,
): Promise<TransferAccess> {
  const read = ({ use, ref, field }: SecretNeed): Promise<SecretContent> => {
    const key = requiredKeys[use];
    const reference = { namespace: cloud.namespace, name: ref.name, field, ...(key === undefined ? {} : { key }) };
    return readSecret(credentials, reference, signal);
  };
  const target = { use: 'cloud', ref: cloud.secretRef, field: 'spec.cloud.secretRef' } as const;
  const files = cloudFilesIn(target.ref.name, (await read(target)).data);
  let secrets: SourceSecrets = {};
  for (const need of sourceOf(source).secrets) secrets = { ...secrets, ...secretsIn(need, await read(need)) };
  return { cloud: files, source: secrets };
}

function secretsIn({ use, ref: { name }, destination }: SecretNeed, { data, hosts }: SecretContent): SourceSecrets {
  switch (use) {
    case 'headers':
      checkHeaderHosts(name, destination === undefined ? undefined : hosts, destination ?? '');
      return { headers: Object.fromEntries([...data].map(([header, value]) => [header, value.reveal()])) };
    case 'ca':
      return { ca: requiredValue(name, data, 'ca.crt', 'the CA certificates of a source in PEM') };
    case 'cloud':
      return { cloud: cloudFilesIn(name, data) };
  }
}

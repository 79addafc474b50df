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
  keys: undefined,
};

export async function readAccess(
  credentials: CredentialSource,
  { cloud, source }: TransferPlan,
  signal: AbortSignal,
): Promise<TransferAccess> {
  const { namespace } = cloud;
  const target = { use: 'cloud', ref: cloud.secretRef, field: 'spec.cloud.secretRef' } as const;
  const files = cloudFilesIn(target.ref.name, (await readNeeded(credentials, namespace, target, signal)).data);
  return { cloud: files, source: await readSecrets(credentials, namespace, sourceOf(source).secrets, signal) };
}

/** Reads the Secrets of one namespace that a source needs. */
export async function readSecrets(
  credentials: CredentialSource,
  namespace: string,
  needs: readonly SecretNeed[],
  signal: AbortSignal,
): Promise<SourceSecrets> {
  let secrets: SourceSecrets = {};
  for (const need of needs)
    secrets = { ...secrets, ...secretsIn(need, await readNeeded(credentials, namespace, need, signal)) };
  return secrets;
}

function readNeeded(
  credentials: CredentialSource,
  namespace: string,
  { use, ref: { name }, field }: SecretNeed,
  signal: AbortSignal,
): Promise<SecretContent> {
  const key = requiredKeys[use];
  return readSecret(credentials, { namespace, name, field, ...(key === undefined ? {} : { key }) }, signal);
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
    case 'keys':
      return { keys: [...data.values()].map((value) => Buffer.from(value.reveal())) };
  }
}

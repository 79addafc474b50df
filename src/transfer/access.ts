/**
 * Reads the secrets that a plan refers to, just before its run.
 *
 * Guarantees: only the executor gets them; an error names a Secret, never its content; headers are copied out of a Secret only if
 * its owner allows the host that they go to.
 */
import type { CloudFiles } from '../openstack/clouds.ts';
import { onlyCloud } from '../openstack/clouds-yaml.ts';
import {
  type CredentialSource,
  readCloudCredentials,
  readSecret,
  requiredValue,
  type SecretContent,
} from '../openstack/credential-source.ts';
import { checkHeaderHosts } from '../source/header-hosts.ts';
import type { SecretNeed, SecretUse, SourceSecrets } from '../source/kind.ts';
import { sourceOf } from '../source/registry.ts';
import type { TransferAccess } from './executor.ts';
import type { TransferPlan } from './plan.ts';

/** What is used of the Secret itself, and not through a cloud. */
type PlainUse = Exclude<SecretUse, 'cloud'>;

/** By use, the key that a Secret must have. */
const requiredKeys: Readonly<Record<PlainUse, string | undefined>> = {
  headers: undefined,
  ca: 'ca.crt',
  keys: undefined,
};

export async function readAccess(
  credentials: CredentialSource,
  { cloud, source }: TransferPlan,
  signal: AbortSignal,
): Promise<TransferAccess> {
  const read = await readCloudCredentials(credentials, cloud, 'spec.cloud', signal);
  const files = read.files();
  return { cloud: files, source: await readSecrets(credentials, cloud.namespace, sourceOf(source).secrets, signal) };
}

/** Whether a transfer signs in with tokens of a ServiceAccount: only this process requests them, for each sign-in. */
export function usesServiceAccount({ cloud, source }: TransferPlan): boolean {
  return [cloud, ...sourceOf(source).secrets].some(({ serviceAccountName }) => serviceAccountName !== undefined);
}

/**
 * What a transfer needs of this, for another process: of each clouds.yaml the cloud that is used, and no keys, because the plan has
 * the digest itself. Throws ConfigurationError if there is no such cloud.
 */
export function leastAccess({ cloud, source }: TransferAccess, plan: TransferPlan): TransferAccess {
  const { keys: _, cloud: files, ...rest } = source;
  const name = sourceOf(plan.source).secrets.find(({ use }) => use === 'cloud')?.cloud;
  const ofSource = files === undefined || name === undefined ? {} : { cloud: withOnly(files, name) };
  return { cloud: withOnly(cloud, plan.cloud.name), source: { ...rest, ...ofSource } };
}

function withOnly({ cloudsYaml, secureYaml, ...tls }: CloudFiles, name: string): CloudFiles {
  return { ...tls, ...onlyCloud({ cloudsYaml, secureYaml }, name) };
}

/** Reads the Secrets of one namespace that a source needs. */
export async function readSecrets(
  credentials: CredentialSource,
  namespace: string,
  needs: readonly SecretNeed[],
  signal: AbortSignal,
): Promise<SourceSecrets> {
  let secrets: SourceSecrets = {};
  for (const need of needs) secrets = { ...secrets, ...(await readNeed(credentials, namespace, need, signal)) };
  return secrets;
}

async function readNeed(
  credentials: CredentialSource,
  namespace: string,
  need: SecretNeed,
  signal: AbortSignal,
): Promise<SourceSecrets> {
  const { use, ref, field, serviceAccountName } = need;
  if (use === 'cloud') {
    const cloud = { namespace, secretRef: ref, serviceAccountName };
    const place = field.replace(/\.secretRef$/, '');
    return { cloud: (await readCloudCredentials(credentials, cloud, place, signal)).files() };
  }
  const key = requiredKeys[use];
  const reference = { namespace, name: ref.name, field, ...(key === undefined ? {} : { key }) };
  return secretsIn(namespace, { ...need, use }, await readSecret(credentials, reference, signal));
}

function secretsIn(
  namespace: string,
  { use, ref: { name }, destination }: SecretNeed & { use: PlainUse },
  { data, hosts }: SecretContent,
): SourceSecrets {
  switch (use) {
    case 'headers':
      checkHeaderHosts({ namespace, name }, destination === undefined ? undefined : hosts, destination ?? '');
      return { headers: Object.fromEntries([...data].map(([header, value]) => [header, value.reveal()])) };
    case 'ca':
      return { ca: requiredValue(name, data, 'ca.crt', 'the CA certificates of a source in PEM') };
    case 'keys':
      return { keys: [...data.values()].map((value) => Buffer.from(value.reveal())) };
  }
}

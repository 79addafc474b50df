/**
 * Where credentials come from. A Secret or a ServiceAccount is read at the moment of use; the cluster and a person's own files are
 * two such sources.
 *
 * Guarantees: an error names the Secret and the key that it needs, never a value and no other key.
 */
import { compact } from '../lib/compact.ts';
import { OperatorError } from '../lib/errors.ts';
import type { SecretString } from '../lib/secret.ts';
import type { CloudFiles } from './clouds.ts';
import type { ServiceAccount } from './credentials.ts';
import { ConfigurationError } from './errors.ts';

export type SecretData = ReadonlyMap<string, SecretString>;

export interface SecretContent {
  /** Changes whenever the content changes. */
  version: string;
  data: SecretData;
  /** The hosts that its values may go to, as its owner wrote them (source/header-hosts.ts). */
  hosts?: string | undefined;
}

export interface CredentialSource {
  /** Undefined where there is no such Secret. */
  secret(namespace: string, name: string, signal: AbortSignal): Promise<SecretContent | undefined>;
  /** Undefined where there is no such ServiceAccount. Absent: this program requests no tokens of them. */
  serviceAccount?(namespace: string, name: string, signal: AbortSignal): Promise<ServiceAccount | undefined>;
}

export interface SecretReference {
  namespace: string;
  name: string;
  /** The field that names the Secret, for messages. */
  field: string;
  /** The key that it needs, for messages. */
  key?: string;
}

/**
 * Throws SecretNotFound where there is none. That is retried: a Secret is often applied together with the resource, or created
 * by another controller.
 */
export async function readSecret(
  credentials: CredentialSource,
  { namespace, name, field, key }: SecretReference,
  signal: AbortSignal,
): Promise<SecretContent> {
  const secret = await credentials.secret(namespace, name, signal);
  if (secret !== undefined) return secret;
  const create = key === undefined ? 'create it' : `create it with a key ${key}`;
  throw new OperatorError(`there is no Secret "${name}" in namespace ${namespace}: ${create}, or fix ${field}`, {
    code: 'SecretNotFound',
  });
}

/** A cloud as resources and plans name it. */
export interface CloudCredentialsRef {
  namespace: string;
  secretRef: { name: string };
  serviceAccountName?: string | undefined;
}

export interface CloudCredentials {
  /** Changes with the content of the Secret. */
  version: string;
  /** Throws ConfigurationError. */
  files(): CloudFiles;
}

/** `field` names the cloud, for messages. Throws SecretNotFound and ServiceAccountNotFound. */
export async function readCloudCredentials(
  credentials: CredentialSource,
  { namespace, secretRef: { name }, serviceAccountName }: CloudCredentialsRef,
  field: string,
  signal: AbortSignal,
): Promise<CloudCredentials> {
  const reference = { namespace, name, field: `${field}.secretRef`, key: 'clouds.yaml' };
  const { version, data } = await readSecret(credentials, reference, signal);
  if (serviceAccountName === undefined) return { version, files: () => cloudFilesIn(name, data) };
  if (credentials.serviceAccount === undefined)
    throw new OperatorError(
      `${field} names ServiceAccount "${serviceAccountName}", and only the operator requests tokens of ServiceAccounts: use credentials of your own (--os-cloud)`,
      { code: 'ServiceAccountRefused' },
    );
  const serviceAccount = await credentials.serviceAccount(namespace, serviceAccountName, signal);
  if (serviceAccount === undefined)
    throw new OperatorError(
      `there is no ServiceAccount "${serviceAccountName}" in namespace ${namespace}: create it, or fix ${field}.serviceAccountName`,
      { code: 'ServiceAccountNotFound' },
    );
  return { version, files: () => ({ ...cloudFilesIn(name, data), serviceAccount }) };
}

/** The files of a cloud in the Secret `name`. Throws ConfigurationError. */
export function cloudFilesIn(name: string, data: SecretData): CloudFiles {
  const value = (key: string) => data.get(key)?.reveal();
  return compact({
    cloudsYaml: requiredValue(name, data, 'clouds.yaml'),
    secureYaml: value('secure.yaml'),
    cacert: value('cacert'),
    cert: value('cert'),
    key: value('key'),
  });
}

/** The value of one key of the Secret `name`. `meaning` says what the key should hold. Throws ConfigurationError. */
export function requiredValue(name: string, data: SecretData, key: string, meaning?: string): string {
  const value = data.get(key);
  if (value !== undefined) return value.reveal();
  const what = meaning === undefined ? key : `${key}, which should hold ${meaning}`;
  throw new ConfigurationError('SecretInvalid', `Secret "${name}" has no key ${what}: add it, or name another Secret`);
}

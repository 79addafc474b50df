/**
 * The credentials of a transfer that is run by hand, from files as OpenStack's own tools read them.
 *
 * Guarantees: the command line names files, never secrets; a file that cannot be read exits as wrong usage; no message quotes
 * the content of a file.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { isCollection, isScalar, parseDocument } from 'yaml';
import { compact } from '../lib/compact.ts';
import { describeFileError } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import type { CredentialSource, SecretContent } from '../openstack/credential-source.ts';
import { onlyHostOf } from '../source/header-hosts.ts';
import type { SecretUse } from '../source/kind.ts';
import { sourceOf } from '../source/registry.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import { UsageError } from './config.ts';
import type { TransferSettings } from './settings.ts';

/** The plan, with the files of this machine in the place of the Secrets that it names. */
export interface LocalPlan {
  plan: TransferPlan;
  credentials: CredentialSource;
}

type Entries = readonly (readonly [key: string, value: string])[];

export function withFileCredentials(plan: TransferPlan, settings: TransferSettings, env: NodeJS.ProcessEnv): LocalPlan {
  const cloudsYaml = settings.cloudsYaml ?? findCloudsYaml(env);
  const files = new Map<string, () => Promise<Entries>>();
  /** Makes a file readable under the name of a Secret, and returns the reference to it. */
  const secret = (name: string, read: () => Promise<Entries>) => {
    files.set(name, read);
    return { name };
  };
  const { headerFile, sourceCa, sourceCloudsYaml = cloudsYaml } = settings;

  /** The files in the place of the Secrets of the source. A header file or a CA file counts also where the plan names none. */
  function localSecret(use: SecretUse, cloud = ''): { name: string } | undefined {
    switch (use) {
      case 'headers':
        return headerFile === undefined ? undefined : secret('headers', () => readHeaderFile(headerFile));
      case 'ca':
        return sourceCa === undefined ? undefined : secret('source-ca', async () => [['ca.crt', await read(sourceCa)]]);
      case 'cloud':
        return secret('source-cloud', () => readCloudFiles(sourceCloudsYaml, cloud, sourceCa));
      // A plan has the digest itself, and needs no signature of a list.
      case 'keys':
        return undefined;
    }
  }

  // A person who names a header file on the command line allows the host of the plan.
  const hosts = onlyHostOf(sourceOf(plan.source).address);
  const secretRef = secret('cloud', () => readCloudFiles(cloudsYaml, plan.cloud.name, settings.cacert));
  return {
    plan: {
      ...plan,
      cloud: compact({ ...plan.cloud, secretRef, serviceAccountName: undefined }),
      source: sourceOf(plan.source).withSecrets(localSecret),
    },
    credentials: {
      async secret(_namespace, name) {
        const entries = await files.get(name)?.();
        return entries && { version: '', data: secretsOf(entries), hosts };
      },
    },
  };
}

function secretsOf(entries: Entries): Map<string, SecretString> {
  return new Map(entries.map(([key, value]) => [key, new SecretString(value)]));
}

export interface LocalCloud {
  /** The entry of clouds.yaml. */
  name: string;
  cloudsYaml: string | undefined;
  cacert: string | undefined;
}

/** The files of one cloud, as the Secret of a resource holds them. */
export async function readLocalCloud(
  { name, cloudsYaml, cacert }: LocalCloud,
  env: NodeJS.ProcessEnv,
): Promise<SecretContent> {
  const entries = await readCloudFiles(cloudsYaml ?? findCloudsYaml(env), name, cacert);
  return { version: 'local', data: secretsOf(entries) };
}

/** The first file that exists where openstacksdk looks. */
export function findCloudsYaml(env: NodeJS.ProcessEnv, home = homedir()): string {
  const folders = ['.', join(env['XDG_CONFIG_HOME'] ?? join(home, '.config'), 'openstack'), '/etc/openstack'];
  const named = env['OS_CLIENT_CONFIG_FILE'];
  const places = [
    ...(named === undefined ? [] : [named]),
    ...folders.flatMap((folder) => ['clouds.yaml', 'clouds.yml'].map((name) => join(folder, name))),
  ];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new UsageError(`there is no clouds.yaml (looked for ${places.join(', ')}): name one with --clouds-yaml`);
}

/**
 * clouds.yaml with the certificates that it names, and the secure.yaml in the same folder. They are files on a person's disk. In a
 * Secret they are keys, and the operator opens no file that a clouds.yaml names.
 */
async function readCloudFiles(path: string, cloud: string, cacert: string | undefined): Promise<Entries> {
  const text = await read(path);
  // As text, so that a password 0123 stays what it is.
  const document = parseDocument(text, { schema: 'failsafe', logLevel: 'silent', uniqueKeys: false });
  const entry = document.errors.length > 0 ? undefined : document.getIn(['clouds', cloud]);
  const secure = ['secure.yaml', 'secure.yml']
    .map((name) => join(dirname(path), name))
    .find((place) => existsSync(place));
  const overriding: Entries = [
    ...(secure === undefined ? [] : [['secure.yaml', await read(secure)] as const]),
    ...(cacert === undefined ? [] : [['cacert', await read(cacert)] as const]),
  ];
  if (!isCollection(entry)) return [['clouds.yaml', text], ...overriding];
  const named: [string, string][] = [];
  for (const key of ['cacert', 'cert', 'key'] as const) {
    const value = entry.get(key, true);
    if (!isScalar(value) || typeof value.value !== 'string' || value.value.includes('-----BEGIN ')) continue;
    entry.delete(key);
    const isOverridden = key === 'cacert' && cacert !== undefined;
    if (!isOverridden) named.push([key, await read(value.value.replace(/^~(?=\/)/, homedir()))]);
  }
  return [['clouds.yaml', document.toString()], ...named, ...overriding];
}

async function readHeaderFile(path: string): Promise<Entries> {
  const lines = (await read(path)).split(/\r?\n/);
  return lines.flatMap((line, index): Entries => {
    if (line.trim() === '') return [];
    const colon = line.indexOf(':');
    if (colon < 1) throw new UsageError(`${path}: line ${index + 1} is not a header of the form "Name: value"`);
    return [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()]];
  });
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${describeFileError(error)}`);
  }
}

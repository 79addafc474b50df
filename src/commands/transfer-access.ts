/**
 * The secrets of a transfer that is run by hand, from files as OpenStack's own tools read them. Law: files are named on the
 * command line, secrets are not; what cannot be read is wrong usage, and no message quotes what is in a file.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isCollection, isScalar, parseDocument } from 'yaml';
import { UsageError } from '../lib/config.ts';
import { describe } from '../lib/errors.ts';
import type { CloudFiles } from '../openstack/clouds.ts';
import type { TransferAccess } from '../transfer/executor.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import type { TransferSettings } from './settings.ts';

export async function readAccess(
  plan: TransferPlan,
  settings: TransferSettings,
  env: NodeJS.ProcessEnv,
): Promise<TransferAccess> {
  const { source } = plan;
  const cloudsYaml = settings.cloudsYaml ?? findCloudsYaml(env);
  return {
    cloud: await readCloudFiles(cloudsYaml, plan.cloud.name, settings.cacert),
    ...(settings.headerFile === undefined ? {} : { headers: await readHeaderFile(settings.headerFile) }),
    ...(settings.sourceCa === undefined ? {} : { ca: await read(settings.sourceCa) }),
    ...(source.kind === 'http'
      ? {}
      : {
          sourceCloud: await readCloudFiles(
            settings.sourceCloudsYaml ?? cloudsYaml,
            source.cloud.name,
            settings.sourceCa,
          ),
        }),
  };
}

/** The first that exists of the places where openstacksdk looks. */
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
 * The file with what it names: certificates lie beside it on a person's disk, while the operator has them in a Secret and
 * reads no file that a clouds.yaml names.
 */
async function readCloudFiles(path: string, cloud: string, cacert: string | undefined): Promise<CloudFiles> {
  const text = await read(path);
  // As text, so that a password 0123 stays what it is.
  const document = parseDocument(text, { schema: 'failsafe', logLevel: 'silent' });
  const entry = document.errors.length > 0 ? undefined : document.getIn(['clouds', cloud]);
  const files: CloudFiles = { cloudsYaml: text };
  if (isCollection(entry)) {
    for (const key of ['cacert', 'cert', 'key'] as const) {
      const value = entry.get(key, true);
      if (!isScalar(value) || typeof value.value !== 'string') continue;
      entry.delete(key);
      const isOverruled = key === 'cacert' && cacert !== undefined;
      if (!isOverruled) files[key] = await read(value.value.replace(/^~(?=\/)/, homedir()));
    }
    files.cloudsYaml = document.toString();
  }
  return cacert === undefined ? files : { ...files, cacert: await read(cacert) };
}

async function readHeaderFile(path: string): Promise<Record<string, string>> {
  const lines = (await read(path)).split(/\r?\n/);
  return Object.fromEntries(
    lines.flatMap((line, index) => {
      if (line.trim() === '') return [];
      const colon = line.indexOf(':');
      if (colon < 1) throw new UsageError(`${path}: line ${index + 1} is no header, which is "Name: value"`);
      return [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()]];
    }),
  );
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${describe(error)}`);
  }
}

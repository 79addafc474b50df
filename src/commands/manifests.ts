/**
 * GlanceImages from files, as the API server would hold them after `kubectl apply`: with the defaults of the CRD, and checked by the
 * same rules.
 *
 * Guarantees: files are only read; documents of other kinds are skipped; a problem names the file, the document and the field, and hides
 * no other document.
 */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { type GlanceImage, parseGlanceImage } from '../api/glanceimage.ts';
import { group, kind } from '../api/group.ts';
import { attempt, describe, describeFileError } from '../lib/errors.ts';
import { keyOf } from '../lib/key.ts';
import { UsageError } from './config.ts';
import { readFileOf } from './input.ts';
import { readAsKubectl } from './kubectl-yaml.ts';

export interface Manifest {
  resource: GlanceImage;
  /** File and document, for messages. */
  at: string;
}

export interface Manifests {
  manifests: Manifest[];
  /** Each is a sentence. */
  problems: string[];
}

/** No object has it: a manifest that is not applied has no uid. */
export const unappliedUID = '00000000-0000-0000-0000-000000000000';

const extensions = ['.yaml', '.yml', '.json'];

/** `path`: a file, a folder and everything in it, or `-`. Throws UsageError where nothing can be read. */
export async function readManifests(
  path: string,
  namespace: string,
  readInput: () => Promise<string>,
  signal: AbortSignal,
): Promise<Manifests> {
  if (path === '-') return onlyOnce(manifestsIn(await readInput(), 'standard input', namespace));
  const all: Manifests[] = [];
  for (const file of await filesIn(path)) {
    const bytes = await attempt(signal, () => readFileOf(file, signal));
    all.push(
      bytes.ok
        ? manifestsIn(bytes.value.toString('utf8'), file, namespace)
        : { manifests: [], problems: [describe(bytes.error)] },
    );
  }
  return onlyOnce(joined(all));
}

function joined(all: readonly Manifests[]): Manifests {
  return {
    manifests: all.flatMap(({ manifests }) => manifests),
    problems: all.flatMap(({ problems }) => problems),
  };
}

/** kubectl applies each of several manifests for one resource, so the last one is in effect, by the order of their files. */
function onlyOnce({ manifests, problems }: Manifests): Manifests {
  const byKey = Map.groupBy(manifests, ({ resource: { metadata } }) => keyOf(metadata.namespace, metadata.name));
  const several = [...byKey].filter(([, all]) => all.length > 1);
  return {
    manifests: manifests.filter(
      ({ resource: { metadata } }) => byKey.get(keyOf(metadata.namespace, metadata.name))?.length === 1,
    ),
    problems: [
      ...problems,
      ...several.map(
        ([key, all]) =>
          `GlanceImage ${key} is declared ${all.length} times (${all.map(({ at }) => at).join('; ')}): keep one of the manifests`,
      ),
    ],
  };
}

/** As kubectl: links to files are followed, links to folders are not, so that each file is read once and a loop ends. */
async function filesIn(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory() && extensions.includes(extname(entry.name)))
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort();
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${describeFileError(error)}`);
  }
}

const headSchema = z.looseObject({ apiVersion: z.string(), kind: z.string() });
/** For kubectl, whatever has items is a list: `List`, and `GlanceImageList` of the API server. */
const listSchema = z.looseObject({ kind: z.string(), items: z.array(z.unknown()) });
/** As the API server checks names. */
export const objectName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/,
    'must consist of lower case letters, digits, "-" and ".", and each part between dots must begin and end with a letter or digit',
  );
export const namespaceName = z
  .string()
  .regex(
    /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be up to 63 lower case letters, digits and "-", and begin and end with a letter or digit',
  );

/** Throws UsageError. The message has no flag, because the text after such a flag is redacted. */
export function checkSecretName(name: string): void {
  const parsed = objectName.safeParse(name);
  if (!parsed.success) throw new UsageError(`the name of a Secret ${parsed.error.issues[0]?.message}`);
}

const manifestSchema = z.looseObject({
  metadata: z.looseObject({
    name: objectName,
    namespace: namespaceName.or(z.literal('')).nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec: z.unknown(),
});

export function manifestsIn(text: string, file: string, namespace: string): Manifests {
  const documents = readAsKubectl(text);
  const read = documents.flatMap((document, index): (Manifest | Problem)[] => {
    const at = documents.length === 1 ? file : `${file}, document ${index + 1}`;
    if (!document.ok) return [{ problem: `${at} is not YAML: ${document.problem}` }];
    const list = listSchema.safeParse(document.content);
    const objects = list.success
      ? list.data.items.map((object, item) => ({ object, at: `${at}, item ${item + 1}` }))
      : [{ object: document.content, at }];
    return objects.flatMap((one) => (isOurs(one.object) ? [asApplied(one.object, one.at, namespace)] : []));
  });
  return {
    manifests: read.flatMap((one) => ('problem' in one ? [] : [one])),
    problems: read.flatMap((one) => ('problem' in one ? [one.problem] : [])),
  };
}

interface Problem {
  problem: string;
}

function isOurs(object: unknown): boolean {
  const head = headSchema.safeParse(object);
  return head.success && head.data.kind === kind && head.data.apiVersion.split('/')[0] === group;
}

function asApplied(object: unknown, at: string, namespace: string): Manifest | Problem {
  const parsed = manifestSchema.safeParse(object);
  if (!parsed.success) return invalid(at, parsed.error);
  const { metadata } = parsed.data;
  const spec = withoutNulls(parsed.data.spec, 'spec');
  const place = `${at}, GlanceImage ${metadata.name}`;
  let resource: GlanceImage;
  try {
    resource = parseGlanceImage({
      ...parsed.data,
      spec,
      metadata: {
        name: metadata.name,
        namespace: metadata.namespace || namespace,
        annotations: metadata.annotations ?? {},
        uid: unappliedUID,
        generation: 1,
        resourceVersion: '0',
        creationTimestamp: '1970-01-01T00:00:00Z',
      },
      status: {},
    });
  } catch (error) {
    if (error instanceof z.ZodError) return invalid(place, error);
    throw error;
  }
  const unknown = resource.unknownField;
  return unknown === undefined ? { resource, at } : { problem: `${place}: there is no field ${unknown}` };
}

/** Properties may have any value. The API server drops the other fields whose value is null, and adds their defaults. */
function withoutNulls(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null || path === 'spec.image.properties') return value;
  if (Array.isArray(value)) return value.map((one) => withoutNulls(one, `${path}[]`));
  const entries = Object.entries(value).filter(([, one]) => one !== null);
  return Object.fromEntries(entries.map(([key, one]) => [key, withoutNulls(one, `${path}.${key}`)]));
}

function invalid(at: string, error: z.ZodError): Problem {
  return { problem: `${at}: ${describe(error)}` };
}

/** The object as it is after the manifest is applied to the one that the cluster has. */
export function appliedTo(found: GlanceImage | undefined, { resource }: Manifest): GlanceImage {
  if (found === undefined) return resource;
  const annotations = { ...found.metadata.annotations, ...resource.metadata.annotations };
  const isEdited = !isDeepStrictEqual(found.spec, resource.spec);
  const generation = found.metadata.generation + (isEdited ? 1 : 0);
  return { ...found, spec: resource.spec, metadata: { ...found.metadata, annotations, generation } };
}

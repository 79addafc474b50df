/**
 * GlanceImages from files, as the API server would hold them after `kubectl apply`: with the defaults of the CRD, and checked by the
 * same rules.
 *
 * Guarantees: files are only read; documents of other kinds are skipped; an error names the file, the document and the field.
 */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Document, parseAllDocuments, type Tags } from 'yaml';
import { z } from 'zod';
import { type GlanceImage, parseGlanceImage } from '../api/glanceimage.ts';
import { group, kind } from '../api/group.ts';
import { describe } from '../lib/errors.ts';
import { UsageError } from './config.ts';
import { readFileOf } from './input.ts';

export interface Manifest {
  resource: GlanceImage;
  /** File and document, for messages. */
  at: string;
}

/** No object has it: a manifest that is not applied has no uid. */
export const unappliedUID = '00000000-0000-0000-0000-000000000000';

const extensions = ['.yaml', '.yml', '.json'];

/** `path`: a file, a folder and everything in it, or `-`. Throws UsageError. */
export async function readManifests(
  path: string,
  namespace: string,
  readInput: () => Promise<string>,
  signal: AbortSignal,
): Promise<Manifest[]> {
  if (path === '-') return manifestsIn(await readInput(), 'standard input', namespace);
  const files = await filesIn(path);
  const manifests: Manifest[] = [];
  for (const file of files) {
    const bytes = await readFileOf(file, signal);
    manifests.push(...manifestsIn(bytes.toString('utf8'), file, namespace));
  }
  return manifests;
}

async function filesIn(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = await readdir(path, { recursive: true });
    return names
      .filter((name) => extensions.includes(extname(name)))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${describe(error)}`);
  }
}

const headSchema = z.looseObject({ apiVersion: z.string(), kind: z.string() });
const listSchema = z.looseObject({ kind: z.string(), items: z.array(z.unknown()) });
const manifestSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.unknown(),
});

export function manifestsIn(text: string, file: string, namespace: string): Manifest[] {
  const documents = parseAllDocuments(text, { version: '1.1', merge: true, intAsBigInt: true, customTags: asKubectl });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document, index) => {
    const at = documents.length === 1 ? file : `${file}, document ${index + 1}`;
    const [problem] = document.errors;
    if (problem !== undefined) throw new UsageError(`${at} is not YAML: ${problem.message.split('\n')[0]}`);
    const content = withNumbers(contentOf(document, at));
    const list = listSchema.safeParse(content);
    const objects = list.success && list.data.kind === 'List' ? list.data.items : [content];
    return objects.flatMap((object) => (isOurs(object) ? [{ resource: asApplied(object, at, namespace), at }] : []));
  });
}

function contentOf(document: Document, at: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 1000 });
  } catch (error) {
    throw new UsageError(`${at} is not YAML: ${describe(error)}`);
  }
}

/** kubectl reads `yes` as true, but neither `1:30` as a number nor a date as a time. */
function asKubectl(tags: Tags): Tags {
  return tags.filter((tag) => {
    if (typeof tag === 'string') return tag !== 'timestamp';
    const format = 'format' in tag ? tag.format : undefined;
    return format !== 'TIME' && tag.tag !== 'tag:yaml.org,2002:timestamp';
  });
}

/** Integers that fit are numbers, as in what the API server returns. */
function withNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(withNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withNumbers(one)]));
}

function isOurs(object: unknown): boolean {
  const head = headSchema.safeParse(object);
  return head.success && head.data.kind === kind && head.data.apiVersion.split('/')[0] === group;
}

function asApplied(object: unknown, at: string, namespace: string): GlanceImage {
  const parsed = manifestSchema.safeParse(object);
  if (!parsed.success) throw invalid(at, parsed.error);
  const { metadata, spec } = parsed.data;
  const place = `${at}, GlanceImage ${metadata.name}`;
  let resource: GlanceImage;
  try {
    resource = parseGlanceImage({
      ...parsed.data,
      metadata: {
        name: metadata.name,
        namespace: metadata.namespace ?? namespace,
        annotations: metadata.annotations ?? {},
        uid: unappliedUID,
        generation: 1,
        resourceVersion: '0',
        creationTimestamp: '1970-01-01T00:00:00Z',
      },
      status: {},
    });
  } catch (error) {
    throw error instanceof z.ZodError ? invalid(place, error) : error;
  }
  const unknown = unknownField(spec, resource.spec, 'spec');
  if (unknown !== undefined) throw new UsageError(`${place}: there is no field ${unknown}`);
  return resource;
}

function invalid(at: string, { issues: [issue] }: z.ZodError): UsageError {
  return new UsageError(`${at}: ${issue?.path.join('.') || 'the document'}: ${issue?.message}`);
}

/** A field that was declared, and that the schema does not have. */
function unknownField(declared: unknown, known: unknown, path: string): string | undefined {
  if (typeof declared !== 'object' || declared === null || typeof known !== 'object' || known === null)
    return undefined;
  const values = new Map<string, unknown>(Object.entries(known));
  for (const [key, value] of Object.entries(declared)) {
    const below = Array.isArray(declared) ? `${path}[${key}]` : `${path}.${key}`;
    if (!values.has(key)) return below;
    const found = unknownField(value, values.get(key), below);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The object as it is after the manifest is applied to the one that the cluster has. */
export function appliedTo(found: GlanceImage | undefined, { resource }: Manifest): GlanceImage {
  if (found === undefined) return resource;
  const annotations = { ...found.metadata.annotations, ...resource.metadata.annotations };
  const isEdited = !isDeepStrictEqual(found.spec, resource.spec);
  const generation = found.metadata.generation + (isEdited ? 1 : 0);
  return { ...found, spec: resource.spec, metadata: { ...found.metadata, annotations, generation } };
}

/** The whole resource, as the API server returns it. Invariant: it is parsed once, at the edge, and trusted from there on. */
import * as z from 'zod';
import { withEachKey } from '../lib/map-of.ts';
import { apiVersion, kind } from './group.ts';
import { specSchema } from './spec.ts';
import { statusSchema } from './status.ts';

/** What the operator reads of an object's metadata. */
const metadataSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  generation: z.int(),
  resourceVersion: z.string(),
  creationTimestamp: z.string(),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).default([]),
  annotations: z.record(z.string(), z.string()).default({}),
});

export const glanceImageSchema = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal(kind),
  metadata: metadataSchema,
  spec: specSchema,
  status: statusSchema,
});

export type GlanceImage = z.output<typeof glanceImageSchema> & {
  /** A field of the spec that the CRD has and this version does not know, as a path: the CRD is that of a later version. */
  unknownField?: string;
};

const rawSpec = z.object({ spec: z.unknown() });

/** Parses an object from the API server; throws a ZodError where it is not a GlanceImage as the CRD has it. */
export function parseGlanceImage(object: unknown): GlanceImage {
  const resource = glanceImageSchema.parse(object);
  const { spec: declared } = rawSpec.parse(object);
  const spec = withEachKey(resource.spec, declared);
  const unknownField = unknownIn(declared, spec, 'spec');
  return { ...resource, spec, ...(unknownField === undefined ? {} : { unknownField }) };
}

/** The first field that is declared, and that the schema does not have. */
function unknownIn(declared: unknown, known: unknown, path: string): string | undefined {
  // Values of properties are passed on as they are, of any depth.
  if (declared === known) return undefined;
  if (typeof declared !== 'object' || declared === null || typeof known !== 'object' || known === null)
    return undefined;
  const values = new Map<string, unknown>(Object.entries(known));
  for (const [key, value] of Object.entries(declared)) {
    const below = Array.isArray(declared) ? `${path}[${key}]` : `${path}.${key}`;
    if (!values.has(key)) return below;
    const found = unknownIn(value, values.get(key), below);
    if (found !== undefined) return found;
  }
  return undefined;
}

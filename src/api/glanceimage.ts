/** The whole resource, as the API server returns it. Invariant: it is parsed once, at the edge, and trusted from there on. */
import { z } from 'zod';
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

export type GlanceImage = z.output<typeof glanceImageSchema>;

/** zod drops the key `__proto__` from every map, but an image can have a property of that name. `custom` copies nothing. */
const rawProperties = z.object({
  spec: z.object({ image: z.object({ properties: z.custom<Record<string, unknown>>() }) }),
});

/** Parses an object from the API server; throws a ZodError where it is not a GlanceImage as the CRD has it. */
export function parseGlanceImage(object: unknown): GlanceImage {
  const resource = glanceImageSchema.parse(object);
  const raw = rawProperties.safeParse(object).data?.spec.image.properties ?? {};
  if (!Object.hasOwn(raw, '__proto__')) return resource;
  const { spec } = resource;
  return { ...resource, spec: { ...spec, image: { ...spec.image, properties: { ...raw } } } };
}

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

export type GlanceImage = z.output<typeof glanceImageSchema>;

const rawSpec = z.object({ spec: z.unknown() });

/** Parses an object from the API server; throws a ZodError where it is not a GlanceImage as the CRD has it. */
export function parseGlanceImage(object: unknown): GlanceImage {
  const resource = glanceImageSchema.parse(object);
  return { ...resource, spec: withEachKey(resource.spec, rawSpec.parse(object).spec) };
}

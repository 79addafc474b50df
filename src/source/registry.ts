/**
 * The kinds of source, and the only place that lists them outside of the API's schemas: `content.<kind>` of a declaration, and
 * `source.kind` of a plan. A new kind is a schema in src/api/sources/, a file in kinds/ and its lines here, which the compiler
 * demands.
 */
import { z } from 'zod';
import type { ContentSpec, SourceKind } from '../api/content.ts';
import type { DeclaredContext, DeclaredData, PlannedSource } from './kind.ts';
import { declaredGlance, GlancePlan, glanceSource } from './kinds/glance.ts';
import { declaredHttp, HttpPlan, httpSource } from './kinds/http.ts';

export { imageItself } from './kinds/glance.ts';

export const SourcePlan = z.discriminatedUnion('kind', [HttpPlan, GlancePlan]);
export type SourcePlan = z.infer<typeof SourcePlan>;

type Declare = (content: ContentSpec, context: DeclaredContext) => DeclaredData<SourcePlan> | undefined;

const declarations: Readonly<Record<SourceKind, Declare>> = {
  http: ({ http }) => http && declaredHttp(http),
  glance: ({ glance }, context) => glance && declaredGlance(glance, context),
};

/** The data that `content` declares. Undefined only where it names no source, which the API server rejects. */
export function declaredData(content: ContentSpec, context: DeclaredContext): DeclaredData<SourcePlan> | undefined {
  for (const declare of Object.values(declarations)) {
    const data = declare(content, context);
    if (data !== undefined) return data;
  }
  return undefined;
}

export function sourceOf(plan: SourcePlan): PlannedSource<SourcePlan> {
  switch (plan.kind) {
    case 'http':
      return httpSource(plan);
    case 'glance':
      return glanceSource(plan);
  }
}

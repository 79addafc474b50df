/**
 * The kinds of source, and the only place that lists them outside of the API's schemas: `content.<kind>` of a declaration, and
 * `source.kind` of a plan. A new kind is a schema in src/api/sources/, a file in kinds/ and its lines here, which the compiler
 * demands.
 */
import * as z from 'zod';
import type { ContentSpec, SourceKind } from '../api/content.ts';
import { compact } from '../lib/compact.ts';
import type { DeclaredContext, DeclaredData, PlannedSource, SecretNeed } from './kind.ts';
import { declaredGlance, GlancePlan, glanceSource } from './kinds/glance.ts';
import { declaredHttp, HttpPlan, httpSource, questionInHttp, resolvedHttp } from './kinds/http.ts';
import { questionInIndex, resolvedIndex } from './kinds/index.ts';
import type { Question, Resolution } from './resolve/question.ts';

export { imageItself } from './kinds/glance.ts';
export { fileAt, fileFromList, fileWithDigest } from './kinds/http.ts';
export { fileFromIndex } from './kinds/index.ts';

export const SourcePlan = z.discriminatedUnion('kind', [HttpPlan, GlancePlan]);
export type SourcePlan = z.infer<typeof SourcePlan>;

type Declare = (content: ContentSpec, context: DeclaredContext) => DeclaredData<SourcePlan> | undefined;

const declarations: Readonly<Record<SourceKind, Declare>> = {
  http: ({ http }) => http && declaredHttp(http),
  // Its file is known only when the index was read: see `resolvedContent`.
  index: () => undefined,
  glance: ({ glance }, context) => glance && declaredGlance(glance, context),
};

/** The data that `content` declares. Undefined only where it names no source, which the API server rejects. */
export function declaredData(content: ContentSpec, context: DeclaredContext): DeclaredData<SourcePlan> | undefined {
  for (const declare of Object.values(declarations)) {
    const data = declare(content, context);
    const { convert } = content;
    if (data !== undefined) return convert === undefined ? data : { ...data, convert };
  }
  return undefined;
}

/** What a declaration leaves to its publisher; undefined if it has the digest itself. */
export function questionOf({ http, index, verify }: ContentSpec): Question | undefined {
  const asked = (http && questionInHttp(http)) ?? (index && questionInIndex(index));
  return asked && compact({ ...asked, isSigned: verify !== undefined, signatureURL: verify?.openPGP.signatureURL });
}

/** The declaration with what its publisher provides. */
export function resolvedContent(content: ContentSpec, resolution: Resolution): ContentSpec {
  return content.index === undefined ? resolvedHttp(content, resolution) : resolvedIndex(content, resolution);
}

/** The Secrets and ConfigMaps that reading the list or index needs. */
export function askingSecrets({ http, verify }: ContentSpec): SecretNeed[] {
  const source = http && httpSource(declaredHttp(http).source).secrets;
  const { secretRef, configMapRef } = verify?.openPGP.keysFrom ?? {};
  const keys = { use: 'keys' as const, field: 'spec.content.verify.openPGP.keysFrom' };
  return [
    ...(source ?? []),
    ...(secretRef === undefined ? [] : [{ ...keys, ref: secretRef }]),
    ...(configMapRef === undefined ? [] : [{ ...keys, ref: configMapRef, in: 'ConfigMap' as const }]),
  ];
}

export function sourceOf(plan: SourcePlan): PlannedSource<SourcePlan> {
  switch (plan.kind) {
    case 'http':
      return httpSource(plan);
    case 'glance':
      return glanceSource(plan);
  }
}

/** The source `content.http`: a file on a web server, or on one of its mirrors. */
import { z } from 'zod';
import type { ContentSpec } from '../../api/content.ts';
import { compact } from '../../lib/compact.ts';
import { readHeaders } from '../headers.ts';
import { openHttpSource } from '../http.ts';
import { type DeclaredData, type PlannedSource, planned, type SecretNeed } from '../kind.ts';
import { createSourceTransport } from '../transport.ts';

export const HttpPlan = z.strictObject({
  kind: z.literal('http'),
  url: planned.text,
  /** The same file on other servers, in order of preference. */
  mirrors: z.array(planned.text).max(32),
  /** Its keys and values are sent to the server of `url` as headers. */
  headersSecretRef: planned.secretRef.optional(),
  /** Its key ca.crt holds CA certificates to trust. */
  caSecretRef: planned.secretRef.optional(),
});
export type HttpPlan = z.infer<typeof HttpPlan>;

export function declaredHttp(declared: NonNullable<ContentSpec['http']>): DeclaredData<HttpPlan> {
  const { url, mirrors, headersSecretRef, caSecretRef, digest, digestOf, decompress, member } = declared;
  const source = compact({ kind: 'http' as const, url, mirrors, headersSecretRef, caSecretRef });
  return { source, digest, digestOf, decompress, ...(member === undefined ? {} : { member }) };
}

export function httpSource(plan: HttpPlan): PlannedSource<HttpPlan> {
  const { url, mirrors, headersSecretRef, caSecretRef } = plan;
  const needs: readonly (Omit<SecretNeed, 'ref'> & { ref: SecretNeed['ref'] | undefined })[] = [
    { use: 'headers', ref: headersSecretRef, field: 'spec.content.http.headersSecretRef', destination: url },
    { use: 'ca', ref: caSecretRef, field: 'spec.content.http.caSecretRef' },
  ];
  return {
    secrets: needs.flatMap(({ ref, ...need }) => (ref === undefined ? [] : [{ ...need, ref }])),
    address: url,
    webDownloadURL: url,
    bytesID: undefined,
    placeBeside: () => undefined,
    host: () => URL.parse(url)?.host ?? url,
    withSecrets: (replace) => compact({ ...plan, headersSecretRef: replace('headers'), caSecretRef: replace('ca') }),
    async open({ secrets, hasDigest, egress, trust, resources, ...common }) {
      const transport = createSourceTransport(egress, { trust, ca: secrets.ca });
      resources.defer(() => transport.close());
      const headers = secrets.headers === undefined ? {} : { headers: readHeaders(secrets.headers) };
      return openHttpSource({ ...common, ...headers, urls: [url, ...mirrors], hasDigest, transport });
    },
  };
}

/** The source `content.http`: a file on a web server, or on one of its mirrors. */
import * as z from 'zod';
import type { ContentSpec } from '../../api/content.ts';
import { compact } from '../../lib/compact.ts';
import { isPattern } from '../checksums/names.ts';
import { readHeaders } from '../headers.ts';
import { openHttpSource } from '../http.ts';
import { type DeclaredData, type PlannedSource, planned, type SecretNeed } from '../kind.ts';
import { lastPartOf } from '../resolve/evaluate.ts';
import type { Question, Resolution } from '../resolve/question.ts';
import { createSourceTransport } from '../transport.ts';

export const HttpPlan = z.strictObject({
  kind: z.literal('http'),
  url: planned.text,
  /** On other servers, in order of preference: the same file, or with a digest another one that has the same image. */
  mirrors: z.array(z.strictObject({ url: planned.text, digest: planned.text.optional() })).max(32),
  /** Its keys and values are sent to the server of `url` as headers. */
  headersSecretRef: planned.secretRef.optional(),
  /** Its key ca.crt holds CA certificates to trust. */
  caSecretRef: planned.secretRef.optional(),
});
export type HttpPlan = z.infer<typeof HttpPlan>;

type HttpSpec = NonNullable<ContentSpec['http']>;

/** One file, without credentials. */
export function fileAt(url: string): HttpPlan {
  return { kind: 'http', url, mirrors: [] };
}

/** `spec.content` of a file whose digest is known. */
export function fileWithDigest(url: string, digest: string, member?: string) {
  return { http: compact({ url, digest, member }) };
}

/** `spec.content` of a file whose digest is in a list. `fileName`: in the list, where it is another one. */
export function fileFromList(url: string, list: { url: string; fileName?: string | undefined }, member?: string) {
  const checksums = compact({ url: list.url, fileName: list.fileName });
  return { http: compact({ url, digestFrom: { checksums }, member }) };
}

export function declaredHttp(declared: HttpSpec): DeclaredData<HttpPlan> {
  const { url, mirrors, headersSecretRef, caSecretRef, digest, digestOf, decompress, member } = declared;
  const mirrored = mirrors.map((mirror) => (mirror.digest === digest ? { url: mirror.url } : mirror));
  const source = compact({ kind: 'http' as const, url, mirrors: mirrored, headersSecretRef, caSecretRef });
  return { source, digest, digestOf, decompress, ...(member === undefined ? {} : { member }) };
}

/** Undefined where the digest itself is declared. */
export function questionInHttp({ url, digestFrom }: HttpSpec): Pick<Question, 'url' | 'looksFor'> | undefined {
  if (digestFrom === undefined) return undefined;
  const { checksums } = digestFrom;
  if (checksums === undefined) return { url, looksFor: { kind: 'firstUse', file: url } };
  const { url: list, fileName } = checksums;
  return { url: list, looksFor: { kind: 'checksums', file: url, name: fileName } };
}

/**
 * The content with the digest that the list gives. Where the list names another file than the URL, mirrors have it under that name
 * too, and the declared file is the last one to try, because a moving name is on more servers than the one behind it.
 */
export function resolvedHttp(content: ContentSpec, { url, digest }: Resolution): ContentSpec {
  const { http } = content;
  if (http === undefined) return content;
  const { digestFrom, ...rest } = http;
  if (url === http.url) return { ...content, http: { ...rest, digest } };
  const isFile = lastPartOf(http.url) !== '' && !isPattern(digestFrom?.checksums?.fileName ?? '');
  const name = new URL(url).pathname.split('/').at(-1) ?? '';
  const mirrored = http.mirrors.map((mirror) => ({ url: new URL(name, mirror.url).href }));
  return { ...content, http: { ...rest, url, digest, mirrors: [...mirrored, ...(isFile ? [{ url: http.url }] : [])] } };
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
    alternatives: alternativesOf(plan),
    bytesID: undefined,
    placeBeside: () => undefined,
    host: () => URL.parse(url)?.host ?? url,
    withSecrets: (replace) => compact({ ...plan, headersSecretRef: replace('headers'), caSecretRef: replace('ca') }),
    async open({ secrets, hasDigest, egress, trust, resources, ...common }) {
      const transport = createSourceTransport(egress, { trust, ca: secrets.ca });
      resources.defer(() => transport.close());
      const values = headersSecretRef === undefined ? undefined : secrets.headers;
      const headers = values === undefined ? {} : { headers: readHeaders(values) };
      const same = mirrors.filter((mirror) => mirror.digest === undefined);
      const urls = [url, ...same.map((mirror) => mirror.url)] as const;
      return openHttpSource({ ...common, ...headers, urls, hasDigest, transport });
    },
  };
}

/** One for each digest of mirrors. The headers are for the server of `url` alone. */
function alternativesOf({ url, mirrors, headersSecretRef, ...rest }: HttpPlan): { source: HttpPlan; digest: string }[] {
  const digests = new Set(mirrors.flatMap(({ digest }) => digest ?? []));
  return [...digests].flatMap((digest) => {
    const [first, ...others] = mirrors
      .filter((mirror) => mirror.digest === digest)
      .map((mirror) => ({ url: mirror.url }));
    if (first === undefined) return [];
    const isSameServer = URL.parse(first.url)?.origin === URL.parse(url)?.origin;
    const headers = headersSecretRef !== undefined && isSameServer ? { headersSecretRef } : {};
    return [{ source: { ...rest, url: first.url, mirrors: others, ...headers }, digest }];
  });
}

/**
 * Version documents: the API versions that a service offers.
 *
 * Invariant: only the ids, the states and the paths of a document are used. Its hosts are not, because a service behind a proxy
 * often does not know its own name.
 */

import * as z from 'zod';
import { boundedList } from '../lib/bounded-list.ts';
import { withoutEnd } from '../lib/trim.ts';
import { MalformedResponse } from './errors.ts';
import type { HttpResponse } from './exchange.ts';
import { parseJson } from './json.ts';

export interface ApiVersion {
  /** `v2.17`, `v3.14`. */
  id: string;
  /** In upper case, as in Glance. Keystone's `stable` is Glance's `CURRENT`. */
  status: string;
  /** The address in the document, which may be wrong. */
  href: string | undefined;
}

/** Glance lists about thirty. */
const maxVersions = 200;

const version = z
  .object({
    id: z.string().max(32),
    status: z.string().max(32).toUpperCase(),
    links: boundedList(z.looseObject({ rel: z.string(), href: z.string() }), 20).default([]),
  })
  .transform(
    ({ id, status, links }): ApiVersion => ({ id, status, href: links.find(({ rel }) => rel === 'self')?.href }),
  );
const versions = boundedList(version, maxVersions);
/** Glance has a list under `versions`, Keystone one level deeper; a versioned address describes just itself. */
const documentSchema = z.union([
  z.object({ versions }).transform((document) => document.versions),
  z.object({ versions: z.object({ values: versions }) }).transform((document) => document.versions.values),
  z.object({ version }).transform((document) => [document.version]),
]);

/** The versions in a response of status 200 or 300. Undefined if it is not a version document. */
export function versionsIn(response: HttpResponse): readonly ApiVersion[] | undefined {
  if (response.status !== 200 && response.status !== 300) return undefined;
  return documentSchema.safeParse(parseJson(response.text)).data;
}

/** The ids of the versions that can be used, in the order of the document. */
export function usableVersions(all: readonly ApiVersion[]): readonly string[] {
  return all.filter(({ status }) => usableStates.has(status)).map(({ id }) => id);
}

/** `STABLE` is a state of Keystone and Barbican. `DEPRECATED` versions are left out, as in glanceclient. */
const usableStates: ReadonlySet<string> = new Set(['SUPPORTED', 'CURRENT', 'EXPERIMENTAL', 'STABLE']);

/**
 * The root of Keystone's v3 API, without a trailing slash, from the response to GET `authUrl`, which may be that root or the one
 * above it. It is always on the host of `authUrl`. `isSure` is false if the response is not a version document: then the path
 * is that of `authUrl`, and the server may not be a Keystone. Throws MalformedResponse if the document has no v3.
 */
export function keystoneRoot(authUrl: string, response: HttpResponse): { root: string; isSure: boolean } {
  const { origin, pathname } = new URL(authUrl);
  const base = withoutEnd(pathname, '/').replace(/\/v\d+(?:\.\d+)?$/, '');
  const known = versionsIn(response);
  const v3 = known?.find(({ id }) => /^v3(?:\.|$)/.test(id));
  if (known !== undefined && known.length > 0 && v3 === undefined) {
    const there = known
      .slice(0, 3)
      .map(({ id }) => id)
      .join(', ');
    const advice = 'is auth_url the address of a Keystone with the v3 API?';
    throw new MalformedResponse(`it offers ${there} and no v3; ${advice}`, response.requestId);
  }
  const href = v3?.href;
  const path =
    href === undefined || !URL.canParse(href, authUrl) ? '' : withoutEnd(new URL(href, authUrl).pathname, '/');
  const isBelow = path.startsWith(`${base}/`) && path.endsWith('/v3');
  return { root: `${origin}${isBelow ? path : `${base}/v3`}`, isSure: v3 !== undefined };
}

/**
 * Where a redirect response leads. Invariant: no policy allows a redirect from https to plain http, and credentials that
 * follow a redirect stay on the origin that they were sent to (`same-origin`).
 */

/** `same-origin`: same scheme, host and port. `any-origin`: any address, except from https to http. */
export type RedirectPolicy = 'same-origin' | 'any-origin';

export type Redirect =
  /** The response is not a redirect. */
  { kind: 'none' } | { kind: 'follow'; url: URL } | { kind: 'unusable' } | { kind: 'forbidden'; url: URL };

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function redirectOf(
  { status, location }: { status: number; location: string | undefined },
  from: URL | string,
  policy: RedirectPolicy,
): Redirect {
  if (!redirectStatuses.has(status)) return { kind: 'none' };
  const base = new URL(from);
  const url = location === undefined ? null : URL.parse(location, base.href);
  if (url === null) return { kind: 'unusable' };
  url.hash = '';
  const isAllowed =
    policy === 'same-origin' ? url.origin === base.origin : !(base.protocol === 'https:' && url.protocol === 'http:');
  return isAllowed ? { kind: 'follow', url } : { kind: 'forbidden', url };
}

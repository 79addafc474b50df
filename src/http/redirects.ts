/**
 * Where a redirect response leads.
 *
 * Invariant: credentials that follow a redirect stay on the origin that they were sent to (`same-origin`), and only what is
 * verified afterwards and needs no credentials may leave https (`any-scheme`).
 */

/** `same-origin`: same scheme, host and port. `any-origin`: any address, except from https to http. `any-scheme`: any address. */
export type RedirectPolicy = 'same-origin' | 'any-origin' | 'any-scheme';

export type Redirect =
  /** The response is not a redirect. */
  | { kind: 'none' }
  /** `losesTLS`: from https to http. */
  | { kind: 'follow'; url: URL; losesTLS: boolean }
  | { kind: 'unusable' }
  | { kind: 'forbidden'; url: URL };

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function redirectOf(
  { status, location }: { status: number; location: string | undefined },
  from: URL | string,
  policy: RedirectPolicy,
): Redirect {
  if (!redirectStatuses.has(status)) return { kind: 'none' };
  const base = new URL(from);
  const url = location === undefined ? null : URL.parse(percentEncoded(location), base.href);
  if (url === null) return { kind: 'unusable' };
  url.hash = '';
  const losesTLS = base.protocol === 'https:' && url.protocol === 'http:';
  const isAllowed = policy === 'same-origin' ? url.origin === base.origin : policy === 'any-scheme' || !losesTLS;
  return isAllowed ? { kind: 'follow', url, losesTLS } : { kind: 'forbidden', url };
}

/**
 * Servers send paths in UTF-8 without an escape. Node gives each byte of a header as one character, which a URL would encode
 * again (https://github.com/nodejs/undici/issues/2971).
 */
function percentEncoded(location: string): string {
  return location.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Whether a redirect asks for the same method and body at the new address. */
export function keepsRequest(status: number): boolean {
  return status === 307 || status === 308;
}

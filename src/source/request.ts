/**
 * One request to an HTTP server, through its redirects.
 *
 * Guarantees: each hop passes the egress policy and has a deadline; redirects are limited in number; they lead from https to http
 * only if a digest is declared and no headers are; from the first hop to another server on, declared headers are no longer sent;
 * an error names the hop that failed.
 */
import { EgressRefused } from '../http/egress.ts';
import { ProxyDenied } from '../http/proxy.ts';
import { redirectOf } from '../http/redirects.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { unreachable } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { afterRedirect, connectionError, SourceError } from './errors.ts';
import type { DeclaredHeaders } from './headers.ts';
import type { SourceResponse, SourceTransport } from './transport.ts';

const maxRedirects = 5;
const plainHeaders = { 'accept-encoding': 'identity', 'user-agent': 'glance-image-operator', accept: '*/*' };

export interface SourceRequest {
  url: string;
  /** `range` and `if-range`, sent at every hop. */
  range: Readonly<Record<string, string>>;
  declared: DeclaredHeaders;
  /** The only origin that gets the declared headers. */
  declaredFor: string | undefined;
  /** A digest is compared in the end. */
  hasDigest: boolean;
  transport: Pick<SourceTransport, 'get'>;
  clock: Clock;
  /** Limit on the time from the request to the response header, connecting included, for each hop. */
  firstByteMs: number;
  /** The response comes only after this, because others come before it. Default: at once. */
  due?: Promise<void> | undefined;
  /** Governs the response body as well. */
  signal: AbortSignal;
}

export interface FinalResponse {
  /** URL of the last hop. */
  url: URL;
  response: SourceResponse;
  /** Headers are declared, but were not sent to `url`. */
  withheld: boolean;
  /** The URL that redirected to `url`; undefined without a redirect. */
  redirectedBy: URL | undefined;
  /** What users should know about the redirects. */
  warnings: readonly string[];
}

/** Follows redirects to the final response. Throws SourceError, EgressRefused, ProxyDenied, or the signal's reason. */
export async function fetchFollowing(request: SourceRequest): Promise<FinalResponse> {
  const { range, declared, declaredFor, signal } = request;
  let url = parseUrl(request.url);
  let redirectedBy: URL | undefined;
  let trusted = true;
  const visited = new Set<string>();
  let setsCookie = false;
  const warnings: string[] = [];
  for (;;) {
    if (visited.has(url.href)) throw unusable(url, setsCookie ? inCircleByCookie : 'its redirects lead in a circle');
    if (visited.size > maxRedirects) throw unusable(url, `more than ${maxRedirects} redirects led there`);
    visited.add(url.href);
    trusted &&= url.origin === declaredFor;
    const headers = { ...plainHeaders, ...(trusted ? revealed(declared) : {}), ...range };
    try {
      const response = await fetchOnce(url, headers, request);
      const target = redirectTarget(url, response, request);
      if (target === undefined) {
        const withheld = !trusted && Object.keys(declared).length > 0;
        return { url, response, withheld, redirectedBy, warnings };
      }
      if (target.losesTLS) warnings.push(watched(url, target.url));
      setsCookie ||= response.header('set-cookie') !== undefined;
      [redirectedBy, url] = [url, target.url];
    } catch (error) {
      signal.throwIfAborted();
      throw afterRedirect(error, redirectedBy);
    }
  }
}

const inCircleByCookie =
  'its redirects lead in a circle, and set a cookie that they expect back. No cookie is kept: declare a URL that needs none, or the ' +
  'header Cookie in the Secret of headersSecretRef';

function watched(from: URL, to: URL): string {
  return `${safeUrl(from)} redirected to ${safeUrl(to)}: the digest protects the data, but not from being watched on its way`;
}

async function fetchOnce(
  url: URL,
  headers: Record<string, string>,
  { transport, clock, firstByteMs, due, signal }: SourceRequest,
): Promise<SourceResponse> {
  try {
    // The signal of the caller is passed on as well: it outlives the deadline and governs the body.
    const get = (deadline: AbortSignal) => transport.get(url, headers, AbortSignal.any([signal, deadline]));
    return await withDeadline(clock, 'the wait for its response', firstByteMs, signal, get, due);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof EgressRefused || error instanceof ProxyDenied ? error : connectionError(url, error);
  }
}

function revealed(declared: DeclaredHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(declared).map(([name, value]) => [name, value.reveal()]));
}

/** Where a redirect leads; undefined for any other response. The body of a redirect is closed. */
function redirectTarget(
  from: URL,
  { status, header, body }: SourceResponse,
  { hasDigest, declared }: SourceRequest,
): { url: URL; losesTLS: boolean } | undefined {
  const hasHeaders = Object.keys(declared).length > 0;
  const policy = hasDigest && !hasHeaders ? 'any-scheme' : 'any-origin';
  const redirect = redirectOf({ status, location: header('location') }, from, policy);
  if (redirect.kind !== 'none') body.destroy();
  switch (redirect.kind) {
    case 'none':
      return undefined;
    case 'follow':
      return { url: parseUrl(redirect.url.href), losesTLS: redirect.losesTLS };
    case 'unusable':
      throw unusable(from, `its response ${status} is a redirect without a usable location`, status);
    case 'forbidden':
      throw unusable(
        from,
        `it redirects from https to plain http (${safeUrl(redirect.url)}): ` +
          (hasHeaders ? 'publish the file at an https URL, or declare no headersSecretRef' : 'declare a digest'),
        status,
      );
    default:
      return unreachable(redirect);
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  const invalid = (why: string) => new SourceError('SourceURLInvalid', `${safeUrl(text)}: ${why}`);
  if (url === null) throw invalid('the source is not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw invalid('only https and http sources are read');
  if (url.username !== '' || url.password !== '')
    throw invalid(
      'user and password in the URL of a source are not used: put them into the Secret of headersSecretRef',
    );
  return url;
}

function unusable(url: URL, why: string, httpStatus?: number): SourceError {
  return new SourceError('SourceInvalid', `${safeUrl(url)} cannot be used: ${why}`, { httpStatus });
}

/**
 * One request to an HTTP server, through its redirects.
 *
 * Guarantees: each hop passes the egress policy and has a deadline; redirects are limited in number and never lead from https to
 * http; from the first hop to another server on, declared headers are no longer sent.
 */
import { EgressRefused } from '../http/egress.ts';
import { redirectOf } from '../http/redirects.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { retry, unreachable } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { connectionError, SourceError, upstreamRetry } from './errors.ts';
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
  transport: SourceTransport;
  clock: Clock;
  /** Limit on the time from the request to the response header, connecting included, for each hop. */
  firstByteMs: number;
  /** Governs the response body as well. */
  signal: AbortSignal;
}

export interface FinalResponse {
  /** URL of the last hop. */
  url: URL;
  response: SourceResponse;
  /** Headers are declared, but were not sent to `url`. */
  withheld: boolean;
}

/** Follows redirects to the final response. Throws SourceError, EgressRefused, or the signal's reason. */
export async function fetchFollowing(request: SourceRequest): Promise<FinalResponse> {
  const { range, declared, declaredFor } = request;
  let url = parseUrl(request.url);
  let trusted = true;
  const visited = new Set<string>();
  for (;;) {
    if (visited.has(url.href)) throw unusable(url, 'its redirects lead in a circle');
    if (visited.size > maxRedirects) throw unusable(url, `more than ${maxRedirects} redirects led there`);
    visited.add(url.href);
    trusted &&= url.origin === declaredFor;
    const response = await fetchOnce(
      url,
      { ...plainHeaders, ...(trusted ? revealed(declared) : {}), ...range },
      request,
    );
    const target = redirectTarget(url, response);
    if (target === undefined) return { url, response, withheld: !trusted && Object.keys(declared).length > 0 };
    url = target;
  }
}

async function fetchOnce(
  url: URL,
  headers: Record<string, string>,
  { transport, clock, firstByteMs, signal }: SourceRequest,
): Promise<SourceResponse> {
  try {
    return await withDeadline(clock, 'the wait for its response', firstByteMs, signal, (deadline) =>
      // The signal of the caller is passed on as well: it outlives the deadline and governs the body.
      transport.get(url, headers, AbortSignal.any([signal, deadline])),
    );
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof EgressRefused ? error : connectionError(url, error);
  }
}

function revealed(declared: DeclaredHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(declared).map(([name, value]) => [name, value.reveal()]));
}

/** Where a redirect leads; undefined for any other response. The body of a redirect is closed. */
function redirectTarget(from: URL, { status, header, body }: SourceResponse): URL | undefined {
  const redirect = redirectOf({ status, location: header('location') }, from, 'any-origin');
  if (redirect.kind !== 'none') body.destroy();
  switch (redirect.kind) {
    case 'none':
      return undefined;
    case 'follow':
      return parseUrl(redirect.url.href);
    case 'unusable':
      throw unusable(from, `its response ${status} is a redirect without a usable location`, status);
    case 'forbidden':
      throw unusable(from, `it redirects from https to plain http (${safeUrl(redirect.url)})`, status);
    default:
      return unreachable(redirect);
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  const invalid = (why: string) => new SourceError('SourceInvalid', retry.change, `${safeUrl(text)}: ${why}`);
  if (url === null) throw invalid('the source is not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw invalid('only https and http sources are read');
  if (url.username !== '' || url.password !== '')
    throw invalid(
      'user and password in the URL of a source are not used: put them into the Secret of headersSecretRef',
    );
  return url;
}

function unusable(url: URL, why: string, httpStatus?: number): SourceError {
  return new SourceError('SourceInvalid', upstreamRetry, `${safeUrl(url)} cannot be used: ${why}`, { httpStatus });
}

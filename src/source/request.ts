/**
 * One question to an HTTP server, through its redirects. Law: redirects are followed here, one policy check each, never from
 * https to http and not for ever; every hop has a deadline; and declared headers stay behind at the first hop that leads to
 * another server, for good.
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
  /** `range` and `if-range`: they go along to every hop. */
  range: Readonly<Record<string, string>>;
  declared: DeclaredHeaders;
  /** The only origin that the declared headers are for. */
  declaredFor: string | undefined;
  transport: SourceTransport;
  clock: Clock;
  /** From the request to the header of its answer, connecting included; each hop has its own. */
  firstByteMs: number;
  /** Governs the body of the answer too. */
  signal: AbortSignal;
}

export interface SourceAnswer {
  /** Who answered in the end. */
  url: URL;
  response: SourceResponse;
  /** Headers were declared, but not sent to `url`. */
  withheld: boolean;
}

/** Asks until an answer is no redirect. Throws SourceError, EgressRefused, or the signal's reason. */
export async function ask(request: SourceRequest): Promise<SourceAnswer> {
  const { range, declared, declaredFor } = request;
  let url = parseUrl(request.url);
  let trusted = true;
  const visited = new Set<string>();
  for (;;) {
    if (visited.has(url.href)) throw astray(url, 'its redirects lead in a circle');
    if (visited.size > maxRedirects) throw astray(url, `more than ${maxRedirects} redirects led there`);
    visited.add(url.href);
    trusted &&= url.origin === declaredFor;
    const response = await askOnce(url, { ...plainHeaders, ...(trusted ? revealed(declared) : {}), ...range }, request);
    const target = redirectTarget(url, response);
    if (target === undefined) return { url, response, withheld: !trusted && Object.keys(declared).length > 0 };
    url = target;
  }
}

async function askOnce(
  url: URL,
  headers: Record<string, string>,
  { transport, clock, firstByteMs, signal }: SourceRequest,
): Promise<SourceResponse> {
  try {
    return await withDeadline(clock, 'the wait for its answer', firstByteMs, signal, (deadline) =>
      // The caller's signal goes along by itself, because it outlives the deadline: it has to end the body too.
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
      throw astray(from, `its answer ${status} is a redirect without a usable location`, status);
    case 'forbidden':
      throw astray(from, `it redirects from https to plain http (${safeUrl(redirect.url)})`, status);
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

function astray(url: URL, why: string, httpStatus?: number): SourceError {
  return new SourceError('SourceInvalid', upstreamRetry, `${safeUrl(url)} cannot be used: ${why}`, { httpStatus });
}

/**
 * A file behind an HTTP URL. Law: the bytes are taken as served (no content coding is asked for), redirects are followed
 * here, one policy check each, and never from https to http; whatever is not a complete 200 is an error with a name.
 */
import { withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { EgressRefused } from '../lib/egress.ts';
import { retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { readBody } from './body.ts';
import { connectionError, SourceError, statusError, tooLong, upstreamRetry } from './errors.ts';
import type { Source, SourceLimits } from './source.ts';
import type { SourceResponse, SourceTransport } from './transport.ts';

const maxRedirects = 5;
/** From the request to the header of its answer, connecting included; each hop has its own. */
const firstByteMs = 30_000;
const requestHeaders = { 'accept-encoding': 'identity', 'user-agent': 'glance-operator', accept: '*/*' };

export interface HttpSourceOptions {
  url: string;
  transport: SourceTransport;
  clock: Clock;
  limits: SourceLimits;
  /** Governs the body as well as the opening. */
  signal: AbortSignal;
}

/** Resolves once the server has begun to send the file. Throws SourceError, EgressRefused, or the signal's reason. */
export async function openHttpSource(options: HttpSourceOptions): Promise<Source> {
  const { clock, limits, signal } = options;
  const { url, response } = await follow(options);
  const { header, status, body } = response;
  try {
    if (status !== 200) throw statusError(url, status, header('retry-after'));
    const size = announcedSize(header('content-length'));
    if (size === 0) throw new SourceError('EmptySource', upstreamRetry, `${safeUrl(url)} is an empty file`);
    if (size !== undefined && size > limits.maxBytes) throw tooLong(url, `announces ${size} bytes`, limits.maxBytes);
    return {
      url: url.href,
      size,
      etag: header('etag'),
      endIsCertain: size !== undefined || header('transfer-encoding') !== undefined,
      body: readBody({ body, url, size, clock, limits, signal }),
    };
  } catch (error) {
    body.destroy();
    throw error;
  }
}

/** Asks until an answer is no redirect. */
async function follow(options: HttpSourceOptions): Promise<{ url: URL; response: SourceResponse }> {
  let url = parseUrl(options.url);
  const visited = new Set<string>();
  for (;;) {
    if (visited.has(url.href)) throw astray(url, 'its redirects lead in a circle');
    if (visited.size > maxRedirects) throw astray(url, `more than ${maxRedirects} redirects led there`);
    visited.add(url.href);
    const response = await ask(url, options);
    if (![301, 302, 303, 307, 308].includes(response.status)) return { url, response };
    response.body.destroy();
    url = redirectTarget(url, response);
  }
}

async function ask(url: URL, { transport, clock, signal }: HttpSourceOptions): Promise<SourceResponse> {
  try {
    return await withDeadline(clock, 'the wait for its answer', firstByteMs, signal, (deadline) =>
      // The caller's signal goes along by itself, because it outlives the deadline: it has to end the body too.
      transport.get(url, requestHeaders, AbortSignal.any([signal, deadline])),
    );
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof EgressRefused ? error : connectionError(url, error);
  }
}

function redirectTarget(from: URL, response: SourceResponse): URL {
  const location = response.header('location');
  const target = location === undefined ? null : URL.parse(location, from.href);
  if (target === null)
    throw astray(from, `its answer ${response.status} is a redirect without a usable location`, response.status);
  if (from.protocol === 'https:' && target.protocol === 'http:')
    throw astray(from, `it redirects from https to plain http (${safeUrl(target)})`, response.status);
  target.hash = '';
  return parseUrl(target.href);
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  const invalid = (why: string) => new SourceError('SourceInvalid', retry.change, `${safeUrl(text)}: ${why}`);
  if (url === null) throw invalid('the source is not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw invalid('only https and http sources are read');
  if (url.username !== '' || url.password !== '')
    throw invalid('user and password in the URL of a source are not used');
  return url;
}

function astray(url: URL, why: string, httpStatus?: number): SourceError {
  return new SourceError('SourceInvalid', upstreamRetry, `${safeUrl(url)} cannot be used: ${why}`, { httpStatus });
}

function announcedSize(contentLength: string | undefined): number | undefined {
  if (contentLength === undefined || !/^\d+$/.test(contentLength)) return undefined;
  const size = Number(contentLength);
  return Number.isSafeInteger(size) ? size : undefined;
}

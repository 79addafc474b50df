/**
 * The check of a URL that Glance downloads by itself.
 *
 * Guarantees: a URL passes only if the operator itself might connect to its host, as far as the operator knows from the name and its
 * own DNS. Glance does not use the proxy of the operator. So that `WebDownload` brings nothing that this proxy rejects, the URL is
 * requested through it first, unless it is an exception, with a deadline and without its body. Only the proxy decides: what the
 * server responds is left to Glance.
 */
import { type EgressPolicy, EgressRefused } from '../http/egress.ts';
import { ProxyDenied } from '../http/proxy.ts';
import type { Trust } from '../http/trust.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { connectionError, SourceError, statusError } from './errors.ts';
import { createSourceTransport } from './transport.ts';

const deadlineMs = 10_000;
/** The server was reached. Glance has its own authorities and its own way to read a response. */
const leftToGlance: ReadonlySet<string> = new Set(['SourceUntrusted', 'SourceInvalid']);

/** Rejects with EgressRefused, ProxyDenied or SourceError, or with the error of DNS. */
export type URLCheck = (url: URL, signal: AbortSignal) => Promise<void>;

export function createURLCheck(policy: EgressPolicy, trust: Trust, clock: Clock): URLCheck {
  return async (url, signal) => {
    if (policy.proxy?.serves(url) !== true) return policy.check(url.hostname);
    const transport = createSourceTransport(policy, { trust, connectTimeoutMs: deadlineMs });
    try {
      const response = await withDeadline(clock, 'the wait for its response', deadlineMs, signal, (inner) =>
        transport.get(url, { range: 'bytes=0-0', 'accept-encoding': 'identity' }, inner),
      );
      response.body.destroy();
      const { forwarder, status } = response;
      if (forwarder !== undefined && status === 403) throw statusError(url, response, false);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof EgressRefused || error instanceof ProxyDenied || error instanceof SourceError) throw error;
      const failure = connectionError(url, error);
      if (!leftToGlance.has(failure.code)) throw failure;
    } finally {
      await transport.close();
    }
  };
}

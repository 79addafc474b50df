/**
 * The connections to sources. Law: the only module of this folder that imports undici; every connection passes the egress
 * policy, checks the certificate anew, speaks HTTP/1.1, serves one request and is closed after it.
 *
 * One request per connection costs a handshake per file, which is nothing beside an image, and means that no connection
 * made under an earlier answer of DNS is ever used again.
 */
import type { Readable } from 'node:stream';
import { Agent, buildConnector, request } from 'undici';
import { canonicalHost } from '../http/address-rules.ts';
import { type EgressPolicy, guardConnector } from '../http/egress.ts';
import { createTrust, type Trust, trustingConnector } from '../http/trust.ts';
import { readCertificates } from './certificate.ts';

/** TCP and TLS together. */
const connectTimeoutMs = 10_000;
/** Per origin. The transfers' own limits are lower; this bound is for the day when they are not. */
const maxConnections = 64;

export interface SourceResponse {
  status: number;
  /** The first value of a header; `name` in lower case. */
  header(name: string): string | undefined;
  /** Whether the server has a public address. False where that is not known, as behind a proxy. */
  isPublic: boolean;
  /** Must be read or destroyed. An error before that is kept, not thrown at the process. */
  body: Readable;
}

export interface SourceTransport {
  /** GET. Resolves at the header of the answer, whatever its status. The signal governs the body too. */
  get(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<SourceResponse>;
  /** Ends all connections, those in use too. */
  close(): Promise<void>;
}

export interface SourceTls {
  /**
   * Authorities to trust beside the usual ones, as PEM. Beside, not instead: a redirect or a mirror may lead from a private
   * server to a public one.
   */
  ca?: string | undefined;
  /** The certificates of the installation. Default: none. */
  trust?: Trust;
  /** Default: ten seconds. */
  connectTimeoutMs?: number;
}

/** Throws SecretInvalid when `ca` is given and holds no certificates. */
export function createSourceTransport(policy: EgressPolicy, tls: SourceTls = {}): SourceTransport {
  const { trust = createTrust(), connectTimeoutMs: timeout = connectTimeoutMs } = tls;
  const ca = tls.ca === undefined ? undefined : readCertificates(tls.ca).join('');
  /** Hosts whose last connection led to a public address. */
  const publicHosts = new Set<string>();
  const onPeer = (host: string, address: string) => {
    if (policy.isPublic(address)) publicHosts.add(canonicalHost(host));
    else publicHosts.delete(canonicalHost(host));
  };
  const connect = guardConnector(
    policy,
    ({ lookup }) =>
      trustingConnector(trust, { ca, replacesSystem: false }, (secureContext) =>
        buildConnector({
          ...(secureContext === undefined ? {} : { secureContext }),
          lookup,
          allowH2: false,
          timeout,
          // A session that is taken up again would bring the verdict on an earlier certificate with it.
          maxCachedSessions: 0,
        }),
      ),
    onPeer,
  );
  const agent = new Agent({
    connect,
    connections: maxConnections,
    pipelining: 0,
    // The deadlines of the answer and of the body are ours, by the injected clock.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async get(url, headers, signal) {
      const response = await request(url, { method: 'GET', headers, signal, dispatcher: agent });
      response.body.on('error', () => {});
      return {
        status: response.statusCode,
        header: (name) => {
          const value = response.headers[name];
          return typeof value === 'string' ? value : value?.[0];
        },
        isPublic: publicHosts.has(canonicalHost(url.hostname)),
        body: response.body,
      };
    },
    close: () => agent.destroy(),
  };
}

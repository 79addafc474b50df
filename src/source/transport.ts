/**
 * The connections to sources. It is the only module of this folder that imports undici.
 *
 * Guarantees: every connection passes the egress policy, verifies the certificate, uses HTTP/1.1, and is closed after its response,
 * except those of `keep`, which are closed by their user.
 *
 * One request per connection costs one handshake per file, which is little compared with an image, and means that no connection
 * outlives a change of DNS. A file that is read in many parts keeps its connections for them.
 */
import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { Agent, buildConnector, request } from 'undici';
import { canonicalHost } from '../http/address-rules.ts';
import { type EgressPolicy, guardConnector } from '../http/egress.ts';
import { receiving } from '../http/receive-buffers.ts';
import { pausedFrom } from '../http/small-pieces.ts';
import { createTrust, type Trust, trustingConnector } from '../http/trust.ts';
import { readCertificates } from './certificate.ts';

/** TCP and TLS together. */
const connectTimeoutMs = 10_000;
/** Per origin. A safety margin: the limits on transfers are lower. */
const maxConnections = 64;
/** Servers close idle connections after a few seconds. A request must not meet that. */
const idleMs = 1000;
/** Pieces up to this length in all, such as the records of TLS, are read together where they arrive together. */
const smallBytes = 64 * 1024;

export interface SourceResponse {
  status: number;
  /** The first value of a header; `name` in lower case. */
  header(name: string): string | undefined;
  /** Whether the server has a public address. False if that is unknown, as behind a proxy. */
  isPublic: boolean;
  /** The address of the server; undefined if a proxy connects to it. */
  peer?: string | undefined;
  /** Whether the installation names the host. Default: it does not. */
  isNamed?: boolean;
  /** The proxy that could have sent this response by itself, because it reads the request. */
  forwarder?: string | undefined;
  /** Must be read or destroyed. An earlier error is reported to the reader, not thrown at the process. */
  body: Readable;
}

/** `pipelined`: a request is sent while the response before arrives. `kept`: after it. `none`: by another connection. */
export type Reuse = 'pipelined' | 'kept' | 'none';

const pipelining: Readonly<Record<Reuse, number>> = { pipelined: 2, kept: 1, none: 0 };

export interface SourceTransport {
  /** GET. Resolves at the response header, for any status. The signal governs the body as well. */
  get(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<SourceResponse>;
  /** One connection to each server. Responses come in the order of the requests. Absent: connections cannot be kept. */
  keep?(reuse: Reuse): KeptConnection;
  /** Closes all connections, also those in use and those that are being made. */
  close(): Promise<void>;
}

export interface KeptConnection {
  get: SourceTransport['get'];
  /** How many responses the connection has sent that was made last. */
  readonly responses: number;
  /** Closes it, also while it is in use. */
  close(): void;
}

export interface SourceTls {
  /**
   * Authorities in PEM to trust in addition to those of the system: a redirect or a mirror may lead from a private server to a
   * public one.
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
  const closing = new AbortController();
  let trusted: buildConnector.connector | undefined;
  /** Connections of any number share certificates and receive buffers. */
  const trusting = (lookup: LookupFunction) => {
    trusted ??= trustingConnector(
      trust,
      { ca, replacesSystem: false },
      (secureContext) =>
        receiving((buffers) =>
          buildConnector({
            ...(secureContext === undefined ? {} : { secureContext }),
            ...buffers,
            lookup,
            allowH2: false,
            timeout,
            // A resumed TLS session would keep the result of an earlier certificate check.
            maxCachedSessions: 0,
          }),
        ),
      closing.signal,
    );
    return trusted;
  };

  function open(limits: { connections: number; pipelining: number }): KeptConnection & { ended(): Promise<void> } {
    /** The address of each host, as of its last connection. */
    const peers = new Map<string, string>();
    let responses = 0;
    const connect = guardConnector(policy, {
      make: ({ lookup }) => trusting(lookup),
      trust,
      connectTimeoutMs: timeout,
      closing: closing.signal,
      onPeer(host, address) {
        responses = 0;
        if (address === undefined) peers.delete(canonicalHost(host));
        else peers.set(canonicalHost(host), address);
      },
    });
    const agent = new Agent({
      connect,
      ...limits,
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: idleMs,
      // The deadlines for response and body use the injected clock instead.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const { proxy } = policy;
    const layers = [...(proxy === undefined ? [] : [proxy.forward]), pausedFrom(smallBytes)];
    const dispatcher = agent.compose(layers);
    return {
      async get(url, headers, signal) {
        // Nothing is read ahead: a read would ask for more before it takes what is there, and join both in new memory.
        const response = await request(url, { method: 'GET', headers, signal, dispatcher, highWaterMark: 0 });
        responses++;
        response.body.on('error', () => {});
        const peer = peers.get(canonicalHost(url.hostname));
        return {
          status: response.statusCode,
          header: (name) => {
            const value = response.headers[name];
            return typeof value === 'string' ? value : value?.[0];
          },
          forwarder: proxy?.forwarderOf(url),
          isPublic: peer !== undefined && policy.isPublic(peer),
          peer,
          isNamed: policy.isNamed(url.hostname),
          body: response.body,
        };
      },
      get responses() {
        return responses;
      },
      close: () => void agent.destroy(),
      ended: () => agent.destroy(),
    };
  }

  const single = open({ connections: maxConnections, pipelining: pipelining.none });
  const kept = new Set<ReturnType<typeof open>>();
  return {
    get: single.get,
    keep(reuse) {
      const connection = open({ connections: 1, pipelining: pipelining[reuse] });
      kept.add(connection);
      return connection;
    },
    async close() {
      await Promise.all([single, ...kept].map((each) => each.ended()));
      closing.abort();
    },
  };
}

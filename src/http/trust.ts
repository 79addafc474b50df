/**
 * The certificates that TLS trusts: those of the system, those of the installation, which may change at any time, and those of one
 * source or cloud.
 *
 * Guarantees: those of the installation are trusted everywhere, from the next connection after a change; a certificate that was
 * given is trusted as it is, whether it is a root, an intermediate authority or the server's own, as in Go and curl.
 */
import { hash } from 'node:crypto';
import { Socket } from 'node:net';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { buildConnector } from 'undici';
import { BoundedMap } from '../lib/bounded-map.ts';
import { describe } from '../lib/errors.ts';
import type { SecretString } from '../lib/secret.ts';
import { readPemCertificates } from './pem.ts';

/** The certificates of the installation. */
export interface Trust {
  /** Each as PEM. Another array whenever they have changed. */
  current(): readonly string[];
}

export interface ChangingTrust extends Trust {
  set(certificates: readonly string[]): void;
}

export function createTrust(): ChangingTrust {
  let certificates: readonly string[] = [];
  return {
    current: () => certificates,
    set(next) {
      certificates = next;
    },
  };
}

/** What a source or a cloud has in addition. */
export interface OwnTls {
  /** PEM, one or several certificates. */
  ca?: string | undefined;
  /** Whether `ca` replaces the certificates of the system. */
  replacesSystem: boolean;
  /** The client certificate and its key, as PEM. */
  client?: { cert: string; key: SecretString } | undefined;
}

type Connector = buildConnector.connector;

/**
 * A connector that uses the certificates of the moment. `make` builds one for a context; undefined stands for that of Node, which
 * trusts the system. A connector remembers TLS sessions, and with them the trust of their time, so a change makes another one.
 *
 * `closing` closes its connections, also those that are being made: a client closes only the ones that it has got.
 */
export function trustingConnector(
  trust: Trust,
  own: OwnTls,
  make: (secureContext: SecureContext | undefined) => Connector,
  closing: AbortSignal,
): Connector {
  let made: { certificates: readonly string[]; connect: Connector } | undefined;
  const connectorNow = () => {
    const certificates = trust.current();
    if (made?.certificates !== certificates) made = { certificates, connect: make(contextOf(certificates, own)) };
    return made.connect;
  };
  connectorNow();
  return (options, callback) => {
    // Connectors return their socket, unlike their types say.
    const socket: unknown = connectorNow()({ ...options, ...serverName(options) }, callback);
    if (socket instanceof Socket) closeWith(closing, socket);
  };
}

/** The option `signal` of a socket would listen for as long as the signal lives. */
function closeWith(closing: AbortSignal, socket: Socket): void {
  const close = () => void socket.destroy(new Error('the transport is closed'));
  closing.addEventListener('abort', close, { once: true });
  socket.once('close', () => closing.removeEventListener('abort', close));
  if (closing.aborted) close();
}

/** TLS has no final dot in the name of a server (RFC 6066, section 3): some servers reject it, or show another certificate. */
function serverName({ servername, hostname }: buildConnector.Options): { servername?: string } {
  const name = servername || hostname;
  return name.endsWith('.') ? { servername: name.replace(/\.+$/, '') } : {};
}

/**
 * A context takes several milliseconds, and with the certificates of the system more than a megabyte that the garbage collector does not
 * see. So connectors with the same certificates, and no client certificate, share one as long as any of them has it.
 */
const shared = new WeakMap<readonly string[], BoundedMap<string, WeakRef<SecureContext>>>();
const mostShared = 32;

function contextOf(installed: readonly string[], { ca, replacesSystem, client }: OwnTls): SecureContext | undefined {
  if (ca === undefined && client === undefined && installed.length === 0) return undefined;
  const make = () => {
    const system = ca !== undefined && replacesSystem ? [] : getCACertificates('default');
    return trusting([...system, ...installed, ...(ca === undefined ? [] : [ca])], client);
  };
  if (client !== undefined) return make();
  const contexts = shared.get(installed) ?? new BoundedMap(mostShared);
  const key = ca === undefined ? '' : `${replacesSystem} ${hash('sha256', ca)}`;
  const context = contexts.get(key)?.deref() ?? make();
  shared.set(installed, contexts.set(key, new WeakRef(context)));
  return context;
}

function trusting(ca: string[], client?: OwnTls['client']): SecureContext {
  return createSecureContext({
    ca,
    // Without it, only a self-signed certificate is trusted as it is.
    allowPartialTrustChain: true,
    ...(client === undefined ? {} : { cert: client.cert, key: client.key.reveal() }),
  });
}

/** Why TLS does not accept a client certificate, such as one with a short key; undefined if it does. */
export function clientProblem(client: NonNullable<OwnTls['client']>): string | undefined {
  try {
    trusting([], client);
    return undefined;
  } catch (error) {
    return describe(error);
  }
}

/** The certificates of a bundle, each as PEM. The error describes what is wrong with the text, and does not quote it. */
export function readBundle(pem: string): readonly string[] {
  const read = readPemCertificates(pem);
  switch (read.kind) {
    case 'certificates':
      return read.certificates.map(({ pem: certificate }) => certificate);
    case 'none':
      throw new Error('it contains no certificate in PEM form');
    case 'unreadable':
      throw new Error(`certificate ${read.number} of ${read.of} cannot be read`);
  }
}

/** Whether an error code of TLS says that the other side cannot be trusted, or speaks no TLS: it will not pass within seconds. */
export function isTlsProblem(code: string): boolean {
  return /CERT|ERR_TLS|ERR_SSL|UNABLE_TO_(?:GET|VERIFY)/.test(code);
}

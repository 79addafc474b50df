/**
 * A forward proxy that an installation names. A server behind https is reached through a tunnel (CONNECT), so that the proxy
 * sees its name and nothing else; a request to a server behind http goes to the proxy in absolute form.
 *
 * The agents for proxies that undici has make connections of their own, which would pass by the egress policy, and report the
 * status of a proxy only as text (https://github.com/nodejs/undici/issues/3897 is one more reason).
 *
 * Guarantees: user and password go to the proxy only, and are in no message; an error names the proxy.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { buildConnector, type Dispatcher } from 'undici';
import { describe, errorCode, OperatorError } from '../lib/errors.ts';
import { withHooks } from './handler.ts';
import { readExceptions } from './no-proxy.ts';
import { statusWithPhrase } from './node-http.ts';
import { isTlsProblem, type Trust, trustingConnector } from './trust.ts';
import { InvalidTunnelResponse, requestTunnel } from './tunnel.ts';

type Connector = buildConnector.connector;

/** Why a proxy cannot be used: it asks for a user and password, rejects the server, or has an untrusted certificate. */
export type ProxyProblem = 'credentials' | 'server' | 'certificate';

/** Plain data, so that it can be sent to another thread. */
export interface ProxyRules {
  /** `http://proxy.example.com:3128`, or https, without user and password. */
  url: string;
  /** The entries of NO_PROXY. */
  except: readonly string[];
  /** A file with `user:password`. It is read for each connection, so that a change applies at once. */
  credentialsFile?: string | undefined;
  /** The user's options, by the problem. It ends the message. */
  advice?: Readonly<Partial<Record<ProxyProblem, string>>>;
}

/**
 * The proxy does not let the connection through, or must not be trusted. Only a change of settings helps, here or there, and none
 * of them is in the resource.
 */
export class ProxyDenied extends OperatorError {
  constructor(message: string, advice: string | undefined, details: { cause?: unknown; httpStatus?: number } = {}) {
    const next = advice === undefined ? '' : `; ${advice}`;
    super(`${message}${next}`, { code: 'ProxyDenied', ...details });
  }
}

/** There is no connection through the proxy. Nothing was sent to the server behind it. */
export class ProxyUnreachable extends Error {
  readonly code = 'ProxyUnreachable';
}

/** A server as a connector or a URL names it. */
interface Server {
  protocol: string;
  hostname: string;
  port: string;
}

/** How connections to a proxy are made. */
export interface Connecting {
  /** For a proxy behind https. */
  trust: Trust;
  connectTimeoutMs: number;
  /** Ends those that are being made: a client closes only the ones that it has got. */
  closing: AbortSignal;
}

export interface ForwardProxy {
  /** Whether connections to this server go through the proxy. */
  serves(server: Server): boolean;
  /** For `Dispatcher.compose`: puts requests to the servers behind http into the form that the proxy expects. */
  readonly forward: Dispatcher.DispatcherComposeInterceptor;
  /** The name of the proxy, if requests to this server go through it in readable form: it can respond to them by itself. */
  forwarderOf(server: Server): string | undefined;
  /** The failure of TLS in a tunnel, with the name of the proxy, which may have sent what is not TLS. Its cause has the code. */
  inTunnel(error: Error): Error;
  /**
   * A function that opens the way to a server: a connection to the proxy, or a tunnel to a server behind https, in which TLS is still
   * to begin. It rejects with ProxyDenied or ProxyUnreachable.
   */
  opener(connecting: Connecting): (server: Server) => Promise<Socket>;
}

/**
 * What is wrong with the address of a proxy; undefined for one that can be used. It does not quote the text, which may contain a
 * password. `login`: where user and password belong.
 */
export function proxyProblem(text: string, login: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text)) return 'must be a URL such as http://proxy.example.com:3128';
  if (url.username !== '' || url.password !== '') return `must have no user and password: put them into ${login}`;
  return url.pathname === '/' && url.search === '' && url.hash === ''
    ? undefined
    : 'must have no path: http://proxy.example.com:3128';
}

/**
 * Throws a RangeError that names an exception that cannot be read. `login` returns `user:password` instead of a file; it is called
 * for each connection, and belongs to a program, which may return anything.
 */
export function createProxy(
  { url: address, except, credentialsFile, advice = {} }: ProxyRules,
  login?: () => string,
): ForwardProxy {
  const url = new URL(address);
  const name = url.origin;
  const isException = readExceptions(except);
  const serves = ({ protocol, hostname, port }: Server) => !isException(hostname, portOf(protocol, port));

  const readLogin = login ?? (credentialsFile === undefined ? undefined : () => credentialsIn(credentialsFile));
  const place = credentialsFile === undefined ? '' : ` from ${credentialsFile}`;

  /** The header that the proxy asks for. The file is one line on the file system of a Secret, in memory. */
  function authorization(): Record<string, string> {
    if (readLogin === undefined) return {};
    const login: unknown = readLogin();
    const line = typeof login === 'string' ? login.replace(/\r?\n$/, '') : '';
    if (!/^[^:\r\n]+:[^\r\n]*$/.test(line)) throw unusableCredentials('it is not one line of the form USER:PASSWORD');
    return { 'proxy-authorization': `Basic ${Buffer.from(line).toString('base64')}` };
  }

  function credentialsIn(file: string): string {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      throw unusableCredentials(describe(error));
    }
  }

  function unusableCredentials(why: string): ProxyDenied {
    const problem = `the user and password of the proxy ${name} cannot be read${place}: ${why}`;
    return new ProxyDenied(problem, undefined);
  }

  function refusal(status: number, request: string): ProxyDenied | ProxyUnreachable {
    const message = `the proxy ${name} responded with ${statusWithPhrase(status)} to ${request}`;
    // tinyproxy responds with 401, not 407, to wrong credentials.
    const problem = status === 407 || status === 401 ? 'credentials' : 'server';
    if (status >= 500) return new ProxyUnreachable(`${message}: it does not reach that server`);
    if (status === 408 || status === 429) return new ProxyUnreachable(message);
    return new ProxyDenied(message, advice[problem], {
      httpStatus: status,
    });
  }

  function connectionFailure(error: unknown): ProxyDenied | ProxyUnreachable {
    if (error instanceof ProxyDenied || error instanceof ProxyUnreachable) return error;
    const code = errorCode(error) ?? '';
    if (isTlsProblem(code)) {
      const message = `the certificate of the proxy ${name} is not trusted: ${describe(error)} (${code})`;
      return new ProxyDenied(message, advice.certificate, { cause: error });
    }
    const problem = error instanceof InvalidTunnelResponse ? 'sent an invalid response' : 'does not respond';
    return new ProxyUnreachable(`the proxy ${name} ${problem}: ${describe(error)}`, { cause: error });
  }

  function opener({ trust, connectTimeoutMs, closing }: Connecting): (server: Server) => Promise<Socket> {
    const make = trustingConnector(
      trust,
      { replacesSystem: false },
      (secureContext) =>
        buildConnector({
          ...(secureContext === undefined ? {} : { secureContext }),
          allowH2: false,
          timeout: connectTimeoutMs,
          maxCachedSessions: 0,
        }),
      closing,
    );
    const { host, protocol, port } = url;
    const proxy = { host, protocol, port, hostname: url.hostname.replace(/^\[(.*)\]$/, '$1') };
    return async ({ protocol: scheme, hostname, port: serverPort }) => {
      const isTunnel = scheme === 'https:';
      const headers = isTunnel ? authorization() : {};
      const path = authority(hostname, portOf(scheme, serverPort));
      const { promise, resolve, reject } = Promise.withResolvers<Socket>();
      make(proxy, (...[error, socket]) => (error === null ? resolve(socket) : reject(error)));
      try {
        const socket = await promise;
        if (!isTunnel) return socket;
        // The proxy has its own time to connect to the server.
        const status = await requestTunnel(socket, { authority: path, headers, timeoutMs: 2 * connectTimeoutMs });
        if (status >= 200 && status < 300) return socket;
        socket.on('error', () => {}).destroy();
        throw refusal(status, `CONNECT ${path}`);
      } catch (error) {
        throw connectionFailure(error);
      }
    };
  }

  const forwarderOf = (server: Server) => (server.protocol === 'http:' && serves(server) ? name : undefined);

  const forward: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
    const origin = options.origin === undefined ? null : URL.parse(String(options.origin));
    if (origin === null || forwarderOf(origin) === undefined) return dispatch(options, handler);
    const path = `${origin.origin}${options.path}`;
    const onHead = (status: number) => {
      if (status === 407) throw refusal(status, `${options.method} ${origin.origin}`);
    };
    const headers = { ...recordOf(options.headers), ...authorization() };
    return dispatch({ ...options, path, headers }, withHooks(handler, { onHead }));
  };

  const inTunnel = (error: Error) =>
    new Error(`${describe(error)} (in the tunnel that the proxy ${name} opened)`, { cause: error });

  return { serves, forward, forwarderOf, inTunnel, opener };
}

/** For a message about a response: that it may come from `forwarder`. */
export function orForwarder(forwarder: string | undefined): string {
  return forwarder === undefined ? '' : ` (or the proxy ${forwarder} responded, through which the request went)`;
}

function authority(hostname: string, port: number): string {
  return `${hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname}:${port}`;
}

function portOf(protocol: string, port: string): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

/** Continues a connection that a proxy has opened: TLS with the server begins in a tunnel. */
export function connectThrough(
  socket: Socket,
  connect: Connector,
  server: buildConnector.Options,
  callback: buildConnector.Callback,
  proxy: ForwardProxy,
): void {
  const secured: buildConnector.Callback = (...[error, inside]) => {
    if (error === null) callback(null, inside);
    else callback(proxy.inTunnel(error), null);
  };
  if (server.protocol === 'https:') connect({ ...server, httpSocket: socket }, secured);
  else callback(null, socket);
}

/** A connector by way of a proxy, without checks of where it leads. `connect` is for its exceptions, and for TLS in a tunnel. */
export function proxyConnector(proxy: ForwardProxy, connect: Connector, connecting: Connecting): Connector {
  const open = proxy.opener(connecting);
  return (server, callback) => {
    if (!proxy.serves(server)) return connect(server, callback);
    open(server).then(
      (socket) => connectThrough(socket, connect, server, callback, proxy),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
}

type Headers = NonNullable<Dispatcher.DispatchOptions['headers']>;

function recordOf(headers: Headers | null | undefined) {
  if (headers === null || headers === undefined) return {};
  if (Symbol.iterator in headers) throw new TypeError('the headers of a request are expected as a record');
  return headers;
}

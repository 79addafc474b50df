/**
 * Makes an image service from a clouds.yaml in one step.
 *
 * Guarantees: closing it closes everything that it opened. It reads no environment variable and no file.
 */

import { InvalidRequest } from '../glance/errors.ts';
import { readPemCertificates } from '../http/pem.ts';
import { createProxy, type ForwardProxy, proxyProblem } from '../http/proxy.ts';
import { createTrust, type Trust } from '../http/trust.ts';
import { systemClock } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import { serviceRoot } from '../openstack/catalog.ts';
import type { CloudConfig, CloudFiles } from '../openstack/clouds.ts';
import { SessionClosed } from '../openstack/errors.ts';
import { createSessionPool, openSession } from '../openstack/pool.ts';
import type { Session } from '../openstack/session.ts';
import type { Requester } from './availability.ts';
import { checkConnectOptions, checkEndpoint } from './check.ts';
import { createLifetime, type Lifetime } from './lifetime.ts';
import type { OpenImageService } from './remote.ts';
import { createImageService, type ImageServiceOptions } from './service.ts';

/** A forward proxy, as programs know it from HTTPS_PROXY and NO_PROXY. Without this option there is none. */
export interface ProxyOptions {
  /** `http://proxy.example.com:3128`, or https, without user and password. */
  url: string;
  /** `user:password`. A function is called for each connection, so that it can return new ones. */
  credentials?: string | (() => string);
  /** What is reached without the proxy, in the grammar of NO_PROXY: `example.com`, `.example.com`, `10.0.0.0/8`, `*`. */
  except?: readonly string[];
  /**
   * Authorities in PEM to trust in addition, for the proxy and for all servers behind it: for a proxy behind https with an authority of
   * its own, or one that opens TLS.
   */
  ca?: string;
}

export interface ConnectOptions extends Omit<CloudFiles, 'serviceAccount'>, Omit<ImageServiceOptions, 'privileged'> {
  /** The entry under `clouds` of clouds.yaml. */
  cloud: string;
  /** Instead of the one in clouds.yaml. */
  region?: string;
  /**
   * The number of retries of a call: without a response, after 503, and where it can do no harm after 429, 502 and 504.
   * Default: from clouds.yaml, otherwise 3.
   */
  retries?: number;
  /**
   * Image services beyond those of the cloud to which `at` may send its token, such as `https://example.com/image`. Default:
   * none, so that a token goes only to endpoints of the cloud that issued it.
   */
  trustedEndpoints?: readonly string[];
  /** The entry of a user with the `service` role, for reading and adding locations. */
  privilegedCloud?: string;
  /** The proxy to all servers of the cloud, and to those of `at`. Default: none. */
  proxy?: ProxyOptions;
}

export interface ConnectedImageService extends OpenImageService {
  /**
   * A service with the same credentials that calls one endpoint only: `https://example.com/image`. Where that is neither an
   * endpoint of the cloud nor trusted, each call throws ForeignEndpoint and sends nothing to it. Throws InvalidRequest for
   * what is no URL.
   */
  at(endpoint: string): OpenImageService;
}

/**
 * Reads no file and makes no call: the first call of the service signs in. Throws ConfigurationError for a clouds.yaml that
 * cannot be used, and InvalidRequest for another option that cannot.
 */
export function connectImageService(options: ConnectOptions): ConnectedImageService {
  checkConnectOptions(options);
  const { cloud: name, region, retries, privilegedCloud, trustedEndpoints = [], proxy, ...rest } = options;
  const { cloudsYaml, secureYaml, cacert, cert, key, ...serviceOptions } = rest;
  const files = { cloudsYaml, secureYaml, cacert, cert, key };
  const trusted = new Set(trustedEndpoints.map(serviceRoot));
  const common = { region, retries };
  const way = proxy === undefined ? {} : wayBy(proxy);
  const sessions = createSessionPool({
    clock: systemClock,
    open: (config) => openSession(config, { clock: systemClock, random: Math.random, ...way }),
    attach: () => undefined,
    idleMs: 0,
  });
  const { session } = sessions.use(files, { name, ...common });
  const privileged =
    privilegedCloud === undefined
      ? {}
      : { privileged: sessions.use(files, { name: privilegedCloud, ...common }).session };
  const ours = { requester: requesterOf(session.cloud), ...serviceOptions };
  const lifetimes = new Set<Lifetime>();
  /** Its end is that of all others. */
  const whole = createLifetime(systemClock);

  /** Its service, and how to close it, with what else closes then. */
  function opened(
    forSession: Session,
    options: ImageServiceOptions,
    closeMore: () => Promise<void>,
    lifetime = createLifetime(systemClock),
  ): OpenImageService {
    lifetimes.add(lifetime);
    const close = async () => {
      await lifetime.end(closedError());
      lifetimes.delete(lifetime);
      await closeMore();
    };
    return { ...createImageService(forSession, options, lifetime), close, [Symbol.asyncDispose]: close };
  }

  const closedError = () => new SessionClosed(`the image service of cloud ${name} is closed`);
  const closeAll = async () => {
    await Promise.all([...lifetimes].map((lifetime) => lifetime.end(closedError())));
    await sessions.close();
  };

  return {
    ...opened(session, { ...ours, ...privileged }, closeAll, whole),
    at(endpoint) {
      checkEndpoint(endpoint);
      whole.signal.throwIfAborted();
      const trustEndpoint = trusted.has(serviceRoot(endpoint));
      const there = sessions.use(files, { name, ...common, endpoint, trustEndpoint });
      // Another server must not choose files of this machine.
      return opened(there.session, { ...ours, fileDirectories: [] }, there.release);
    },
  };
}

function wayBy(given: ProxyOptions): { proxy: ForwardProxy; trust: Trust } {
  const { url, credentials, except = [], ca } = given;
  const problem = proxyProblem(url, 'credentials');
  if (problem !== undefined) throw new InvalidRequest(`proxy.url: ${problem}`);
  const trust = createTrust();
  if (ca !== undefined) {
    const read = readPemCertificates(ca);
    if (read.kind !== 'certificates') throw new InvalidRequest('proxy.ca: expected certificates in PEM');
    trust.set(read.certificates.map(({ pem }) => pem));
  }
  const login = typeof credentials === 'string' ? () => credentials : credentials;
  try {
    return { proxy: createProxy({ url, except }, login), trust };
  } catch (error) {
    throw new InvalidRequest(`proxy.except: ${describe(error)}`);
  }
}

/** A cloud that asks for nothing leaves the decision to us. */
function requesterOf({ access, projectId }: CloudConfig): Requester {
  return { token: access.kind !== 'none', ...(projectId === undefined ? {} : { projectId }) };
}

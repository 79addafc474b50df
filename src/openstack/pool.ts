/**
 * Open sessions with clouds. Callers with equal credentials for the same cloud share one session, with its token, its
 * connections and what is kept with it, such as a client. An unused session is closed after a while.
 *
 * Guarantees: at most one session is open for equal credentials; the pool never closes a session that is in use, except when
 * the pool itself is closed; secrets are forgotten with the session.
 */

import type { EgressPolicy } from '../http/egress.ts';
import type { MayWrite } from '../http/fence.ts';
import type { ForwardProxy } from '../http/proxy.ts';
import type { Trust } from '../http/trust.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { valueHash } from '../lib/hash.ts';
import { userAgent } from '../lib/version.ts';
import { type CloudConfig, type CloudFiles, parseCloud } from './clouds.ts';
import { SessionClosed } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { RetryPolicy } from './retry.ts';
import type { ServiceAccountTokens } from './service-account.ts';
import type { ServiceConfig } from './services.ts';
import { createSession, type Session } from './session.ts';
import { createTransport } from './transport.ts';

/** Which cloud of a clouds.yaml, and how to use it. */
export interface CloudSelection {
  /** The entry under `clouds`. */
  name: string;
  /** Overrides the region in clouds.yaml. */
  region?: string | undefined;
  /** The one image endpoint to call: `https://example.com/image`. Default: those that the cloud prefers. */
  endpoint?: string | undefined;
  /** Whether the token may go to `endpoint` although it is no endpoint of the cloud. Default: false. */
  trustEndpoint?: boolean;
  /** How often a call is retried. Overrides clouds.yaml. */
  retries?: number | undefined;
}

/** A session in use. Release it after the last call. */
export interface PooledSession<T> extends Disposable {
  /** Identifies the session within its pool. */
  readonly key: string;
  readonly session: Session;
  /** What is kept with the session. */
  readonly attached: T;
  /** Resolves at once, or when the session is closed if that happens now. */
  release(): Promise<void>;
}

export interface SessionPool<T> {
  /** Opens a session, or returns the open one. Throws ConfigurationError. */
  use(files: CloudFiles, cloud: CloudSelection): PooledSession<T>;
  /** Returns the session with this key if it is still open. */
  reuse(key: string): PooledSession<T> | undefined;
  /** Number of open sessions. */
  readonly size: number;
  /** Closes all sessions and cancels their calls. */
  close(): Promise<void>;
}

export interface SessionPoolOptions<T> {
  clock: Clock;
  open: (cloud: CloudConfig) => Session;
  /** Creates what is kept with a new session. */
  attach: (session: Session) => T;
  /** Called before the session is closed. */
  detach?: (attached: T) => void;
  /** How long an unused session stays open. 0 closes it on release. */
  idleMs: number;
  /** Above this number the session that has been unused for the longest time is closed. */
  maxOpen?: number;
}

interface Entry<T> {
  readonly session: Session;
  readonly attached: T;
  users: number;
  cancelIdleTimer: () => void;
}

const defaultMaxOpen = 1000;

export function createSessionPool<T>(options: SessionPoolOptions<T>): SessionPool<T> {
  const { clock, open, attach, detach = () => {}, idleMs, maxOpen = defaultMaxOpen } = options;
  /** The entries that were released last are at the end. */
  const entries = new Map<string, Entry<T>>();
  const closing = new Set<Promise<void>>();
  let closed = false;

  async function end(key: string, { session, attached, cancelIdleTimer }: Entry<T>): Promise<void> {
    cancelIdleTimer();
    entries.delete(key);
    detach(attached);
    const done = session.close();
    closing.add(done);
    try {
      await done;
    } finally {
      closing.delete(done);
    }
  }

  function makeRoom(): void {
    for (const [key, entry] of entries) {
      if (entries.size <= maxOpen) return;
      if (entry.users === 0) void end(key, entry);
    }
  }

  async function release(key: string, entry: Entry<T>): Promise<void> {
    entry.users--;
    if (entry.users > 0 || entries.get(key) !== entry) return;
    if (idleMs === 0) return end(key, entry);
    entries.delete(key);
    entries.set(key, entry);
    entry.cancelIdleTimer = clock.schedule(idleMs, () => void end(key, entry));
    makeRoom();
  }

  function inUse(key: string, entry: Entry<T>): PooledSession<T> {
    entry.cancelIdleTimer();
    entry.users++;
    makeRoom();
    let released: Promise<void> | undefined;
    const releaseOnce = () => {
      released ??= release(key, entry);
      return released;
    };
    const { session, attached } = entry;
    return { key, session, attached, release: releaseOnce, [Symbol.dispose]: () => void releaseOnce() };
  }

  function add(key: string, config: CloudConfig): Entry<T> {
    const session = open(config);
    const entry: Entry<T> = { session, attached: attach(session), users: 0, cancelIdleTimer: () => {} };
    entries.set(key, entry);
    return entry;
  }

  return {
    use(files, cloud) {
      if (closed) throw new SessionClosed('the sessions with clouds are closed');
      const key = keyOf(files, cloud);
      return inUse(key, entries.get(key) ?? add(key, configOf(files, cloud)));
    },
    reuse(key) {
      const entry = entries.get(key);
      return entry && inUse(key, entry);
    },
    get size() {
      return entries.size;
    },
    async close() {
      closed = true;
      await Promise.all([...[...entries].map(([key, entry]) => end(key, entry)), ...closing]);
    },
  };
}

function keyOf(files: CloudFiles, { name, region, endpoint, trustEndpoint, retries }: CloudSelection): string {
  const { cloudsYaml, secureYaml, cacert, cert, key, serviceAccount } = files;
  const account = serviceAccount && [serviceAccount.namespace, serviceAccount.uid, serviceAccount.keystone];
  const texts = [cloudsYaml, secureYaml, cacert, cert, key];
  return valueHash([...texts, account, name, region, endpoint, trustEndpoint, retries]);
}

function configOf(files: CloudFiles, cloud: CloudSelection): CloudConfig {
  const { name, region, endpoint, trustEndpoint = false, retries } = cloud;
  const parsed = parseCloud(files, name, region);
  const config = { ...parsed, retries: retries ?? parsed.retries };
  if (endpoint === undefined) return config;
  const where = trustEndpoint ? { override: [endpoint] as const } : { only: endpoint };
  const image: ServiceConfig = { ...config.services.image, ...where };
  return { ...config, services: { ...config.services, image } };
}

export interface Connection {
  clock: Clock;
  random: Random;
  /** Where connections may lead. Default: everywhere. */
  egress?: EgressPolicy;
  /** The proxy to the cloud, where no egress policy has one. */
  proxy?: ForwardProxy;
  /** The certificates of the installation. Default: none. */
  trust?: Trust;
  /** Whether this process may write. Default: always. */
  mayWrite?: MayWrite;
  /** Called once for each request that is sent. */
  observe?: (exchange: Exchange) => void;
  policy?: RetryPolicy;
  /** Default: there are no ServiceAccounts. */
  serviceAccountTokens?: ServiceAccountTokens | undefined;
}

/** Opens a session with connections of its own. Makes no call. */
export function openSession(cloud: CloudConfig, connection: Connection): Session {
  const { policy, random, serviceAccountTokens, ...options } = connection;
  const transport = createTransport({ tls: cloud.tls, userAgent, ...options });
  const common = { cloud, transport, serviceAccountTokens, clock: options.clock, random };
  return createSession({ ...common, ...(policy === undefined ? {} : { policy }) });
}

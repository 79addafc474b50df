/**
 * The egress policy: which hosts and addresses a URL from outside may lead to. A rule that denies wins over a rule that
 * allows, which wins over the defaults. The defaults block addresses that are local to this process, its node or its link,
 * metadata services included, in every spelling, and what belongs to the cluster: names of Services and `clusterNetworks`.
 * Where `privateNetworks` is `blocked`, they also block private networks and names of one label.
 *
 * Guarantees: a connection is made only if the requested name, every address that it resolves to and the peer's address are
 * all allowed; one blocked address among allowed ones blocks the connection. A name is resolved once per connection and
 * only the checked addresses are tried, so a DNS response that changes between check and connection (rebinding) has no effect.
 * The address of a denied name is denied too, under every other name and as itself. Behind a proxy, which resolves names itself,
 * the name and the addresses that it has here are allowed; the proxy must enforce the rest.
 */
import type { LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import type { buildConnector } from 'undici';
import { type Clock, systemClock } from '../lib/clock.ts';
import { OperatorError } from '../lib/errors.ts';
import {
  canonicalHost,
  createSpellings,
  isLoopback,
  isPublicAddress,
  localNames,
  localNetworks,
  privateNetworks,
  ruleSet,
} from './address-rules.ts';
import { type Connecting, connectThrough, createProxy, type ForwardProxy, type ProxyRules } from './proxy.ts';
import { createResolve, type Resolve } from './resolve-host.ts';

type Connector = buildConnector.connector;

/** Why a connection was rejected: a rule denies it, the defaults block it, or the address cannot be parsed. */
export type RefusalCause = 'denied' | 'default' | 'unreadable';

export interface Refusal {
  cause: RefusalCause;
  /** As the URL names it. */
  host: string;
  /** The host and, where they differ, its address, as messages show them. */
  shown: string;
  /** What is wrong with it, as the end of a sentence. */
  problem: string;
}

export class EgressRefused extends OperatorError {
  readonly host: string;
  readonly refusal: RefusalCause;

  constructor({ cause, host, shown, problem }: Refusal, advice?: string) {
    const next = advice === undefined ? '' : `; ${advice.replaceAll('{host}', host)}`;
    const message = `the egress policy does not allow this connection: ${shown} ${problem}${next}`;
    super(message, { code: 'EgressRefused' });
    this.host = host;
    this.refusal = cause;
  }
}

/** Plain data, so that it can be sent to another thread. */
export interface EgressRules {
  /**
   * Hosts (`mirror.example.com`, `*.example.com`), addresses and CIDRs (`10.0.0.0/8`) that the defaults would block. A
   * namespace (`openstack.svc`) stands for its Services, and opens the networks of the cluster and private ones to them.
   */
  allow: readonly string[];
  /** Hosts, addresses and CIDRs that are always blocked. */
  deny: readonly string[];
  /** Whether private networks and names of one label need a rule. Default: blocked. */
  privateNetworks?: 'open' | 'blocked';
  /** CIDRs of the Services, Pods and nodes of the cluster. */
  clusterNetworks?: readonly string[];
  /** Prefixes by which this network reaches IPv4, in addition to `64:ff9b::/96`. */
  nat64Prefixes?: readonly string[];
  /** The proxy that leads to these hosts. It resolves their names itself. Default: none. */
  proxy?: ProxyRules;
  /** The user's options after a rejection, by its cause. It ends the message; `{host}` stands for the host. */
  advice?: Readonly<Partial<Record<RefusalCause, string>>>;
}

/** One of two: sources are named by every user of the cluster, clouds usually are in private networks. */
export interface EgressPair<T> {
  sources: T;
  clouds: T;
}

export interface EgressPolicy {
  /** Throws EgressRefused for a host that is blocked by its name, or that is a blocked address in any spelling. */
  checkHost(host: string): void;
  /** Throws EgressRefused if `address`, reached by the name `host`, is blocked. */
  checkAddress(host: string, address: string): void;
  /** For `net.connect`: resolves every address of a name, and fails with EgressRefused if any of them is blocked. */
  lookup: LookupFunction;
  /** Resolves the denied names, at most once a minute. To be awaited before a check. */
  refresh(): Promise<void>;
  /** Whether anyone on the Internet could reach the address, so that what it serves is no secret of this network. */
  isPublic(address: string): boolean;
  /** Whether a rule names the host, so that the installation vouches for what its name resolves to. */
  isNamed(host: string): boolean;
  /** The proxy between here and the hosts. */
  readonly proxy: ForwardProxy | undefined;
  /** All checks that need no connection. Rejects with EgressRefused, or with the error of DNS. */
  check(host: string): Promise<void>;
  /**
   * As `check`, for a connection that a proxy makes: names that only the proxy can resolve are checked as names. Rejects with
   * EgressRefused.
   */
  checkBehindProxy(host: string): Promise<void>;
}

const refreshMs = 60_000;

/** Throws a RangeError that names the rule if a rule is neither a host nor an address nor a CIDR. */
export function createEgressPolicy(
  rules: EgressRules,
  resolve: Resolve = createResolve(),
  clock: Pick<Clock, 'monotonic'> = systemClock,
): EgressPolicy {
  const isOpen = rules.privateNetworks === 'open';
  const allowed = ruleSet(rules.allow);
  const denied = ruleSet(rules.deny);
  const spellings = createSpellings(rules.nat64Prefixes ?? []);
  const named = (networks: Readonly<Record<string, readonly string[]>>) =>
    Object.entries(networks).map(([what, ranges]) => ({ what, set: ruleSet(ranges) }));
  const local = named(localNetworks);
  const namesOfLocal = named(localNames);
  /** A rule for a namespace opens these. */
  const near = named({
    'in a network of this cluster': rules.clusterNetworks ?? [],
    ...(isOpen ? {} : { 'in a private network': privateNetworks }),
  });
  /** The addresses of the denied names, as of the last refresh. */
  let deniedNames: readonly { host: string; addresses: readonly string[] }[] = [];
  let deniedAddresses = ruleSet([]);
  let refreshed: { at: number; done: Promise<void> } | undefined;

  const refused = (refusal: Refusal) => new EgressRefused(refusal, rules.advice?.[refusal.cause]);
  const isDenied = (name: string) => denied.hasHost(name) || denied.hasService(name);

  function checkHost(host: string): void {
    const name = canonicalHost(host);
    if (isIP(name) !== 0) checkAddress(host, name);
    else if (isDenied(name)) throw refused({ cause: 'denied', host: name, shown: host, problem: 'is denied' });
  }

  function checkAddress(host: string, address: string): void {
    const name = canonicalHost(host);
    const shown = name === address ? address : `${host} (${address})`;
    const refusal = (cause: RefusalCause, problem: string) => refused({ cause, host: name, shown, problem });
    // An address with a zone (`fe80::1%eth0`) is checked without it.
    const forms = spellings(address.split('%', 1)[0] ?? '');
    // An address that cannot be parsed is in no range, and must not pass for that reason.
    if (forms.some((form) => isIP(form) === 0)) throw refusal('unreadable', 'is not an address');
    if (isDenied(name) || forms.some(denied.hasAddress)) throw refusal('denied', 'is denied');
    if (forms.some(deniedAddresses.hasAddress)) throw refusal('denied', 'is the address of a host that is denied');
    if (allowed.hasHost(name) || forms.some(allowed.hasAddress)) return;
    const here = local.find(({ set }) => forms.some(set.hasAddress));
    if (here !== undefined) throw refusal('default', `is ${here.what}`);
    if (allowed.hasService(name)) return;
    const problem = nameProblem(name);
    if (problem !== undefined) throw refusal('default', problem);
    const network = near.find(({ set }) => forms.some(set.hasAddress));
    if (network !== undefined) throw refusal('default', `is ${network.what}`);
  }

  /** What is wrong with a name that no rule allows, whatever it resolves to. */
  function nameProblem(name: string): string | undefined {
    if (isIP(name) !== 0) return undefined;
    const here = namesOfLocal.find(({ set }) => set.hasHost(name));
    if (here !== undefined) return `is ${here.what}`;
    if (/(?:^|\.)(?:svc|cluster\.local)$/.test(name)) return 'is a name in this cluster';
    return isOpen || name.includes('.') ? undefined : 'is a name of the local network';
  }

  function resolved(host: string, addresses: readonly LookupAddress[]): void {
    const name = canonicalHost(host);
    const problem = nameProblem(name);
    if (addresses.length === 0 && problem !== undefined && !allowed.hasHost(name) && !allowed.hasService(name))
      throw refused({ cause: 'default', host: name, shown: host, problem });
    for (const { address } of addresses) checkAddress(host, address);
  }

  const lookup: LookupFunction = (host, lookupOptions, callback) => {
    resolve(host, { ...lookupOptions, all: true }, (error, addresses) => {
      const failure = failureOf(() => resolved(host, error === null ? addresses : [])) ?? error;
      if (failure !== null) return callback(failure, '', 0);
      const [first] = addresses;
      // Node assumes that the list is not empty, and would throw an error that nothing catches.
      if (first === undefined) callback(new Error(`${host} has no address`), '', 0);
      else if (lookupOptions.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };

  async function resolveDenied(): Promise<void> {
    const names = await Promise.all(
      denied.hosts.map(async (host) => {
        const found = await addressesOf(host, resolve);
        // While DNS fails, the last addresses hold.
        const before = deniedNames.find((name) => name.host === host)?.addresses ?? [];
        return { host, addresses: found ?? before };
      }),
    );
    deniedNames = names;
    deniedAddresses = ruleSet(names.flatMap(({ addresses }) => addresses));
  }

  function refresh(): Promise<void> {
    if (denied.hosts.length === 0) return Promise.resolve();
    const now = clock.monotonic();
    if (refreshed === undefined || now - refreshed.at >= refreshMs) refreshed = { at: now, done: resolveDenied() };
    return refreshed.done;
  }

  async function check(host: string): Promise<void> {
    await refresh();
    checkHost(host);
    const name = canonicalHost(host);
    if (isIP(name) !== 0) return;
    const { promise, resolve: done, reject } = Promise.withResolvers<void>();
    lookup(name, { all: true }, (error) => (error === null ? done() : reject(error)));
    await promise;
  }

  async function checkBehindProxy(host: string): Promise<void> {
    try {
      await check(host);
    } catch (error) {
      if (error instanceof EgressRefused) throw error;
    }
  }

  function isPublic(address: string): boolean {
    const forms = spellings(address);
    return forms.every(isPublicAddress) && !near.some(({ set }) => forms.some(set.hasAddress));
  }

  const isNamed = (host: string) => allowed.hasHost(canonicalHost(host));

  const proxy = rules.proxy === undefined ? undefined : createProxy(rules.proxy);

  return { checkHost, checkAddress, lookup, refresh, isPublic, isNamed, proxy, check, checkBehindProxy };
}

/**
 * Of a denied name; undefined if DNS fails. Without those of loopback: DNS servers give them for names that they block, and in
 * development the API server has one.
 */
function addressesOf(host: string, resolve: Resolve): Promise<readonly string[] | undefined> {
  return new Promise((done) => {
    resolve(host, { all: true }, (error, addresses) => {
      const isUnknown = error !== null && 'code' in error && error.code === 'ENOTFOUND';
      if (error !== null) return done(isUnknown ? [] : undefined);
      done(addresses.map(({ address }) => address).filter((address) => isIP(address) !== 0 && !isLoopback(address)));
    });
  });
}

/** Those of the connection to a proxy, which gets none of the certificates of a single source or cloud. */
export interface GuardOptions extends Connecting {
  /** Builds the connector to a server. It must pass `lookup` on to it. */
  make: (options: { lookup: LookupFunction }) => Connector;
  /** Gets the address of each peer; undefined if a proxy connects to it. */
  onPeer?: (host: string, address: string | undefined) => void;
}

/**
 * The connector that all connections to sources and clouds go through. The name is checked before connecting, every resolved
 * address meanwhile, and the peer's address before a request is sent. Where a proxy leads to the host, the name and its addresses
 * are checked before a byte goes to the proxy; the address of the proxy is not checked, because the installation names it.
 */
export function guardConnector(policy: EgressPolicy, options: GuardOptions): Connector {
  const { make, onPeer = () => {} } = options;
  const connect = make({ lookup: policy.lookup });
  const { proxy } = policy;
  if (proxy === undefined) return connectDirectly;
  const open = proxy.opener(options);
  return (server, callback) =>
    void (proxy.serves(server) ? connectBy(proxy, open, server, callback) : connectDirectly(server, callback));

  async function connectDirectly(server: buildConnector.Options, callback: buildConnector.Callback): Promise<void> {
    await policy.refresh();
    const failure = failureOf(() => policy.checkHost(server.hostname));
    if (failure !== undefined) return callback(failure, null);
    connect(server, (...result) => {
      const [error, socket] = result;
      if (error !== null) return callback(error, null);
      const peer = socket.remoteAddress;
      const late = failureOf(() => {
        if (peer === undefined) throw new Error(`the connection to ${server.hostname} was closed at once`);
        policy.checkAddress(server.hostname, peer);
        onPeer(server.hostname, peer);
      });
      if (late === undefined) return callback(null, socket);
      socket.destroy();
      callback(late, null);
    });
  }

  async function connectBy(
    through: ForwardProxy,
    open: ReturnType<ForwardProxy['opener']>,
    server: buildConnector.Options,
    callback: buildConnector.Callback,
  ): Promise<void> {
    const opened = await policy
      .checkBehindProxy(server.hostname)
      .then(() => open(server))
      .catch(asError);
    if (opened instanceof Error) return callback(opened, null);
    onPeer(server.hostname, undefined);
    connectThrough(opened, connect, server, callback, through);
  }
}

function failureOf(check: () => void): Error | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return asError(error);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

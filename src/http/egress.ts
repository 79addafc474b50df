/**
 * The egress policy: which hosts and addresses a URL from outside may lead to. A rule that denies wins over a rule that
 * allows, which wins over the defaults. The defaults block addresses that are local to this process, its node or its link,
 * metadata services included, in every spelling. Private networks stay open, because OpenStack clouds run there.
 *
 * Guarantees: a connection is made only if the requested name, every address that it resolves to and the peer's address are
 * all allowed; one blocked address among allowed ones blocks the connection. A name is resolved once per connection and
 * only the checked addresses are tried, so a DNS response that changes between check and connection (rebinding) has no effect.
 */
import { type LookupAddress, type LookupOptions, lookup as nodeLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import type { buildConnector } from 'undici';
import { OperatorError, retry } from '../lib/errors.ts';

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
    super(message, { code: 'EgressRefused', retry: retry.change });
    this.host = host;
    this.refusal = cause;
  }
}

/** Plain data, so that it can be sent to another thread. */
export interface EgressRules {
  /**
   * Hosts (`mirror.example.com`, `*.example.com`), addresses and CIDRs (`10.0.0.0/8`) that the defaults would block.
   */
  allow: string[];
  /** Hosts, addresses and CIDRs that are always blocked. */
  deny: string[];
  /** The user's options after a rejection, by its cause. It ends the message; `{host}` stands for the host. */
  advice?: Readonly<Partial<Record<RefusalCause, string>>>;
}

export interface EgressPolicy {
  /** Throws EgressRefused for a host that is blocked by its name, or that is a blocked address in any spelling. */
  checkHost(host: string): void;
  /** Throws EgressRefused if `address`, reached by the name `host`, is blocked. */
  checkAddress(host: string, address: string): void;
  /** For `net.connect`: resolves every address of a name, and fails with EgressRefused if any of them is blocked. */
  lookup: LookupFunction;
}

type Resolve = (
  host: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/** Addresses that are blocked unless a rule allows them, by the names in messages. */
const refusedByDefault: Record<string, string[]> = {
  'an unspecified address': ['0.0.0.0/8', '::/128'],
  'a loopback address': ['127.0.0.0/8', '::1/128'],
  'a metadata service': [
    '169.254.169.254/32',
    '100.100.100.200/32',
    '168.63.129.16/32',
    '192.0.0.192/32',
    'fd00:ec2::254/128',
    'fd20:ce::254/128',
  ],
  'a link-local address': ['169.254.0.0/16', 'fe80::/10', 'fec0::/10'],
  'a multicast address': ['224.0.0.0/4', 'ff00::/8'],
  'a reserved address': ['240.0.0.0/4'],
  // Prefixes that embed an IPv4 address which the rules for IPv4 would not find. (BlockList itself reads
  // `::ffff:0:0/96`, and `spellings` reads the NAT64 prefix.)
  'an embedded IPv4 address': ['::/96', '::ffff:0:0:0/96', '64:ff9b::/112', '64:ff9b:1::/48', '2001::/32', '2002::/16'],
};

/** Throws a RangeError that names the rule if a rule is neither a host nor an address nor a CIDR. */
export function createEgressPolicy(rules: EgressRules, resolve: Resolve = nodeLookup): EgressPolicy {
  const allowed = ruleSet(rules.allow);
  const denied = ruleSet(rules.deny);
  const defaults = Object.entries(refusedByDefault).map(([what, ranges]) => ({ what, set: ruleSet(ranges) }));

  const refused = (refusal: Refusal) => new EgressRefused(refusal, rules.advice?.[refusal.cause]);

  function checkHost(host: string): void {
    const name = canonicalHost(host);
    if (isIP(name) !== 0) checkAddress(host, name);
    else if (denied.hasHost(name)) throw refused({ cause: 'denied', host: name, shown: host, problem: 'is denied' });
  }

  function checkAddress(host: string, address: string): void {
    const name = canonicalHost(host);
    const shown = name === address ? address : `${host} (${address})`;
    const at = { host: name, shown };
    // An address with a zone (`fe80::1%eth0`) is checked without it.
    const forms = spellings(address.split('%', 1)[0] ?? '');
    // An address that cannot be parsed is in no range, and must not pass for that reason.
    if (forms.some((form) => isIP(form) === 0))
      throw refused({ ...at, cause: 'unreadable', problem: 'is not an address' });
    if (denied.hasHost(name) || forms.some(denied.hasAddress))
      throw refused({ ...at, cause: 'denied', problem: 'is denied' });
    if (allowed.hasHost(name) || forms.some(allowed.hasAddress)) return;
    const hit = defaults.find(({ set }) => forms.some(set.hasAddress));
    if (hit !== undefined) throw refused({ ...at, cause: 'default', problem: `is ${hit.what}` });
  }

  const lookup: LookupFunction = (host, options, callback) => {
    resolve(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const failure = failureOf(() => {
        for (const { address } of addresses) checkAddress(host, address);
      });
      if (failure !== undefined) return callback(failure, '', 0);
      const [first] = addresses;
      // Node assumes that the list is not empty, and would throw an error that nothing catches.
      if (first === undefined) callback(new Error(`${host} has no address`), '', 0);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };

  return { checkHost, checkAddress, lookup };
}

/**
 * Applies the policy to an undici connector. `make` builds that connector and must pass `lookup` on to it. The name is
 * checked before connecting, every resolved address meanwhile, and the peer's address before a request is sent.
 */
export function guardConnector(
  policy: EgressPolicy,
  make: (options: { lookup: LookupFunction }) => Connector,
): Connector {
  const connect = make({ lookup: policy.lookup });
  return (options, callback) => {
    const failure = failureOf(() => policy.checkHost(options.hostname));
    if (failure !== undefined) return queueMicrotask(() => callback(failure, null));
    connect(options, (...result) => {
      const [error, socket] = result;
      if (error !== null) return callback(error, null);
      const peer = socket.remoteAddress;
      const late = failureOf(() => {
        if (peer === undefined) throw new Error(`the connection to ${options.hostname} was closed at once`);
        policy.checkAddress(options.hostname, peer);
      });
      if (late === undefined) return callback(null, socket);
      socket.destroy();
      callback(late, null);
    });
  };
}

interface RuleSet {
  hasHost(name: string): boolean;
  hasAddress(address: string): boolean;
}

function ruleSet(entries: string[]): RuleSet {
  const ranges = new BlockList();
  const hosts = new Set<string>();
  const domains: string[] = [];
  for (const entry of entries) {
    const [base = '', prefix, ...rest] = entry.trim().split('/');
    const host = canonicalHost(base);
    const family = isIP(host);
    const bits = family === 4 ? 32 : 128;
    if (
      rest.length > 0 ||
      (prefix !== undefined && (family === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bits))
    )
      throw new RangeError(`not a CIDR such as 10.0.0.0/8: ${entry}`);
    if (family !== 0) ranges.addSubnet(host, Number(prefix ?? bits), family === 4 ? 'ipv4' : 'ipv6');
    else if (/^\*\.[\w.-]+$/.test(host)) domains.push(host.slice(1));
    else if (/^[\w.-]+$/.test(host)) hosts.add(host);
    else throw new RangeError(`not a host, an address or a CIDR: ${entry}`);
  }
  return {
    hasHost: (name) => hosts.has(name) || domains.some((domain) => name.endsWith(domain)),
    hasAddress: (address) => ranges.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6'),
  };
}

/**
 * The host as a URL parser understands it: lower case, no brackets, no final dot, and every spelling of an IPv4 address
 * (`0x7f.1`, `2130706433`, `0177.0.0.1`) in its usual form, because the system's resolver understands those too.
 */
function canonicalHost(host: string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  const url = URL.parse(`http://${bare.includes(':') ? `[${bare}]` : bare}/`);
  return (url?.hostname ?? bare.toLowerCase()).replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}

/** The address, and the IPv4 address behind it where it is the NAT64 form of one (`64:ff9b::a9fe:a9fe`). */
function spellings(address: string): string[] {
  const nat64 = /^64:ff9b::([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonicalHost(address));
  if (nat64 === null) return [address];
  const [high, low] = [Number.parseInt(nat64[1] ?? '', 16), Number.parseInt(nat64[2] ?? '', 16)];
  return [address, [high >> 8, high & 255, low >> 8, low & 255].join('.')];
}

function failureOf(check: () => void): Error | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/**
 * Rules on hosts and addresses, and the networks that are not public. A rule finds an address in every spelling: as a URL
 * writes it, mapped into IPv6, or behind a NAT64 prefix.
 */
import { BlockList, isIP } from 'node:net';

/** Addresses that are local to this process, its node or its link, by their names in messages. */
export const localNetworks: Readonly<Record<string, readonly string[]>> = {
  'an unspecified address': ['0.0.0.0/8', '::/128'],
  'a loopback address': ['127.0.0.0/8', '::1/128'],
  'a metadata service': [
    '169.254.169.254/32',
    '100.100.100.200/32',
    '168.63.129.16/32',
    // Oracle's, and the rest of a range that no network routes (RFC 6890).
    '192.0.0.0/24',
    // AWS (also fd00:ec2::23 for Pods, ::123 and ::253), Oracle, Scaleway, Linode, Google.
    'fd00:ec2::/32',
    'fd00:c1::/32',
    'fd00:42::/32',
    'fd00:a9fe:a9fe::/48',
    'fd20:ce::/32',
  ],
  'a link-local address': ['169.254.0.0/16', 'fe80::/10', 'fec0::/10'],
  'a multicast address': ['224.0.0.0/4', 'ff00::/8'],
  'a reserved address': ['240.0.0.0/4'],
  // Prefixes that embed an IPv4 address which the rules for IPv4 would not find. (BlockList itself reads
  // `::ffff:0:0/96`, and `createSpellings` reads the NAT64 prefixes.)
  'an embedded IPv4 address': ['::/96', '::ffff:0:0:0/96', '64:ff9b::/112', '64:ff9b:1::/48', '2001::/32', '2002::/16'],
};

export const privateNetworks: readonly string[] = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '198.18.0.0/15',
  'fc00::/7',
];

/** Names of such addresses. They count where no address is known here, because a proxy resolves them. */
export const localNames: Readonly<Record<string, readonly string[]>> = {
  'a name of this machine': ['localhost', '*.localhost', 'localhost.localdomain'],
  'a metadata service': [
    'metadata.google.internal',
    'metadata.goog',
    'metadata',
    'instance-data.ec2.internal',
    'instance-data',
    'metadata.azure.internal',
    'metadata.tencentyun.com',
    'metadata.packet.net',
    'metadata.platformequinix.com',
  ],
};

export interface RuleSet {
  hasHost(name: string): boolean;
  /** A host in one of the namespaces that rules such as `openstack.svc` name. */
  hasService(name: string): boolean;
  hasAddress(address: string): boolean;
  /** The hosts that are named in full. */
  hosts: readonly string[];
}

/** Throws a RangeError that names the rule if a rule is neither a host nor an address nor a CIDR. */
export function ruleSet(entries: readonly string[]): RuleSet {
  const ranges = new BlockList();
  const hosts = new Set<string>();
  const domains: string[] = [];
  const services: string[] = [];
  for (const entry of entries) {
    const [base = '', prefix, ...rest] = entry.trim().split('/');
    const host = canonicalHost(base);
    const family = isIP(host);
    if (!isPlain(base, host)) throw new RangeError(`not a host, an address or a CIDR: ${entry}`);
    const bits = family === 4 ? 32 : 128;
    if (
      rest.length > 0 ||
      (prefix !== undefined && (family === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bits))
    )
      throw new RangeError(`not a CIDR such as 10.0.0.0/8: ${entry}`);
    if (family !== 0) ranges.addSubnet(host, Number(prefix ?? bits), family === 4 ? 'ipv4' : 'ipv6');
    else if (/^[a-z0-9-]+\.svc$/.test(host)) services.push(`.${host}`, `.${host}.cluster.local`);
    else if (/^\*\.[\w.-]+$/.test(host)) domains.push(host.slice(1));
    else if (/^[\w.-]+$/.test(host)) hosts.add(host);
    else throw new RangeError(`not a host, an address or a CIDR: ${entry}`);
  }
  return {
    hasHost: (name) => hosts.has(name) || domains.some((domain) => name.endsWith(domain)),
    hasService: (name) => services.some((domain) => name.endsWith(domain)),
    hasAddress: (address) => ranges.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6'),
    hosts: [...hosts],
  };
}

/**
 * Whether a rule is what it looks like. One that applies to nothing would open what it should deny: `10.`, `10.0.0.1-10.0.0.9`,
 * `user@example.com`.
 */
function isPlain(text: string, host: string): boolean {
  return isIP(host) === 4 ? isIP(text) !== 0 : !/[@?#%\\]/.test(text) && !/(?:^|\.)\d+$/.test(host);
}

const local = ruleSet(Object.values(localNetworks).flat());
const nearby = ruleSet(privateNetworks);

const loopback = ruleSet(localNetworks['a loopback address'] ?? []);

export function isLoopback(address: string): boolean {
  return loopback.hasAddress(address);
}

/** Whether anyone on the Internet could reach it. */
export function isPublicAddress(address: string): boolean {
  return isIP(address) !== 0 && !local.hasAddress(address) && !nearby.hasAddress(address);
}

/**
 * The host as a URL parser understands it: lower case, no brackets, no final dot, and every spelling of an IPv4 address
 * (`0x7f.1`, `2130706433`, `0177.0.0.1`) in its usual form, because the system's resolver understands those too.
 */
export function canonicalHost(host: string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  const url = URL.parse(`http://${bare.includes(':') ? `[${bare}]` : bare}/`);
  return (url?.hostname ?? bare.toLowerCase()).replace(/^\[(.*)\]$/, '$1').replace(/\.+$/, '');
}

/**
 * A function that returns an address and the IPv4 address behind it, where it is the NAT64 form of one (RFC 6052) in
 * `64:ff9b::/96` or one of `prefixes`. Throws a RangeError that names a prefix of another form.
 */
export function createSpellings(prefixes: readonly string[]): (address: string) => string[] {
  const forms = ['64:ff9b::/96', ...prefixes].map(nat64Form);
  return (address) => {
    const bytes = bytesOfIPv6(address);
    const behind = forms.flatMap(({ prefix, at }) =>
      bytes !== undefined && prefix.every((byte, index) => bytes[index] === byte)
        ? [at.map((index) => bytes[index]).join('.')]
        : [],
    );
    return [address, ...behind];
  };
}

/** The bytes of a NAT64 prefix, and the places of the IPv4 address in an address with it. Byte 8 is never one of them. */
function nat64Form(text: string): { prefix: number[]; at: number[] } {
  const [address = '', length = ''] = text.split('/');
  const bytes = bytesOfIPv6(address);
  if (bytes === undefined || !['32', '40', '48', '56', '64', '96'].includes(length))
    throw new RangeError(`not a NAT64 prefix such as 2001:db8:64::/96: ${text}`);
  const start = Number(length) / 8;
  const at = Array.from({ length: 12 }, (_, index) => start + index).filter((index) => index !== 8);
  return { prefix: bytes.slice(0, start), at: at.slice(0, 4) };
}

function bytesOfIPv6(address: string): number[] | undefined {
  if (isIP(address) !== 6) return undefined;
  const [head = [], tail = []] = canonicalHost(address)
    .split('::')
    .map((half) => half.split(':').flatMap(groupBytes));
  return [...head, ...Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

function groupBytes(group: string): number[] {
  if (group === '') return [];
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 255];
}

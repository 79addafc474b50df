/**
 * Which hosts are reached without the proxy, in the grammar of NO_PROXY as Go reads it, and with it most programs in a cluster.
 *
 * `example.com` is the host and all below it, `.example.com` and `*.example.com` are those below it, `10.0.0.0/8` and `2001:db8::1`
 * are addresses, and `*` is everything. `:8443` at the end limits an entry to that port. A network covers a host that the URL
 * names by address: no name is resolved to find out.
 */
import { isIP } from 'node:net';
import { canonicalHost, ruleSet } from './address-rules.ts';

export type Exceptions = (host: string, port: number) => boolean;

/** Throws a RangeError that names an entry that cannot be read. */
export function readExceptions(entries: readonly string[]): Exceptions {
  const rules = entries.map(readException);
  return (host, port) => {
    const name = canonicalHost(host);
    return rules.some((rule) => (rule.port === undefined || rule.port === port) && rule.covers(name));
  };
}

interface Exception {
  port: number | undefined;
  covers: (name: string) => boolean;
}

function readException(entry: string): Exception {
  const text = entry.trim().toLowerCase();
  const { host, port } = splitPort(text);
  if (port !== undefined && (port < 1 || port > 65_535)) throw new RangeError(`not a port: ${entry}`);
  if (host === '*') return { port, covers: () => true };
  const [, dot, rest = ''] = /^(\*?\.)?(.*)$/.exec(host) ?? [];
  // A namespace (`openstack.svc`) is no rule of its own here: all below it are covered as below any name.
  const rules = ruleSet(dot !== undefined ? [`*.${rest}`] : isNetwork(host) ? [host] : [host, `*.${host}`]);
  return { port, covers: (name) => (isIP(name) === 0 ? rules.hasHost(name) : rules.hasAddress(name)) };
}

function splitPort(text: string): { host: string; port: number | undefined } {
  // The colons of an IPv6 address are no ports, unless it is in brackets or a network.
  const [, host, port] = (isIP(text) === 6 ? null : /^(\[[^\]]+\]|[^:]+|.+\/\d+):(\d{1,6})$/.exec(text)) ?? [];
  return host === undefined ? { host: text, port: undefined } : { host, port: Number(port) };
}

function isNetwork(host: string): boolean {
  return host.includes('/') || isIP(canonicalHost(host)) !== 0;
}

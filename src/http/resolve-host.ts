/**
 * From a host name to its addresses.
 *
 * Guarantees: a name is resolved as it is, with a final dot, so that no search domain of the system makes it another one; names
 * in the hosts file are found. The one exception are names of Services (`keystone.openstack.svc`): only the search domain of the
 * Pod knows the domain of the cluster, and no other network has the top-level domain `svc`.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { readFile } from 'node:fs';
import { isIP } from 'node:net';

export type Resolve = (
  host: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/** `hostsFile` and `ask` stand for those of the system. */
export function createResolve(hostsFile = '/etc/hosts', ask: Resolve = lookup): Resolve {
  return (host, options, callback) => {
    const name = host.toLowerCase().replace(/\.+$/, '');
    readFile(hostsFile, 'utf8', (error, text) => {
      const listed = error === null ? addressesIn(text, name) : [];
      const { family } = options;
      const wanted = listed.filter((address) => (family !== 4 && family !== 6 ? true : address.family === family));
      if (wanted.length > 0) callback(null, wanted);
      else ask(absolute(name), options, callback);
    });
  };
}

function absolute(name: string): string {
  return isIP(name) !== 0 || name.endsWith('.svc') ? name : `${name}.`;
}

function addressesIn(hosts: string, name: string): LookupAddress[] {
  return hosts.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/);
    const family = isIP(address);
    return family !== 0 && names.includes(name) ? [{ address, family }] : [];
  });
}

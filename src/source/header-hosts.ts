/**
 * Where the values of a Secret with headers may go. The owner of the Secret says so in an annotation of the Secret (allow-list.ts).
 *
 * Invariant: a Secret without the annotation goes nowhere. An entry is a host, with `https` and the default port unless it says
 * otherwise: `artifacts.example.com`, `*.example.com`, `mirror.example.com:8443`, `http://10.0.0.5:8080`.
 */
import { type AllowList, rejectionOf } from '../lib/allow-list.ts';
import { OperatorError } from '../lib/errors.ts';

export const hostsAnnotation = 'glance-image-operator.dev/hosts';

interface Entry {
  origin: string;
  /** Also, and only, the hosts below it. */
  isDomain: boolean;
}

const hostList: AllowList<Entry> = {
  annotation: hostsAnnotation,
  resource: 'Secret',
  meaning: 'the hosts that its values may be sent to',
  form: 'hosts such as artifacts.example.com,*.example.com',
  missing: (host) => `${host}. Its owner can add that host, or the source needs another URL`,
  parse: parseEntry,
};

/** `hosts` is the annotation of the Secret. Throws SecretInvalid, which quotes neither the annotation nor a key. */
export function checkHeaderHosts(
  { namespace, name }: { namespace: string; name: string },
  hosts: string | undefined,
  url: string,
): void {
  const target = URL.parse(url);
  const wanted = target === null ? 'HOST' : target.protocol === 'http:' ? target.origin : target.host;
  // A source with a URL that cannot be read fails by itself, and sends nothing.
  const isAllowedBy = (entry: Entry) => target === null || matches(entry, target);
  const rejection = rejectionOf(hostList, { namespace, name, value: hosts, wanted, isAllowedBy });
  if (rejection !== undefined)
    throw new OperatorError(`the headers are not sent: ${rejection}`, { code: 'SecretInvalid' });
}

/** The annotation with which values may go to `url` alone. */
export function onlyHostOf(url: string): string {
  return URL.parse(url)?.origin ?? '';
}

function parseEntry(text: string): Entry | undefined {
  const [, scheme = 'https', wildcard, host = ''] = /^(?:(https?):\/\/)?(\*\.)?([^/?#@*\\\s]+)$/i.exec(text) ?? [];
  const url = host === '' ? null : URL.parse(`${scheme}://${host}`);
  return url === null ? undefined : { origin: originOf(url), isDomain: wildcard !== undefined };
}

function matches({ origin, isDomain }: Entry, target: URL): boolean {
  const wanted = originOf(target);
  if (!isDomain) return wanted === origin;
  const [scheme = '', host = ''] = origin.split('//');
  return wanted.startsWith(`${scheme}//`) && wanted.slice(scheme.length + 2).endsWith(`.${host}`);
}

/** Without the final dot of a name, which makes it no other host. */
function originOf({ protocol, hostname, port }: URL): string {
  return `${protocol}//${hostname.replace(/\.+$/, '')}${port === '' ? '' : `:${port}`}`;
}

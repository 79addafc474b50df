/**
 * Which connections a NetworkPolicy allows to the Pods that it selects, by the rules of its API: rules add up, peers of a rule add
 * up, and a rule without peers allows every address on its ports.
 */
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';

const selector = z.strictObject({ matchLabels: z.record(z.string(), z.string()).optional() });
const peer = z.strictObject({
  ipBlock: z.strictObject({ cidr: z.string(), except: z.array(z.string()).optional() }).optional(),
  namespaceSelector: selector.optional(),
  podSelector: selector.optional(),
});
const port = z.strictObject({ port: z.int(), protocol: z.enum(['TCP', 'UDP']).default('TCP') });
const rule = z.strictObject({ to: z.array(peer).optional(), ports: z.array(port).optional() });
const networkPolicy = z.looseObject({
  spec: z.looseObject({ policyTypes: z.array(z.string()), egress: z.array(rule) }),
});

type Labels = Readonly<Record<string, string>>;

export interface Destination {
  address: string;
  /** Where it is a Pod. */
  pod?: { namespace: Labels; labels: Labels };
}

export interface Port {
  port: number;
  protocol: 'TCP' | 'UDP';
}

export function egressOf(object: unknown): (destination: Destination, to: Port) => boolean {
  const { policyTypes, egress } = networkPolicy.parse(object).spec;
  if (!policyTypes.includes('Egress')) return () => true;
  return (destination, to) =>
    egress.some(
      ({ to: peers, ports }) =>
        (ports === undefined || ports.some((each) => each.port === to.port && each.protocol === to.protocol)) &&
        (peers === undefined || peers.length === 0 || peers.some((each) => isPeer(each, destination))),
    );
}

function isPeer(
  { ipBlock, namespaceSelector, podSelector }: z.infer<typeof peer>,
  { address, pod }: Destination,
): boolean {
  if (ipBlock !== undefined)
    return inRange(address, ipBlock.cidr) && !(ipBlock.except ?? []).some((range) => inRange(address, range));
  if (pod === undefined || namespaceSelector === undefined) return false;
  return matches(namespaceSelector, pod.namespace) && (podSelector === undefined || matches(podSelector, pod.labels));
}

function matches({ matchLabels = {} }: z.infer<typeof selector>, labels: Labels): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}

function inRange(address: string, cidr: string): boolean {
  const [base = '', bits] = cidr.split('/');
  if (isIP(base) !== isIP(address)) return false;
  const family = isIP(base) === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(base, Number(bits), family);
  return list.check(address, family);
}

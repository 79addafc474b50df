/** The NetworkPolicy of the chart, evaluated by its rules, because no network plugin runs here. */
import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { test } from 'node:test';
import { localNetworks } from '../../src/http/address-rules.ts';
import { type Destination, egressOf, type Port } from './network-policy.ts';
import { objectsWith, ofKind } from './objects.ts';

const name = 'kubernetes.io/metadata.name';
const pod = (address: string, namespace: string, labels = {}): Destination => ({
  address,
  pod: { namespace: { [name]: namespace }, labels },
});
const apiServer = '192.0.2.10';
const dns = pod('10.244.0.2', 'kube-system', { 'k8s-app': 'kube-dns' });
const dnsOnNode = { address: '169.254.20.10' };
/** The first address of each network that the operator itself takes for a metadata service, and its NAT64 form. */
const ownRules = (localNetworks['a metadata service'] ?? []).map((network) => network.split('/')[0] ?? '');
const nat64 = ownRules.filter((address) => isIPv4(address)).map((address) => `64:ff9b::${hexOf(address)}`);
const metadata = [
  ...ownRules,
  ...nat64,
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd00:c1::a9fe:a9fe',
  'fd00:42::42',
  'fd00:a9fe:a9fe::1',
  'fd20:ce::254',
  'fe80::1',
].map((address) => ({ address }));
const outside = [
  '203.0.113.5',
  '203.0.113.200',
  '198.51.100.7',
  '8.8.8.8',
  '1.1.1.1',
  '2600::1',
  '2001:db8::1',
  '10.0.0.5',
  '172.16.0.1',
  '192.168.5.10',
  '100.64.0.1',
  'fd12:3456::1',
  '10.96.0.1',
  '10.96.0.10',
].map((address) => ({ address }));
const pods = [pod('10.244.1.7', 'vault'), pod('10.244.1.8', 'team-a'), pod('10.244.1.9', 'openstack')];
const destinations: Destination[] = [{ address: apiServer }, dns, dnsOnNode, ...metadata, ...outside, ...pods];
const ports: Port[] = [
  { port: 53, protocol: 'UDP' },
  ...[22, 53, 80, 443, 2379, 5000, 6443, 8200, 9292, 10250].map((port): Port => ({ port, protocol: 'TCP' })),
];

function hexOf(address: string): string {
  return Buffer.from(address.split('.').map(Number))
    .toString('hex')
    .replace(/^(....)/, '$1:');
}

/** The connections that the policy with these values allows, as `address protocol/port`. */
async function allowedBy(...set: string[]): Promise<string[]> {
  const enabled = ['networkPolicy.enabled=true', `networkPolicy.apiServer.to[0].ipBlock.cidr=${apiServer}/32`];
  const allows = egressOf(ofKind(await objectsWith([...enabled, ...set]), 'NetworkPolicy'));
  return destinations.flatMap((destination) =>
    ports.filter((port) => allows(destination, port)).map((port) => shown(destination, port)),
  );
}

function shown({ address }: Destination, { port, protocol }: Port): string {
  return `${address} ${protocol}/${port}`;
}

const dnsOnly = [dns, dnsOnNode].flatMap(({ address }) => [`${address} UDP/53`, `${address} TCP/53`]);
const ofApiServer = [`${apiServer} TCP/443`, `${apiServer} TCP/6443`];

test('a NetworkPolicy without egress rules allows DNS in kube-system and on the node, the API server, and nothing else', async () => {
  assert.deepEqual((await allowedBy('networkPolicy.egress=null')).sort(), [...dnsOnly, ...ofApiServer].sort());
});

test('a NetworkPolicy with an egress rule allows what the rule says in addition, and nothing else', async () => {
  const rule = 'networkPolicy.egress[0]';
  const allowed = await allowedBy(`${rule}.to[0].ipBlock.cidr=203.0.113.0/25`, `${rule}.ports[0].port=5000`);
  assert.deepEqual(allowed.sort(), [...dnsOnly, ...ofApiServer, '203.0.113.5 TCP/5000'].sort());
});

test('the default NetworkPolicy allows every destination except metadata services, on no port', async () => {
  const allowed = new Set(await allowedBy());
  const isMetadata = (destination: Destination) => metadata.some(({ address }) => address === destination.address);
  for (const destination of destinations) {
    for (const port of ports) {
      const key = shown(destination, port);
      const expected = destination === dnsOnNode ? port.port === 53 : !isMetadata(destination);
      assert.equal(allowed.has(key), expected, key);
    }
  }
});

test('DNS in another namespace is reached only by the peers that the values name', async () => {
  const peer = `networkPolicy.dns.to[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name`;
  const allowed = await allowedBy('networkPolicy.egress=null', `${peer}=openstack`);
  const inOpenstack = allowed.filter((key) => key.startsWith('10.244.1.9 '));
  assert.deepEqual(inOpenstack, ['10.244.1.9 UDP/53', '10.244.1.9 TCP/53']);
  assert(!allowed.some((key) => key.startsWith('10.244.1.7 ') || key.startsWith('10.244.0.2 ')));
});

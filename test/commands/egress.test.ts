/** Messages of the commands about a connection that the egress policy blocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings, UsageError } from '../../src/commands/config.ts';
import { apiServerHosts, commandEgress, egressSettings, operatorEgress } from '../../src/commands/egress.ts';
import { createEgressPolicy, EgressRefused, type EgressRules } from '../../src/http/egress.ts';

const settings = readSettings(egressSettings, ['--source-deny=10.0.0.0/8'], {});
const never = new AbortController().signal;

function refusalOf(rules: EgressRules, host: string): string {
  try {
    createEgressPolicy(rules).checkHost(host);
  } catch (error) {
    assert(error instanceof EgressRefused);
    return error.message;
  }
  assert.fail(`${host} is allowed`);
}

test('a host blocked by the operator is reported with the flag and chart value that allow it', () => {
  const { sources, clouds } = operatorEgress(settings, []);
  for (const host of ['127.0.0.1', '192.168.0.1'])
    assert.match(
      refusalOf(sources, host),
      new RegExp(`--source-allow=${host} \\(chart value settings\\.sourceAllow\\)$`),
    );
  assert.match(refusalOf(clouds, '127.0.0.1'), /--cloud-allow=127\.0\.0\.1 \(chart value settings\.cloudAllow\)$/);
});

test('a host blocked by a deny rule is reported with the flag and chart value of the rule', () => {
  for (const rules of Object.values(operatorEgress(settings, [])))
    assert.match(refusalOf(rules, '10.1.2.3'), /--source-deny \(chart value settings\.sourceDeny\)/);
});

test('the operator rejects the API server of its cluster as a source and as a cloud', () => {
  for (const rules of Object.values(operatorEgress({ ...settings, cloudAllow: ['192.0.2.1'] }, ['192.0.2.1'])))
    assert.match(refusalOf(rules, '192.0.2.1'), /API server/);
});

test('networks of the cluster are rejected as a source and as a cloud', () => {
  for (const rules of Object.values(operatorEgress({ ...settings, clusterCIDR: ['198.51.100.0/24'] }, [])))
    assert.match(refusalOf(rules, '198.51.100.7'), /is in a network of this cluster; .*-allow=198\.51\.100\.7/);
});

test('a host blocked by the transfer command is reported with the flag and no chart value', () => {
  const { sources, clouds } = commandEgress(settings);
  assert.match(refusalOf(sources, '127.0.0.1'), /--source-allow=127\.0\.0\.1$/);
  assert.match(refusalOf(clouds, '127.0.0.1'), /--cloud-allow=127\.0\.0\.1$/);
});

test('the hosts of the API server are those of the kubeconfig, of its Service and of the node that it advertises', async () => {
  const request = async () => ({
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '192.168.5.10:6443' }],
  });
  const server = 'https://[2001:db8::1]:6443';
  assert.deepEqual(await apiServerHosts({ server, request }, { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, never), [
    '2001:db8::1',
    '10.96.0.1',
    'kubernetes.default.svc',
    '192.168.5.10',
  ]);
});

test('an API server on loopback, or one that does not say its address, adds no rule', async () => {
  const request = () => Promise.reject(new Error('403'));
  assert.deepEqual(await apiServerHosts({ server: 'https://127.0.0.1:6443', request }, {}, never), []);
});

const proxyFlags = [
  '--source-proxy=http://squid.example.com:3128',
  '--source-proxy-credentials=/etc/source',
  '--source-no-proxy=mirror.example.com,10.0.0.0/8:8080',
  '--cloud-proxy=https://gate.example.com',
  '--cloud-no-proxy=.svc',
];

test('sources and clouds have a proxy, credentials and exceptions of their own', () => {
  const { sources, clouds } = commandEgress(readSettings(egressSettings, proxyFlags, {}));
  const { advice: _source, ...source } = sources.proxy ?? assert.fail();
  const { advice: _cloud, ...cloud } = clouds.proxy ?? assert.fail();
  assert.deepEqual(source, {
    url: 'http://squid.example.com:3128',
    credentialsFile: '/etc/source',
    except: ['mirror.example.com', '10.0.0.0/8:8080'],
  });
  assert.deepEqual(cloud, { url: 'https://gate.example.com', credentialsFile: undefined, except: ['.svc'] });
});

test('the usual proxy variables of the environment have no effect, and those of the flags do', () => {
  const usual = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
  const env = Object.fromEntries(usual.map((name) => [name, 'http://proxy.example.com:3128']));
  const { sources, clouds } = operatorEgress(readSettings(egressSettings, [], env), []);
  assert.deepEqual([sources.proxy, clouds.proxy], [undefined, undefined]);
  const own = { GLANCE_IMAGE_OPERATOR_CLOUD_PROXY: 'http://proxy.example.com:3128' };
  assert.equal(
    operatorEgress(readSettings(egressSettings, [], own), []).clouds.proxy?.url,
    own.GLANCE_IMAGE_OPERATOR_CLOUD_PROXY,
  );
});

test('each problem with a proxy is reported with the flag and chart value that solve it', () => {
  const { sources, clouds } = operatorEgress(readSettings(egressSettings, proxyFlags, {}), []);
  assert.deepEqual(sources.proxy?.advice, {
    credentials:
      'correct the user and password in --source-proxy-credentials (chart value proxy.sources.credentialsSecret)',
    server:
      'have its administrator allow this server, or reach it directly with --source-no-proxy (chart value proxy.sources.noProxy)',
    certificate: 'add its certificate authority to --ca-bundle (chart value caBundle)',
  });
  assert.equal(
    clouds.proxy?.advice?.credentials,
    'give it a user and password with --cloud-proxy-credentials (chart value proxy.clouds.credentialsSecret)',
  );
});

for (const [flags, message] of [
  [['--source-proxy=squid:3128'], /--source-proxy: must be a URL/],
  [['--source-proxy=squid'], /--source-proxy: must be a URL/],
  [['--cloud-proxy=socks5://squid:1080'], /--cloud-proxy: must be a URL/],
  [['--cloud-proxy=http://squid:3128/path'], /--cloud-proxy: must have no path/],
  [
    ['--source-proxy=http://user:hidden@squid:3128'],
    /--source-proxy: must have no user and password: put them into a file/,
  ],
  [['--source-no-proxy=http://example.com'], /--source-no-proxy: not a .*: http:\/\/example\.com/],
  [['--cloud-no-proxy=10.0.0.0/33'], /--cloud-no-proxy: not a CIDR .*: 10\.0\.0\.0\/33/],
  [['--cloud-proxy-credentials=/file'], /--cloud-proxy-credentials: .* set --cloud-proxy$/],
] satisfies [string[], RegExp][])
  test(`the flag ${flags.join(' ').replace('user:hidden', 'USER:PASSWORD')} is wrong usage that names it and quotes no password`, () => {
    assert.throws(
      () => commandEgress(readSettings(egressSettings, flags, {})),
      (error) => error instanceof UsageError && message.test(error.message) && !error.message.includes('hidden'),
    );
  });

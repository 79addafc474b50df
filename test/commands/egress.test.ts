/** Messages of the commands about a connection that the egress policy blocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiServerHosts, commandEgress, operatorEgress } from '../../src/commands/egress.ts';
import { createEgressPolicy, EgressRefused, type EgressRules } from '../../src/http/egress.ts';

const settings = { sourceAllow: [], cloudAllow: [], sourceDeny: ['10.0.0.0/8'], clusterCIDR: [], nat64Prefix: [] };
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

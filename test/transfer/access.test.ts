import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretString } from '../../src/lib/secret.ts';
import type { CredentialSource } from '../../src/openstack/credential-source.ts';
import { readAccess } from '../../src/transfer/access.ts';
import { imageIDOf, type PlanOptions, planOf } from './plans.ts';

type Secrets = Record<string, Record<string, string>>;

function readFrom(secrets: Secrets, options: PlanOptions) {
  const credentials: CredentialSource = {
    async secret(namespace, name) {
      const data = namespace === 'team' ? secrets[name] : undefined;
      const entries = Object.entries(data ?? {}).map(([key, value]) => [key, new SecretString(value)] as const);
      return data && { version: '1', data: new Map(entries) };
    },
  };
  return readAccess(credentials, planOf(options), new AbortController().signal);
}

const openstack = { 'clouds.yaml': 'clouds: {}', 'secure.yaml': 'clouds: {demo: {}}', cacert: 'pem', unrelated: 'x' };
const http = { kind: 'http' as const, url: 'https://example.com/a', mirrors: [] };

test('a transfer gets the Secrets that its plan names, and no other key than it needs', async () => {
  const secrets = { openstack, headers: { authorization: 'Bearer x' }, ca: { 'ca.crt': 'authority', more: 'y' } };
  const source = { ...http, headersSecretRef: { name: 'headers' }, caSecretRef: { name: 'ca' } };
  assert.deepEqual(await readFrom(secrets, { source }), {
    cloud: { cloudsYaml: 'clouds: {}', secureYaml: 'clouds: {demo: {}}', cacert: 'pem' },
    source: { headers: { authorization: 'Bearer x' }, ca: 'authority' },
  });
});

test('a transfer of another image gets the Secret of the cloud that holds it', async () => {
  const source = {
    kind: 'glance',
    image: imageIDOf('x'),
    cloud: { secretRef: { name: 'other' }, name: 'demo' },
  } as const;
  const secrets = { openstack, other: { 'clouds.yaml': 'clouds: {other: {}}' } };
  const access = await readFrom(secrets, { source });
  assert.deepEqual(access.source.cloud, { cloudsYaml: 'clouds: {other: {}}' });
});

test('a missing Secret of a transfer is retried, and the message names the Secret and the field', async () => {
  const source = { ...http, headersSecretRef: { name: 'headers' } };
  const missing: [Secrets, RegExp][] = [
    [{}, /"openstack" in namespace team: create it with a key clouds\.yaml, or fix spec\.cloud\./],
    [{ openstack }, /"headers" in namespace team: create it, or fix spec\.content\.http\.headers/],
  ];
  for (const [secrets, message] of missing) {
    const error = { code: 'SecretNotFound', retry: { kind: 'backoff' }, message };
    await assert.rejects(readFrom(secrets, { source }), error);
  }
});

test('a Secret without the key that a transfer needs is reported with the keys that it has, not with their values', async () => {
  const source = { ...http, caSecretRef: { name: 'ca' } };
  const incomplete: [Secrets, RegExp][] = [
    [{ openstack: {} }, /"openstack" has no key clouds\.yaml; it has no keys$/],
    [{ openstack, ca: { tls: 'planted' } }, /"ca" has no key ca\.crt, .* in PEM; it has tls$/],
  ];
  for (const [secrets, message] of incomplete) {
    const error = { code: 'SecretInvalid', retry: { kind: 'change' }, message };
    await assert.rejects(readFrom(secrets, { source }), error);
  }
});

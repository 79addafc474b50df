import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperatorError } from '../../src/lib/errors.ts';
import { SecretString } from '../../src/lib/secret.ts';
import type { CredentialSource } from '../../src/openstack/credential-source.ts';
import { readAccess } from '../../src/transfer/access.ts';
import { imageIDOf, type PlanOptions, planOf } from './plans.ts';

type Secrets = Record<string, Record<string, string>>;

function readFrom(secrets: Secrets, options: PlanOptions & { serviceAccountName?: string }, hosts?: string) {
  const credentials: CredentialSource = {
    async secret(namespace, name) {
      const data = namespace === 'team' ? secrets[name] : undefined;
      const entries = Object.entries(data ?? {}).map(([key, value]) => [key, new SecretString(value)] as const);
      return data && { version: '1', data: new Map(entries), hosts };
    },
    async serviceAccount(namespace, name) {
      return name === 'gone' ? undefined : { namespace, name, uid: `uid-of-${name}`, keystone: 'https://k' };
    },
  };
  const { serviceAccountName, ...plan } = options;
  const { cloud, ...rest } = planOf(plan);
  const named = serviceAccountName === undefined ? cloud : { ...cloud, serviceAccountName };
  return readAccess(credentials, { ...rest, cloud: named }, new AbortController().signal);
}

const openstack = { 'clouds.yaml': 'clouds: {}', 'secure.yaml': 'clouds: {demo: {}}', cacert: 'pem', unrelated: 'x' };
const http = { kind: 'http' as const, url: 'https://example.com/a', mirrors: [] };

test('a transfer gets the Secrets that its plan names, and no other key than it needs', async () => {
  const secrets = { openstack, headers: { authorization: 'Bearer x' }, ca: { 'ca.crt': 'authority', more: 'y' } };
  const source = { ...http, headersSecretRef: { name: 'headers' }, caSecretRef: { name: 'ca' } };
  assert.deepEqual(await readFrom(secrets, { source }, 'example.com'), {
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

test('a transfer gets the ServiceAccounts of its two clouds, with what their owners allow', async () => {
  const other = { secretRef: { name: 'openstack' }, name: 'demo', serviceAccountName: 'reader' };
  const source = { kind: 'glance', image: imageIDOf('x'), cloud: other } as const;
  const access = await readFrom({ openstack }, { source, serviceAccountName: 'images' });
  const account = { namespace: 'team', keystone: 'https://k' };
  assert.deepEqual(access.cloud.serviceAccount, { ...account, name: 'images', uid: 'uid-of-images' });
  assert.deepEqual(access.source.cloud?.serviceAccount, { ...account, name: 'reader', uid: 'uid-of-reader' });
});

test('a missing ServiceAccount of a transfer is retried, and the message names it and the field', async () => {
  const missing = { code: 'ServiceAccountNotFound', retry: { kind: 'backoff' } };
  await assert.rejects(readFrom({ openstack }, { source: http, serviceAccountName: 'gone' }), {
    ...missing,
    message: /"gone" in namespace team: create it, or fix spec\.cloud\.serviceAccountName/,
  });
  const other = { secretRef: { name: 'openstack' }, name: 'demo', serviceAccountName: 'gone' };
  const source = { kind: 'glance', image: imageIDOf('x'), cloud: other } as const;
  await assert.rejects(readFrom({ openstack }, { source }), {
    ...missing,
    message: /or fix spec\.content\.glance\.cloud\.serviceAccountName/,
  });
});

test('a program that requests no tokens of ServiceAccounts says what to use instead', async () => {
  const credentials: CredentialSource = {
    secret: async () => ({ version: '1', data: new Map([['clouds.yaml', new SecretString('clouds: {}')]]) }),
  };
  const { cloud, ...rest } = planOf({ source: http });
  const plan = { ...rest, cloud: { ...cloud, serviceAccountName: 'images' } };
  await assert.rejects(readAccess(credentials, plan, new AbortController().signal), {
    code: 'ServiceAccountRefused',
    message: /only the operator requests tokens .*--os-cloud/,
  });
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

test('headers are not read from a Secret whose owner does not allow the host of the URL', async () => {
  const secrets = { openstack, db: { 'admin-token': 'planted', DB_PASSWORD: 'planted' } };
  const source = { ...http, headersSecretRef: { name: 'db' } };
  const refused: [string | undefined, RegExp][] = [
    [
      undefined,
      /"db" has no annotation .*kubectl annotate secret db -n team glance-image-operator\.dev\/hosts='example\.com'$/,
    ],
    ['example.org', /does not list example\.com/],
  ];
  for (const [hosts, message] of refused) {
    await assert.rejects(readFrom(secrets, { source }, hosts), (error) => {
      assert(error instanceof OperatorError);
      assert.equal(error.code, 'SecretInvalid');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /planted|admin-token|DB_PASSWORD|example\.org/);
      return true;
    });
  }
});

test('a Secret without the key that a transfer needs is reported without its other keys and without values', async () => {
  const source = { ...http, caSecretRef: { name: 'ca' } };
  const incomplete: [Secrets, RegExp][] = [
    [{ openstack: {} }, /"openstack" has no key clouds\.yaml: add it, or name another Secret$/],
    [{ openstack, ca: { tls: 'planted' } }, /"ca" has no key ca\.crt, .* in PEM: add it, or name another Secret$/],
  ];
  for (const [secrets, message] of incomplete) {
    const error = { code: 'SecretInvalid', retry: { kind: 'change', lookAgainMs: 3_600_000 }, message };
    await assert.rejects(readFrom(secrets, { source }), error);
  }
});

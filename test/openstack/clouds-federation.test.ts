import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Method, ServiceAccount } from '../../src/openstack/credentials.ts';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { parse } from './clouds-text.ts';

const auth = {
  auth_url: 'https://keystone.example.com:5000/v3',
  identity_provider: 'kubernetes',
  protocol: 'openid',
  project_name: 'web',
  project_domain_name: 'Default',
};
const client = { ...auth, client_id: 'images', client_secret: 's3cret-value' };
const tokens = { auth_type: 'v3oidcaccesstoken', auth };
const account: ServiceAccount = {
  namespace: 'team-a',
  name: 'glance-images',
  uid: 'u-1',
  keystone: 'https://keystone.example.com:5000',
};

function methodOf(entry: unknown, serviceAccount?: ServiceAccount): Method {
  const { access } = parse(entry, undefined, { serviceAccount });
  assert.ok(access.kind === 'keystone');
  assert.deepEqual(access.user.credentials.scope, {
    kind: 'project',
    project: { name: 'web', domain: { name: 'Default' } },
  });
  return access.user.credentials.method;
}

function accessTokenOf(entry: unknown, serviceAccount?: ServiceAccount) {
  const method = methodOf(entry, serviceAccount);
  assert.ok(method.kind === 'federated');
  assert.deepEqual([method.identityProvider, method.protocol], ['kubernetes', 'openid']);
  return method.accessToken;
}

test('v3oidcaccesstoken uses the access_token of clouds.yaml, or the tokens of the ServiceAccount', () => {
  const fixed = accessTokenOf({ ...tokens, auth: { ...auth, access_token: 'a.b.c' } });
  assert.ok(fixed.kind === 'fixed');
  assert.equal(fixed.token.reveal(), 'a.b.c');
  const audience = 'https://keystone.example.com:5000';
  assert.deepEqual(accessTokenOf(tokens, account), { kind: 'serviceAccount', account, audience });
});

test('the audience of the tokens of a ServiceAccount is the address of Keystone, or access_token_audience', () => {
  const keystone = 'https://other.example.com, https://keystone.example.com:5000/ openstack';
  const named = { ...tokens, auth: { ...auth, access_token_audience: 'openstack' } };
  const token = accessTokenOf(named, { ...account, keystone });
  assert.ok(token.kind === 'serviceAccount');
  assert.equal(token.audience, 'openstack');
});

test('v3oidcclientcredentials has the names and defaults of keystoneauth', () => {
  const entry = {
    auth_type: 'v3oidcclientcredentials',
    auth: { ...client, access_token_endpoint: 'https://id/token' },
  };
  const token = accessTokenOf(entry);
  assert.ok(token.kind === 'clientCredentials');
  const { secret, ...rest } = token.client;
  assert.equal(secret.reveal(), 's3cret-value');
  const address = { kind: 'endpoint', url: 'https://id/token' };
  assert.deepEqual(rest, { address, id: 'images', scope: 'openid profile', part: 'access_token' });
  const more = { discovery_endpoint: 'https://id/.well-known/openid-configuration', openid_scope: 'a' };
  const found = accessTokenOf({ ...entry, auth: { ...client, ...more, access_token_type: 'id_token' } });
  assert.ok(found.kind === 'clientCredentials');
  assert.deepEqual(found.client.address, { kind: 'discovery', url: more.discovery_endpoint });
  assert.deepEqual([found.client.scope, found.client.part], ['a', 'id_token']);
});

const refused: [what: string, entry: unknown, ServiceAccount | undefined, problem: RegExp][] = [
  [
    'no identity provider',
    { ...tokens, auth: { ...auth, identity_provider: '' } },
    account,
    /identity_provider is missing/,
  ],
  ['no protocol', { ...tokens, auth: { ...auth, protocol: '' } }, account, /protocol is missing/],
  ['neither a token nor a ServiceAccount', tokens, undefined, /access_token is missing: name a ServiceAccount/],
  ['a token and a ServiceAccount', { ...tokens, auth: { ...auth, access_token: 'x' } }, account, /remove one of them/],
  [
    'a ServiceAccount where a password is used',
    { auth: { auth_url: auth.auth_url, user_id: 'u', password: 's3cret-value', project_id: 'p' } },
    account,
    /names a ServiceAccount, which needs auth_type v3oidcaccesstoken/,
  ],
  [
    'a service user without a token of its own',
    { ...tokens, service_auth: { ...auth, auth_type: 'v3oidcaccesstoken' } },
    account,
    /service_auth: access_token is missing/,
  ],
  [
    'an audience with a comma',
    { ...tokens, auth: { ...auth, access_token_audience: 'a,b' } },
    account,
    /without a comma/,
  ],
  ['no client_id', { auth_type: 'v3oidcclientcredentials', auth }, undefined, /client_id is missing/],
  [
    'no client_secret',
    { auth_type: 'v3oidcclientcredentials', auth: { ...auth, client_id: 'a' } },
    undefined,
    /client_secret is missing; .*secure.yaml/,
  ],
  ['no address', { auth_type: 'v3oidcclientcredentials', auth: client }, undefined, /access_token_endpoint \(or disc/],
  [
    'an address that is none',
    { auth_type: 'v3oidcclientcredentials', auth: { ...client, access_token_endpoint: 'file:///s3cret-value' } },
    undefined,
    /access_token_endpoint is not an http or https URL/,
  ],
  [
    'another part of the response',
    {
      auth_type: 'v3oidcclientcredentials',
      auth: { ...client, access_token_endpoint: 'https://id', access_token_type: 'x' },
    },
    undefined,
    /access_token_type must be/,
  ],
];
for (const [what, entry, serviceAccount, problem] of refused) {
  test(`clouds.yaml with ${what} is rejected without a value of it`, () => {
    assert.throws(
      () => methodOf(entry, serviceAccount),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.equal(error.code, 'SecretInvalid');
        assert.match(error.message, problem);
        assert.doesNotMatch(error.message, /s3cret-value/);
        return true;
      },
    );
  });
}

const withdrawn: [what: string, keystone: string | undefined, problem: RegExp][] = [
  [
    'without the annotation',
    undefined,
    /has no annotation .*kubectl annotate serviceaccount glance-images -n team-a glance-image-operator.dev\/keystone='https:\/\/keystone.example.com:5000'$/,
  ],
  ['whose annotation lists another host', 'https://other.example.com:5000', /does not list "https:\/\/keystone/],
  ['whose annotation lists another port', 'https://keystone.example.com', /does not list/],
  ['whose annotation lists the address without TLS', 'http://keystone.example.com:5000', /does not list/],
  ['whose annotation lists the address for another audience', 'https://keystone.example.com:5000 x', /does not list/],
  ['whose annotation is empty', '', /is not a list of entries/],
  ['whose annotation has a path', 'https://keystone.example.com:5000/v3', /is not a list of entries/],
  ['whose annotation has a user', 'https://keystone.example.com:5000@evil', /is not a list of entries/],
  ['whose annotation has a pattern', '*', /is not a list of entries/],
];
for (const [what, keystone, problem] of withdrawn) {
  test(`the tokens of a ServiceAccount ${what} are not used`, () => {
    assert.throws(
      () => methodOf(tokens, { ...account, keystone }),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.equal(error.code, 'ServiceAccountRefused');
        assert.match(error.message, problem);
        return true;
      },
    );
  });
}

test('an audience that the author of clouds.yaml chose is used only if the owner of the ServiceAccount lists it', () => {
  const named = { ...tokens, auth: { ...auth, access_token_audience: 'https://kubernetes.default.svc' } };
  assert.throws(() => methodOf(named, account), { code: 'ServiceAccountRefused' });
});

test('the author of clouds.yaml cannot have the token of Keystone sent to a server of their own', () => {
  for (const service of ['image', 'key_manager', 'compute']) {
    const override = { [`${service}_endpoint_override`]: 'https://evil.example.com' };
    assert.throws(() => methodOf({ ...tokens, ...override }, account), {
      code: 'SecretInvalid',
      message: /uses only the endpoints of the catalog: remove the address$/,
    });
    accessTokenOf({ ...tokens, auth: { ...auth, access_token: 'x' }, ...override });
  }
});

test('a Keystone that the owner of the ServiceAccount does not list gets no token', () => {
  for (const auth_url of ['https://evil.example.com/v3', 'https://keystone.example.com.evil/v3', 'https://10.0.0.1']) {
    const elsewhere = { ...auth, auth_url, access_token_audience: 'https://keystone.example.com:5000' };
    assert.throws(() => methodOf({ ...tokens, auth: elsewhere }, account), { code: 'ServiceAccountRefused' });
  }
});

test('the author of clouds.yaml cannot add a command to the one that the owner of a ServiceAccount is to run', () => {
  const command = (changes: object) => () =>
    methodOf({ ...tokens, auth: { ...auth, ...changes } }, { ...account, keystone: undefined });
  assert.throws(command({ access_token_audience: "a';touch$IFS'x" }), {
    message: /keystone='https:\/\/keystone\.example\.com:5000 a'\\'';touch\$IFS'\\''x'$/,
  });
  assert.throws(command({ auth_url: "https://a';id;'.example.com/v3" }), {
    message: /keystone='https:\/\/a'\\'';id;'\\''\.example\.com'$/,
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { auth, loginOf, parse, requestOf, without } from './clouds-text.ts';

const { auth_url } = auth;

test('a password login names its user and project by name and domain or by id', () => {
  assert.deepEqual(requestOf({ auth }), {
    identity: {
      methods: ['password'],
      password: { user: { name: 'alice', domain: { name: 'Default' }, password: 's3cret-value' } },
    },
    scope: { project: { name: 'web', domain: { name: 'Default' } } },
  });
  assert.deepEqual(requestOf({ auth: { ...auth, user_id: 'u1', project_id: 'p1' } }), {
    identity: { methods: ['password'], password: { user: { id: 'u1', password: 's3cret-value' } } },
    scope: { project: { id: 'p1' } },
  });
});

test('a general domain is the default for the domains of the user and of the project', () => {
  const bare = without('user_domain_name', 'project_domain_name');
  for (const [given, user, project] of [
    [{ domain_name: 'D' }, { name: 'D' }, { name: 'D' }],
    [{ domain_id: 'd' }, { id: 'd' }, { id: 'd' }],
    [{ domain_id: 'd', user_domain_name: 'U' }, { name: 'U' }, { id: 'd' }],
    [{ domain_id: 'd', domain_name: 'D', project_domain_id: 'p' }, { id: 'd' }, { id: 'p' }],
    [{ default_domain_id: 'd' }, { id: 'd' }, { id: 'd' }],
    [{ default_domain_id: 'd', domain_name: 'D' }, { name: 'D' }, { name: 'D' }],
    [{ default_domain_name: 'D', project_domain_id: 'p' }, { name: 'D' }, { id: 'p' }],
  ] as const) {
    const { method, scope } = loginOf({ auth: { ...bare, ...given } }).credentials;
    assert.ok(method.kind === 'password');
    assert.deepEqual(method.user, { name: 'alice', domain: user });
    assert.deepEqual(scope, { kind: 'project', project: { name: 'web', domain: project } });
  }
});

test('the old name tenant_name is accepted', () => {
  assert.deepEqual(requestOf({ auth: { ...without('project_name'), tenant_name: 'old' } }).scope, {
    project: { name: 'old', domain: { name: 'Default' } },
  });
});

test('names that openstacksdk and keystoneauth know are read like the current ones, which override them', () => {
  const bare = without('username', 'project_domain_name', 'project_name');
  const expected = requestOf({ auth: { ...bare, username: 'alice', project_id: 'p' } });
  for (const given of [
    { auth: { ...bare, user_name: 'alice', tenant_id: 'p' } },
    { auth: { ...bare, 'user-name': 'alice', 'tenant-id': 'p' } },
    { auth: { ...bare, user_name: 'bob', username: 'alice', project_id: 'p', tenant_id: 'x' } },
  ]) {
    assert.deepEqual(requestOf(given), expected, JSON.stringify(given));
  }
  const project = { project: { name: 'web', domain: { id: 'd' } } };
  assert.deepEqual(requestOf({ auth: { ...without('project_domain_name'), default_domain: 'd' } }).scope, project);
  const token = { auth_url, project_id: 'p' };
  assert.deepEqual(
    requestOf({ auth: { ...token, auth_token: 't0ken' } }),
    requestOf({ auth: { ...token, token: 't0ken' } }),
  );
  const robot = {
    auth_url,
    application_credential_id: 'ac',
    application_credential_secret: 'x',
    user_id: 'u',
    password: 'p',
  };
  assert.deepEqual(requestOf({ auth_plugin: 'v3applicationcredential', auth: robot }).identity.methods, [
    'application_credential',
  ]);
  assert.deepEqual(
    requestOf({ auth_plugin: 'v3applicationcredential', auth_type: 'password', auth: robot }).identity.methods,
    ['password'],
  );
});

test('the address of the tokens is read as that of Keystone', () => {
  for (const end of ['/v3/auth/tokens', '/v3/auth/tokens/']) {
    assert.equal(loginOf({ auth: { ...auth, auth_url: `https://k/identity${end}` } }).authUrl, 'https://k/identity/v3');
  }
});

test('the scope of a token is a project, a domain, the system, a trust, or the default of Keystone', () => {
  const user = without('project_name', 'project_domain_name');
  for (const [given, scope] of [
    [{}, undefined],
    [{ domain_name: 'D' }, { domain: { name: 'D' } }],
    [{ domain_id: 'd' }, { domain: { id: 'd' } }],
    [{ default_domain_id: 'd' }, undefined],
    [{ system_scope: 'all' }, { system: { all: true } }],
    [{ trust_id: 't' }, { 'OS-TRUST:trust': { id: 't' } }],
    [{ project_id: 'p', domain_id: 'd' }, { project: { id: 'p' } }],
  ] as const) {
    assert.deepEqual(requestOf({ auth: { ...user, ...given } }).scope, scope, JSON.stringify(given));
  }
});

test('application credentials, by id or by name and user, have the default scope', () => {
  const byId = { auth_url, application_credential_id: 'ac', application_credential_secret: 'x', project_name: 'web' };
  const byName = {
    auth_url,
    application_credential_name: 'robot',
    application_credential_secret: 'x',
    username: 'alice',
    user_domain_id: 'default',
  };
  const expected = {
    identity: { methods: ['application_credential'], application_credential: { id: 'ac', secret: 'x' } },
    scope: undefined,
  };
  assert.deepEqual(requestOf({ auth_type: 'v3applicationcredential', auth: byId }), expected);
  assert.deepEqual(requestOf({ auth: byId }), expected, 'auth_type may be left out');
  assert.deepEqual(requestOf({ auth_type: 'v3applicationcredential', auth: byName }), {
    identity: {
      methods: ['application_credential'],
      application_credential: { name: 'robot', user: { name: 'alice', domain: { id: 'default' } }, secret: 'x' },
    },
    scope: undefined,
  });
});

test('a token login has the scope that clouds.yaml names', () => {
  const expected = { identity: { methods: ['token'], token: { id: 't0ken' } }, scope: { project: { id: 'p' } } };
  const given = { auth_url, token: 't0ken', project_id: 'p' };
  for (const auth_type of [{ auth_type: 'token' }, { auth_type: 'v3token' }, {}]) {
    assert.deepEqual(requestOf({ ...auth_type, auth: given }), expected);
  }
});

test('a placeholder for the region in auth_url is replaced', () => {
  const given = { auth: { ...auth, auth_url: 'https://{region_name}.k/v3/' }, region_name: 'one' };
  assert.equal(loginOf(given).authUrl, 'https://one.k/v3');
  assert.equal(loginOf(given, 'user', 'two').authUrl, 'https://two.k/v3');
});

test('service_auth has the same settings as auth, and by default the same auth_url', () => {
  const service_auth = {
    'user-domain-name': 'Default',
    username: 'glance-image-operator',
    password: 's3cret-value',
    tenant_name: 'service',
    domain_name: 'Default',
  };
  assert.deepEqual(requestOf({ auth, service_auth }, 'service'), {
    identity: {
      methods: ['password'],
      password: { user: { name: 'glance-image-operator', domain: { name: 'Default' }, password: 's3cret-value' } },
    },
    scope: { project: { name: 'service', domain: { name: 'Default' } } },
  });
  assert.equal(loginOf({ auth, service_auth }, 'service').authUrl, 'https://keystone.example.com/identity');
  const elsewhere = { ...service_auth, auth_url: 'http://k' };
  assert.equal(loginOf({ auth, service_auth: elsewhere }, 'service').authUrl, 'http://k');
});

test('a login without Keystone needs an address, and may name a project', () => {
  const endpoint = 'http://glance:9292';
  const given = { username: 'alice', password: 's3cret-value', token: 't0ken', project_id: 'p' };
  for (const [auth_type, kind] of [
    ['none', 'none'],
    ['noauth', 'none'],
    ['admin_token', 'adminToken'],
    ['token_endpoint', 'adminToken'],
    ['http_basic', 'httpBasic'],
  ] as const) {
    for (const where of [{ image_endpoint_override: endpoint }, { endpoint }]) {
      const { access, services, projectId } = parse({ auth_type, auth: { ...given, ...where } });
      assert.equal(access.kind, kind);
      assert.deepEqual(services.image.override, ['http://glance:9292/']);
      assert.equal(projectId, 'p');
    }
    assert.throws(
      () => parse({ auth_type, auth: given }),
      /this auth_type has no catalog: set image_endpoint_override/,
    );
  }
});

const static_ = { image_endpoint_override: 'http://glance' };
const refusals: [name: string, cloud: unknown, message: RegExp][] = [
  ['no auth_url', { auth: without('auth_url') }, /auth_url is missing/],
  ['no password', { auth: without('password') }, /password is missing/],
  ['no user', { auth: without('username') }, /username \(or user_id\) is missing/],
  ['no domain of the user', { auth: without('user_domain_name') }, /user_domain_name .*often Default/],
  [
    'no domain of the project',
    { auth: without('project_domain_name') },
    /project_domain_name .*often the domain of the user; a project_id needs none/,
  ],
  [
    'an auth_type with a passcode',
    { auth, auth_type: 'v3totp' },
    /v3totp needs a new passcode .* an application credential/,
  ],
  [
    'an auth_type with several factors',
    { auth, auth_type: 'v3multifactor' },
    /second factor .* an application credential/,
  ],
  ['an auth_type of an old API', { auth, auth_type: 'v2password' }, /Identity v2, which is not supported/],
  [
    'an auth_type that needs a browser',
    { auth, auth_type: 'v3oidcdeviceauthz' },
    /v3oidcdeviceauthz needs a person at a browser: an application credential/,
  ],
  [
    'auth_type v3oidcpassword',
    { auth, auth_type: 'v3oidcpassword' },
    /auth_type v3oidcpassword is not supported: an application credential/,
  ],
  [
    'an unknown auth_type',
    { auth, auth_type: 'v4federation' },
    /auth_type v4federation is none of password, v3password/,
  ],
  ['an auth_type that is a secret', { auth, auth_type: 's3cret-value' }, /auth_type is none of password, v3password/],
  ['an auth_type named like a method', { auth, auth_type: 'constructor' }, /auth_type is none of password/],
  ['no secret', { auth, auth_type: 'v3applicationcredential' }, /application_credential_secret is missing/],
  [
    'no application credential',
    { auth: { auth_url: 'http://k', application_credential_secret: 'x' } },
    /application_credential_id is missing/,
  ],
  [
    'an application credential with a scope',
    { auth: { auth_url, application_credential_id: 'i', application_credential_secret: 'x', trust_id: 't' } },
    /an application credential is always for its own project/,
  ],
  ['no token', { auth, auth_type: 'token' }, /token is missing/],
  [
    'two scopes',
    { auth: { ...auth, system_scope: 'all' } },
    /one scope, but this entry has project and system: keep one/,
  ],
  ['three scopes', { auth: { ...auth, system_scope: 'all', trust_id: 't' } }, /project and system and trust/],
  ['a part of the system', { auth: { ...auth, system_scope: 'half' } }, /system_scope must be all/],
  ['no token for admin_token', { ...static_, auth_type: 'admin_token' }, /token is missing/],
  ['no user for http_basic', { ...static_, auth_type: 'http_basic', password: 'p' }, /username is missing/],
  ['no password for http_basic', { ...static_, auth_type: 'http_basic', username: 'u' }, /password is missing/],
  [
    'an auth_url that is not a URL',
    { auth: { ...auth, auth_url: 'keystone:5000' } },
    /auth_url is not an http or https URL/,
  ],
  [
    'a placeholder in auth_url and no region',
    { auth: { ...auth, auth_url: 'https://{region_name}.k' } },
    /auth_url contains {region_name}, but there is no region_name/,
  ],
  [
    'an unknown placeholder in auth_url',
    { auth: { ...auth, auth_url: 'https://{profile}.k' } },
    /auth_url contains a placeholder other than {region_name}/,
  ],
  ['an auth_url of a file', { auth: { ...auth, auth_url: 'file:///etc/passwd' } }, /auth_url is not an http/],
  [
    'an auth_url with a password',
    { auth: { ...auth, auth_url: 'http://u:s3cret-value@k' } },
    /auth_url must not have a user/,
  ],
  ['an auth_url that is a list', { auth: { ...auth, auth_url: ['http://k'] } }, /auth_url is not plain text/],
  ['a service_auth that is text', { auth, service_auth: 's3cret-value' }, /service_auth is not a mapping/],
  ['a service_auth without a user', { auth, service_auth: { password: 'p' } }, /service_auth: username/],
  [
    'a service_auth with a list',
    { auth, service_auth: { password: ['s3cret-value'] } },
    /service_auth: password is not/,
  ],
  [
    'a service_auth of another kind',
    { auth, service_auth: { auth_type: 'none' } },
    /service_auth: its auth_type does not get a token/,
  ],
  [
    'a service_auth without a Keystone',
    { ...static_, auth_type: 'none', service_auth: { password: 'p' } },
    /service_auth has no effect without a Keystone: remove it/,
  ],
];

for (const [name, cloud, message] of refusals) {
  test(`a login with ${name} is rejected with one sentence`, () => {
    assert.throws(
      () => parse(cloud),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.match(error.message, message);
        assert.equal(error.code, 'SecretInvalid');
        assert.ok(!error.message.includes('s3cret-value'));
        return true;
      },
    );
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { authenticationRequest } from '../../src/openstack/credentials.ts';
import { ConfigurationError } from '../../src/openstack/errors.ts';

const auth = {
  auth_url: 'https://keystone.example.com/identity/',
  username: 'alice',
  password: 's3cret-value',
  user_domain_name: 'Default',
  project_name: 'web',
  project_domain_name: 'Default',
};
const yaml = (cloud: unknown) => stringify({ clouds: { demo: cloud } });
const parse = (cloud: unknown, region?: string) => parseCloud({ cloudsYaml: yaml(cloud) }, 'demo', region);
const requestOf = (cloud: unknown) => authenticationRequest(parse(cloud).credentials).auth;

test('a plain clouds.yaml gives a complete configuration', () => {
  const cloud = parse({ auth, region_name: 'RegionOne', interface: 'internal', api_timeout: 30 });
  assert.equal(cloud.authUrl, 'https://keystone.example.com/identity/v3');
  assert.equal(cloud.apiTimeoutMs, 30_000);
  assert.deepEqual(cloud.tls, { ca: undefined, verify: true });
  assert.deepEqual(cloud.services.image, {
    region: 'RegionOne',
    interfaces: ['internal'],
    endpointOverride: undefined,
  });
  assert.deepEqual(requestOf({ auth }), {
    identity: {
      methods: ['password'],
      password: { user: { name: 'alice', domain: { name: 'Default' }, password: 's3cret-value' } },
    },
    scope: { project: { name: 'web', domain: { name: 'Default' } } },
  });
});

test('ids win over names, and an id needs no domain', () => {
  const { identity, scope } = {
    scope: undefined,
    ...requestOf({ auth: { ...auth, user_id: 'u1', project_id: 'p1' } }),
  };
  assert.deepEqual(identity, { methods: ['password'], password: { user: { id: 'u1', password: 's3cret-value' } } });
  assert.deepEqual(scope, { project: { id: 'p1' } });
});

test('domain_* stands in for the domain of the user and of the project, where these have none', () => {
  const { user_domain_name: _, project_domain_name: __, ...bare } = auth;
  for (const [given, user, project] of [
    [{ domain_name: 'D' }, { name: 'D' }, { name: 'D' }],
    [{ domain_id: 'd' }, { id: 'd' }, { id: 'd' }],
    [{ domain_id: 'd', user_domain_name: 'U' }, { name: 'U' }, { id: 'd' }],
    [{ domain_id: 'd', domain_name: 'D', project_domain_id: 'p' }, { id: 'd' }, { id: 'p' }],
  ] as const) {
    const { credentials } = parse({ auth: { ...bare, ...given } });
    assert.ok(credentials.kind === 'password');
    assert.deepEqual(credentials.user, { name: 'alice', domain: user });
    assert.deepEqual(credentials.project, { name: 'web', domain: project });
  }
});

test('application credentials by id, or by name and user, never ask for a scope', () => {
  const auth_url = auth.auth_url;
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
  };
  assert.deepEqual(requestOf({ auth_type: 'v3applicationcredential', auth: byId }), expected);
  assert.deepEqual(requestOf({ auth: byId }), expected, 'auth_type may be left out');
  assert.deepEqual(requestOf({ auth_type: 'v3applicationcredential', auth: byName }), {
    identity: {
      methods: ['application_credential'],
      application_credential: { name: 'robot', user: { name: 'alice', domain: { id: 'default' } }, secret: 'x' },
    },
  });
});

test('keys beside auth win over the same keys inside it, dashes are underscores, and empty keys say nothing', () => {
  const cloud = parse({
    auth: { ...auth, 'auth-url': null, 'project-name': 'inner' },
    'project-name': 'outer',
    region_name: '',
    'region-name': 'R',
  });
  assert.ok(cloud.credentials.kind === 'password');
  assert.deepEqual(cloud.credentials.project, { name: 'outer', domain: { name: 'Default' } });
  assert.equal(cloud.services.image.region, 'R');
});

test('old names work: tenant_name, endpoint_type, publicURL', () => {
  const { project_name: _, ...bare } = auth;
  const cloud = parse({ auth: { ...bare, tenant_name: 'old' }, endpoint_type: 'adminURL' });
  assert.ok(cloud.credentials.kind === 'password');
  assert.deepEqual(cloud.credentials.project, { name: 'old', domain: { name: 'Default' } });
  assert.deepEqual(cloud.services.image.interfaces, ['admin']);
});

test('the region and interface of the image service: the argument, then image_*, then the general one', () => {
  const both = {
    auth,
    region_name: 'R',
    image_region_name: 'I',
    interface: 'public',
    image_interface: ['internal', 'public'],
  };
  assert.equal(parse({ auth }).services.image.region, undefined);
  assert.equal(parse({ auth, region_name: 'R' }).services.image.region, 'R');
  assert.equal(parse(both).services.image.region, 'I');
  assert.equal(parse(both, 'A').services.image.region, 'A');
  assert.deepEqual(parse(both).services.image.interfaces, ['internal', 'public']);
  assert.deepEqual(parse({ auth }).services.image.interfaces, ['public']);
});

test('auth_url gets its /v3 once, and the region where it asks for it', () => {
  for (const [given, expected] of [
    ['http://k:5000', 'http://k:5000/v3'],
    ['http://k:5000/v3/', 'http://k:5000/v3'],
    ['https://k/identity', 'https://k/identity/v3'],
    ['https://{region_name}.k/v3', 'https://r.k/v3'],
  ]) {
    assert.equal(parse({ auth: { ...auth, auth_url: given }, region_name: 'r' }).authUrl, expected);
  }
});

test('certificates are checked unless verify or insecure says otherwise', () => {
  for (const [given, verify] of [
    [{}, true],
    [{ verify: true }, true],
    [{ verify: false }, false],
    [{ verify: 'no' }, false],
    [{ insecure: true }, false],
    [{ insecure: 'True', verify: true }, false],
    [{ insecure: false }, true],
  ] as const) {
    assert.equal(parse({ auth, ...given }).tls.verify, verify, JSON.stringify(given));
  }
});

test('scalars are the text that stands there', () => {
  const text = `clouds:
  demo:
    auth: {auth_url: "http://k", user_id: 1234e5, password: 0123, project_id: 00000000000000000000000000000001}
    region_name: no`;
  const { credentials, services } = parseCloud({ cloudsYaml: text }, 'demo');
  assert.ok(credentials.kind === 'password');
  assert.deepEqual(credentials.user, { id: '1234e5' });
  assert.equal(credentials.password.reveal(), '0123');
  assert.deepEqual(credentials.project, { id: '00000000000000000000000000000001' });
  assert.equal(services.image.region, 'no');
});

test('anchors and merge keys work as people use them', () => {
  const text = `
defaults: &defaults
  region_name: R
  auth: &auth {auth_url: "http://k", user_id: u, password: p, project_id: p}
clouds:
  demo:
    <<: *defaults
    auth:
      <<: *auth
      project_id: other`;
  const { credentials, services } = parseCloud({ cloudsYaml: text }, 'demo');
  assert.ok(credentials.kind === 'password');
  assert.deepEqual(credentials.project, { id: 'other' });
  assert.equal(services.image.region, 'R');
});

const without = (key: keyof typeof auth) => Object.fromEntries(Object.entries(auth).filter(([name]) => name !== key));

const refusals: [name: string, cloud: unknown, message: RegExp][] = [
  ['no auth_url', { auth: without('auth_url') }, /auth_url is missing/],
  ['no password', { auth: without('password') }, /password is missing/],
  ['no user', { auth: without('username') }, /username \(or user_id\) is missing/],
  ['no domain of the user', { auth: without('user_domain_name') }, /user_domain_name .*often Default/],
  ['no domain of the project', { auth: without('project_domain_name') }, /project_domain_name .*often Default/],
  ['an unknown auth type', { auth, auth_type: 'v3totp' }, /auth_type is none of password, v3password, v3appl/],
  ['no secret', { auth, auth_type: 'v3applicationcredential' }, /application_credential_secret is missing/],
  [
    'no application credential',
    { auth: { auth_url: 'http://k', application_credential_secret: 'x' } },
    /application_credential_id is missing/,
  ],
  ['a profile', { auth, profile: 'vexxhost' }, /profile is not supported/],
  ['its old name', { auth, cloud: 'vexxhost' }, /profile is not supported/],
  ['a file of certificates', { auth, cacert: '/etc/ssl/ca.pem' }, /key cacert of the Secret/],
  ['a client certificate', { auth, cert: '/c.pem' }, /client certificates/],
  ['a client key', { auth, key: '/k.pem' }, /client certificates/],
  ['auth_url that is no URL', { auth: { ...auth, auth_url: 'keystone:5000' } }, /auth_url is not an http or https URL/],
  ['auth_url of a file', { auth: { ...auth, auth_url: 'file:///etc/passwd' } }, /auth_url is not an http/],
  ['auth_url with a password', { auth: { ...auth, auth_url: 'http://u:s3cret-value@k' } }, /auth_url has a user/],
  ['auth_url that is a list', { auth: { ...auth, auth_url: ['http://k'] } }, /auth_url is not plain text/],
  ['an override that is no URL', { auth, image_endpoint_override: 'nowhere' }, /image_endpoint_override is not an/],
  ['an unknown interface', { auth, interface: 'secret' }, /interface is none of public, internal, admin/],
  ['an empty list of interfaces', { auth, interface: [] }, /interface /],
  ['a timeout that is no number', { auth, api_timeout: 'soon' }, /api_timeout is not a number of seconds/],
  ['a timeout of nothing', { auth, api_timeout: 0 }, /api_timeout is not a number of seconds/],
  ['a flag that is none', { auth, verify: 'perhaps' }, /verify is neither true nor false/],
  ['a flag named like a method', { auth, verify: 'constructor' }, /verify is neither true nor false/],
  ['system scope', { auth: { ...auth, system_scope: 'all' } }, /system_scope and trust_id are not supported/],
  ['auth that is text', { auth: 'alice' }, /auth is not a mapping/],
  ['a cloud that is text', 'alice', /is not a mapping/],
];

for (const [name, cloud, message] of refusals) {
  test(`refused with a sentence: ${name}`, () => {
    assert.throws(
      () => parse(cloud),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.match(error.message, message);
        assert.equal(error.code, 'SecretInvalid');
        assert.equal(error.retry.kind, 'change');
        assert.ok(!error.message.includes('s3cret-value'));
        return true;
      },
    );
  });
}

test('a cloud that is not there is CloudNotFound, and the ones that are there are named', () => {
  const text = stringify({ clouds: { prod: {}, test: {} } });
  for (const name of ['demo', 'constructor', '__proto__']) {
    assert.throws(() => parseCloud({ cloudsYaml: text }, name), {
      code: 'CloudNotFound',
      message: `clouds.yaml has no cloud named ${name}; it has prod, test`,
    });
  }
});

const unreadable: [name: string, text: string, message: RegExp][] = [
  ['no YAML', 'clouds: {demo: [s3cret-value', /not YAML: \w+ at line 1, column \d+/],
  ['the same key twice', 'clouds: {}\nclouds: {}\n', /not YAML: DUPLICATE_KEY at line 2/],
  ['two documents', 'clouds: {}\n---\nclouds: {}\n', /not YAML/],
  ['empty', '', /no mapping named clouds/],
  ['a list', '- clouds', /no mapping named clouds/],
  ['another mapping', 'users: {}', /no mapping named clouds/],
  ['an alias of nothing', 'clouds: *s3cret-value', /YAML|usable/],
  ['too large', `clouds: {}\n${'#'.repeat(300_000)}`, /larger than 64 KiB/],
  ['nested deeply', '['.repeat(60_000), /clouds.yaml/],
  [
    'an alias bomb',
    [
      'a0: &a0 [x,x,x,x,x,x,x,x,x]',
      ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`),
      'clouds: {demo: *a9}',
    ].join('\n'),
    /too many aliases/,
  ],
];

for (const [name, text, message] of unreadable) {
  test(`a text that is ${name} is refused, without being quoted`, () => {
    assert.throws(
      () => parseCloud({ cloudsYaml: text }, 'demo'),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.match(error.message, message);
        assert.ok(!error.message.includes('s3cret-value'));
        return true;
      },
    );
  });
}

test('a cacert without a readable certificate is refused', () => {
  const files = { cloudsYaml: yaml({ auth }) };
  const garbage = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  assert.throws(() => parseCloud({ ...files, cacert: 'hello' }, 'demo'), /cacert holds no certificate in PEM form/);
  assert.throws(
    () => parseCloud({ ...files, cacert: garbage }, 'demo'),
    /cacert holds a certificate that cannot be read/,
  );
});

test('a parsed cloud shows no secret, however it is printed', () => {
  const cloud = parse({ auth });
  assert.ok(!JSON.stringify(cloud).includes('s3cret-value'));
});

test('whatever the text is, the answer is a cloud or a ConfigurationError', () => {
  const anything = fc.oneof(
    fc.string(),
    fc.anything().map((value) => JSON.stringify({ clouds: { demo: value } }) ?? ''),
  );
  fc.assert(
    fc.property(anything, (text) => {
      try {
        parseCloud({ cloudsYaml: text }, 'demo');
      } catch (error) {
        assert.ok(error instanceof ConfigurationError);
      }
    }),
  );
});

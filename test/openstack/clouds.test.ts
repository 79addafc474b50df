import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { onlyCloud } from '../../src/openstack/clouds-yaml.ts';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { makeCertificates } from '../env/certificates.ts';
import { testTls } from '../env/tls.ts';
import { auth, loginOf, parse, requestOf, without, yaml } from './clouds-text.ts';

test('a simple clouds.yaml results in a complete configuration', () => {
  const given = { auth, region_name: 'RegionOne', interface: 'internal', api_timeout: 30, connect_retries: 5 };
  const { access, ...cloud } = parse(given);
  const service = { name: undefined, region: 'RegionOne', interfaces: ['internal'], override: undefined };
  assert.deepEqual(cloud, {
    name: 'demo',
    projectId: undefined,
    tls: { ca: undefined, verify: true, client: undefined },
    apiTimeoutMs: 30_000,
    retries: 5,
    services: {
      image: { type: 'image', ...service },
      'key-manager': { type: 'key-manager', ...service },
      compute: { type: 'compute', ...service },
    },
  });
  assert.ok(access.kind === 'keystone');
  assert.equal(access.user.authUrl, 'https://keystone.example.com/identity');
  assert.equal(access.service, undefined);
});

test('a project, a domain or a token next to auth overrides that inside it, and of the other credentials those inside count', () => {
  const user = { name: 'alice', domain: { name: 'Outer' }, password: 's3cret-value' };
  const beside = { username: 'bob', user_name: 'bob', password: 'other', user_domain_name: 'Outer' };
  assert.deepEqual(requestOf({ auth, ...beside }).identity, { methods: ['password'], password: { user } });
  assert.deepEqual(requestOf({ auth, project_name: 'outer' }).scope, {
    project: { name: 'outer', domain: { name: 'Default' } },
  });
  assert.equal(
    loginOf({ auth, auth_url: 'https://other.example.com' }).authUrl,
    'https://keystone.example.com/identity',
  );
  const token = { auth_url: auth.auth_url, token: 'inner', project_id: 'p' };
  assert.deepEqual(requestOf({ auth: token, token: 'outer', auth_type: 'v3token' }).identity, {
    methods: ['token'],
    token: { id: 'outer' },
  });
});

test('keys next to auth override those inside it, dashes equal underscores, and empty keys are ignored', () => {
  const given = {
    auth: { ...auth, 'auth-url': null, 'project-name': 'inner' },
    'project-name': 'outer',
    region_name: '',
    'region-name': 'R',
  };
  assert.deepEqual(requestOf(given).scope, { project: { name: 'outer', domain: { name: 'Default' } } });
  assert.equal(parse(given).services.image.region, 'R');
});

test('certificates are verified unless verify or insecure disables it', () => {
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

test('scalars are read as text', () => {
  const text = `clouds:
  demo:
    auth: {auth_url: "http://k", user_id: 1234e5, password: 0123, project_id: 00000000000000000000000000000001}
    region_name: no`;
  const { access, services, projectId } = parseCloud({ cloudsYaml: text }, 'demo');
  assert.ok(access.kind === 'keystone' && access.user.credentials.method.kind === 'password');
  const { user, password } = access.user.credentials.method;
  assert.deepEqual(user, { id: '1234e5' });
  assert.equal(password.reveal(), '0123');
  assert.equal(projectId, '00000000000000000000000000000001');
  assert.equal(services.image.region, 'no');
});

test('a profile is ignored where the address is given', () => {
  for (const named of [{ profile: 'ovh' }, { cloud: 'demo' }]) {
    assert.deepEqual(parse({ auth, region_name: 'GRA', ...named }), parse({ auth, region_name: 'GRA' }));
  }
});

test('a timeout of 0 is no timeout of its own, as in openstacksdk, and a long one is at most a day', () => {
  assert.equal(parse({ auth, api_timeout: 0 }).apiTimeoutMs, undefined);
  assert.equal(parse({ auth, api_timeout: 100_000 }).apiTimeoutMs, 86_400_000);
});

test('the region is the first one where region_name is a list', () => {
  for (const region_name of [['DFW', 'ORD'], 'DFW,ORD,IAD', 'DFW, ORD']) {
    assert.equal(parse({ auth, region_name }).services.image.region, 'DFW');
    assert.equal(parse({ auth, region_name }, 'ORD').services.image.region, 'ORD');
  }
  assert.equal(parse({ auth, region_name: 'R', regions: [] }).services.image.region, 'R');
});

test('secure.yaml overrides clouds.yaml key by key', () => {
  const cloudsYaml = stringify({
    clouds: { demo: { auth: { ...without('password'), username: 'bob' }, verify: true } },
  });
  const secureYaml = stringify({
    clouds: { demo: { auth: { password: 's3cret-value', username: 'alice' } }, other: {} },
  });
  assert.deepEqual(parseCloud({ cloudsYaml, secureYaml }, 'demo'), parse({ auth }));
  assert.throws(() => parseCloud({ cloudsYaml }, 'demo'), /password is missing; .* under the key secure.yaml/);
  assert.throws(() => parseCloud({ cloudsYaml, secureYaml: 'clouds: {' }, 'demo'), {
    message: /^secure.yaml is not YAML/,
  });
});

test('an empty cloud or auth in secure.yaml takes nothing away, and an error about it names that file', () => {
  for (const text of ['clouds: {demo: }', 'clouds: {demo: {auth: }}'])
    assert.deepEqual(parseCloud({ cloudsYaml: yaml({ auth }), secureYaml: text }, 'demo'), parse({ auth }));
  assert.throws(() => parseCloud({ cloudsYaml: yaml({ auth }), secureYaml: 'clouds: {demo: x}' }, 'demo'), {
    message: 'cloud demo in secure.yaml is not a mapping',
  });
});

test('a cloud of secure.yaml alone is one, and a secure.yaml without clouds changes nothing', () => {
  const secureYaml = yaml({ auth });
  assert.deepEqual(parseCloud({ cloudsYaml: 'clouds: {}', secureYaml }, 'demo'), parse({ auth }));
  for (const text of ['', '\n', 'clouds: {}', 'clouds: {other: {}}', 'x: y']) {
    assert.deepEqual(parseCloud({ cloudsYaml: yaml({ auth }), secureYaml: text }, 'demo'), parse({ auth }));
  }
  assert.throws(
    () => parseCloud({ cloudsYaml: yaml({ auth }), secureYaml: 'clouds: {demo: x}' }, 'demo'),
    /not a mapping/,
  );
});

test('the files with only one cloud result in the same configuration, and have nothing of another', () => {
  const both =
    'defaults: &d {region_name: R}\nclouds: {demo: {<<: *d, password: 0123, username: ~, verify: no}, other: {x: foreign}}';
  const secureYaml = yaml({ auth, regions: ['One', { name: 'R', values: { image_interface: 'internal' } }] });
  const files = { cloudsYaml: both, secureYaml };
  const only = onlyCloud(files, 'demo');
  assert.deepEqual(parseCloud(only, 'demo'), parseCloud(files, 'demo'));
  assert.equal(parseCloud(only, 'demo', 'One').services.image.region, 'One');
  assert(!/foreign|other/.test(JSON.stringify(only)));
  assert.throws(() => onlyCloud(files, 'gone'), { code: 'CloudNotFound' });
});

test('settings by region are those of the requested region, of region_name, or of the first region', () => {
  const values = { auth: { auth_url: 'http://two', project_name: null }, image_interface: 'internal' };
  const regions = ['One', { name: 'Two', values }];
  const of = (cloud: object, region?: string) => {
    const { access, services } = parse({ auth, regions, ...cloud }, region);
    assert.ok(access.kind === 'keystone');
    return [services.image.region, services.image.interfaces[0], access.user.authUrl];
  };
  const first = ['One', 'public', 'https://keystone.example.com/identity'];
  const second = ['Two', 'internal', 'http://two'];
  assert.deepEqual(of({}), first);
  assert.deepEqual(of({}, 'Two'), second);
  assert.deepEqual(of({ region_name: 'Two' }), second);
  assert.deepEqual(of({ region_name: 'Two' }, 'One'), first);
});

const noAddress = without('auth_url');
const refusals: [name: string, cloud: unknown, message: RegExp][] = [
  [
    'a profile instead of an address',
    { auth: noAddress, profile: 'vexxhost' },
    /profile is not supported: write auth_url/,
  ],
  ['a profile under its old name', { auth: noAddress, cloud: 'vexxhost' }, /profile is not supported: write auth_url/],
  ['verify inside auth', { auth: { ...auth, verify: false } }, /verify is inside auth, .*put it next to auth/],
  ['insecure inside auth', { auth: { ...auth, insecure: true } }, /insecure is inside auth, .*put it next to auth/],
  [
    'verify inside the auth of a region',
    { auth, regions: [{ name: 'One', values: { auth: { verify: false } } }] },
    /verify is inside auth/,
  ],
  ['a file of certificates', { auth, cacert: '/etc/ssl/ca.pem' }, /key cacert of the Secret/],
  ['a file with a client certificate', { auth, cert: '/c.pem' }, /PEM text into the key cert of the Secret/],
  ['a file with a client key', { auth, key: '/k.pem' }, /PEM text into the key key of the Secret/],
  ['a timeout that is not a number', { auth, api_timeout: 'soon' }, /api_timeout is not a number of seconds/],
  ['a flag that is not a boolean', { auth, verify: 'perhaps' }, /verify is neither true nor false/],
  ['a flag named like a method', { auth, verify: 'constructor' }, /verify is neither true nor false/],
  [
    'a number of retries that is none',
    { auth, connect_retries: 'many' },
    /connect_retries is not a number from 0 to 99/,
  ],
  ['regions that are not a list', { auth, regions: 'One' }, /regions is not a list/],
  ['a region that is not listed', { auth, regions: ['One'], region_name: 'Two' }, /regions does not list the region/],
  ['a region of text', { auth, regions: [{ name: 'One', values: 'x' }] }, /values of a region are not a mapping/],
  ['a region without a name', { auth, regions: [['One']] }, /region_name is not plain text/],
  ['a region whose auth is text', { auth, regions: [{ name: 'One', values: { auth: 'x' } }] }, /auth is not a map/],
  ['an auth that is text', { auth: 'alice' }, /auth is not a mapping/],
  ['text instead of settings', 'alice', /is not a mapping/],
];

for (const [name, cloud, message] of refusals) {
  test(`a cloud with ${name} is rejected with one sentence`, () => {
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

test('a missing cloud is CloudNotFound, and the message names the existing ones', () => {
  const text = stringify({ clouds: { prod: {}, test: {} } });
  for (const name of ['demo', 'constructor', '__proto__']) {
    assert.throws(() => parseCloud({ cloudsYaml: text }, name), {
      code: 'CloudNotFound',
      message: `clouds.yaml has no cloud named ${name}; it has prod, test`,
    });
  }
});

const tls = () => {
  const { cert, key } = testTls();
  return { cert, key, garbage: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' };
};

test('a cacert without a valid certificate is rejected', () => {
  const { garbage } = tls();
  assert.throws(() => parse({ auth }, undefined, { cacert: 'hello' }), /cacert contains no certificate in PEM form/);
  assert.throws(
    () => parse({ auth }, undefined, { cacert: garbage }),
    /cacert contains a certificate that cannot be read/,
  );
});

test('a Secret from the templates of Cluster API is used unchanged, with and without a certificate of the cloud', () => {
  const { cert } = tls();
  assert.equal(parse({ auth, cacert: '/etc/ssl/ca.pem' }, undefined, { cacert: cert }).tls.ca, cert);
  assert.equal(parse({ auth }, undefined, { cacert: '\n' }).tls.ca, undefined);
  assert.throws(
    () => parse({ auth, cacert: '/etc/ssl/ca.pem' }, undefined, { cacert: '\n' }),
    /key cacert of the Secret/,
  );
});

test('a path of a certificate is ignored where it would have no effect', () => {
  const http = { ...auth, auth_url: 'http://keystone.example.com' };
  for (const cloud of [
    { auth, cacert: '/etc/ssl/ca.pem', verify: false },
    { auth: http, cacert: '/etc/ssl/ca.pem' },
    { auth: { ...http, cacert: '/etc/ssl/ca.pem' } },
    { auth: http, cert: '/c.pem', key: '/k.pem' },
  ]) {
    const { ca, client } = parse(cloud).tls;
    assert.deepEqual([ca, client], [undefined, undefined], JSON.stringify(cloud));
  }
  for (const cloud of [
    { auth, cert: '/c.pem', key: '/k.pem', verify: false },
    { auth: http, cacert: '/etc/ssl/ca.pem', image_endpoint_override: 'https://glance.example.com' },
  ]) {
    assert.throws(() => parse(cloud), /names a file/, JSON.stringify(cloud));
  }
});

test('PEM text in clouds.yaml is used, and the keys of the Secret override it', () => {
  const { cert, key, garbage } = tls();
  for (const cloud of [
    { auth, cacert: cert, cert, key },
    { auth: { ...auth, cacert: cert }, cert, key },
  ]) {
    const { ca, client } = parse(cloud).tls;
    assert.deepEqual([ca, client?.cert, client?.key.reveal()], [cert, cert, key]);
  }
  assert.equal(parse({ auth, cacert: garbage }, undefined, { cacert: cert }).tls.ca, cert);
  assert.throws(() => parse({ auth, cacert: garbage }), /cacert contains a certificate that cannot be read/);
});

test('certificates in one line with each other or with a note are put into lines of their own, because TLS would find none', () => {
  const { cert, key } = tls();
  for (const text of [
    `${cert.trimEnd()}${cert}`,
    `# ${cert}"${cert.trimEnd()}"`,
    `${cert.trimEnd()} # old\n${cert}\0`,
  ]) {
    const { ca, client } = parse({ auth }, undefined, { cacert: text, cert: text, key }).tls;
    assert.deepEqual([ca, client?.cert], [`${cert}${cert}`, `${cert}${cert}`], text);
  }
});

test('a client certificate consists of cert and key of the Secret, and they must match', () => {
  const { cert, key, garbage } = tls();
  const { client } = parse({ auth }, undefined, { cert, key }).tls;
  assert.equal(client?.cert, cert);
  assert.equal(client.key.reveal(), key);
  const { privateKey } = generateKeyPairSync('ed25519');
  const another = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' }).toString();
  for (const [files, message] of [
    [{ cert }, /a cert without a key: a client certificate needs both/],
    [{ key }, /a key without a cert/],
    [{ cert: 'hello', key }, /cert contains no certificate in PEM form/],
    [{ cert: garbage, key }, /cert contains a certificate that cannot be read/],
    [{ cert, key: 'hello' }, /key contains no private key in PEM form/],
    [{ cert, key: cert }, /key contains no private key in PEM form/],
    [{ cert, key: another }, /key is not the private key of the certificate in cert/],
    [{ cert, key: locked }, /key is encrypted with a passphrase/],
  ] as const) {
    assert.throws(() => parse({ auth }, undefined, files), message);
  }
});

test('a client certificate that TLS does not accept is rejected with the reason', async () => {
  const { cert, key } = (await makeCertificates()).shortKey;
  assert.throws(() => parse({ auth }, undefined, { cert, key }), {
    code: 'SecretInvalid',
    message: 'the client certificate cannot be used: TLS failed: ee key too small',
  });
});

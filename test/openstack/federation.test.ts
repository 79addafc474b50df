/** Signing in through an identity provider, against canned responses. The real Keystone is in test/docs/federation.test.ts. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { SecretString } from '../../src/lib/secret.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { AuthenticationFailed, ConnectionFailed, IdentityProviderUnavailable } from '../../src/openstack/errors.ts';
import { openSession } from '../../src/openstack/pool.ts';
import { defaultRetryPolicy } from '../../src/openstack/retry.ts';
import { yaml } from './clouds-text.ts';
import { cloudOf, look, type Reply, signal } from './fake-cloud.ts';
import { ManualClock } from './manual-clock.ts';
import { bodyOf, reply, serve } from './stub.ts';

const auth = { auth_url: 'http://keystone/v3', identity_provider: 'kube rnetes', protocol: 'openid', project_id: 'p' };
const account = { namespace: 'team-a', name: 'images', uid: 'u', keystone: 'http://keystone' };
const accountEntry = { auth_type: 'v3oidcaccesstoken', auth };
const clientEntry = {
  auth_type: 'v3oidcclientcredentials',
  auth: {
    ...auth,
    client_id: 'images',
    client_secret: 'cl1ent-secret',
    access_token_endpoint: 'http://id/token',
  },
};
const federated = 'http://keystone/v3/OS-FEDERATION/identity_providers/kube%20rnetes/protocols/openid/auth';
const token = (text: string): Reply => ({ status: 200, text: JSON.stringify({ access_token: text }) });

async function rejectionOf(call: Promise<unknown>): Promise<OperatorError> {
  const error = await call.then(
    () => assert.fail('it was not rejected'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof OperatorError);
  assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /cl1ent-secret|acc3ss-token/);
  return error;
}

test('a client gets an access token at the token endpoint, exchanges it at Keystone, and then asks for its project', async (t) => {
  const { session, seen } = cloudOf(t, {
    entry: clientEntry,
    at: (url) => (url === 'http://id/token' ? token('acc3ss-token') : undefined),
  });
  await session.identity(signal());
  const [, atProvider, exchange, scoping] = seen;
  assert.equal(seen.length, 4);
  assert.ok(atProvider !== undefined && 'method' in atProvider && 'body' in atProvider);
  assert.deepEqual([atProvider.method, atProvider.url], ['POST', 'http://id/token']);
  assert.equal(atProvider.headers['authorization'], `Basic ${Buffer.from('images:cl1ent-secret').toString('base64')}`);
  assert.equal(atProvider.body, 'grant_type=client_credentials&scope=openid+profile');
  assert.equal(exchange?.url, federated);
  assert.equal(exchange.headers['authorization'], 'Bearer acc3ss-token');
  assert.ok(scoping !== undefined && 'body' in scoping && typeof scoping.body === 'string');
  assert.equal(scoping.url, 'http://keystone/v3/auth/tokens');
  assert.deepEqual(JSON.parse(scoping.body), {
    auth: { identity: { methods: ['token'], token: { id: 'token-1' } }, scope: { project: { id: 'p' } } },
  });
  assert.equal(scoping.headers['authorization'], undefined);
});

test('the discovery document names the token endpoint, which may be on another host', async (t) => {
  const discovery = 'https://id/.well-known/openid-configuration';
  const { access_token_endpoint: _, ...rest } = clientEntry.auth;
  const { session, asked } = cloudOf(t, {
    entry: { ...clientEntry, auth: { ...rest, discovery_endpoint: discovery } },
    at: (url) => {
      if (url === discovery) return { text: JSON.stringify({ token_endpoint: 'https://tokens/oauth/token' }) };
      return url.startsWith('https://tokens/') ? token('acc3ss-token') : undefined;
    },
  });
  await session.identity(signal());
  assert.equal(asked('https://tokens/oauth/token').length, 1);
});

for (const [what, endpoint] of [
  ['without TLS', 'http://tokens/oauth'],
  ['with a user', 'https://a:b@tokens/oauth'],
  ['with another scheme', 'file:///etc/passwd'],
  ['that is no text', 17],
] as const) {
  test(`a token endpoint ${what} in a discovery document gets no client secret`, async (t) => {
    const { access_token_endpoint: _, ...rest } = clientEntry.auth;
    const { session, asked } = cloudOf(t, {
      entry: { ...clientEntry, auth: { ...rest, discovery_endpoint: 'https://id/d' } },
      at: (url) => (url === 'https://id/d' ? { text: JSON.stringify({ token_endpoint: endpoint }) } : undefined),
    });
    const error = await rejectionOf(session.identity(signal()));
    assert.match(error.message, /^the discovery document https:\/\/id\/d cannot be used: its? /);
    assert.equal(asked('http').length, 2, 'Keystone and the document');
  });
}

describe('the message of a rejected sign-in', () => {
  const unsupported = '{"error": "invalid_client", "error_description": "cl1ent-secret is wrong"}';
  const keystone = (code: number, message: string): Reply => ({
    status: code,
    headers: { 'content-type': 'application/json' },
    text: JSON.stringify({ error: { code, message, title: 'x' } }),
  });
  const cases: [what: string, at: Record<string, Reply>, code: string, message: RegExp][] = [
    [
      'quotes the token endpoint that rejects the client',
      { 'http://id/token': { status: 401, headers: { 'content-type': 'application/json' }, text: unsupported } },
      'AuthenticationFailed',
      /^the token endpoint http:\/\/id\/token rejected the credentials of cloud demo: 401: invalid_client: \[redacted\] is wrong; check client_id, client_secret/,
    ],
    [
      'names the setting if there is no token endpoint at the address',
      { 'http://id/token': { status: 404 } },
      'IdentityUnavailable',
      /^the token endpoint http:\/\/id\/token returned 404: .*; is access_token_endpoint right\?/,
    ],
    [
      'says that the identity provider has no usable token',
      { 'http://id/token': { status: 200, text: '{"access_token": "a b"}' } },
      'IdentityUnavailable',
      /cannot be used: its response has no usable access_token/,
    ],
    [
      'says what a web server has to accept that redirects to a login page',
      { [federated]: { status: 302, headers: { location: 'https://id/login' } } },
      'CredentialsInvalid',
      /^Keystone redirects the access token of the credentials of cloud demo to a login page: 302: .*; its web server must accept bearer tokens/,
    ],
    [
      'says what has to fit if the web server or the mapping rejects the token',
      { [federated]: keystone(401, 'acc3ss-token is not for you') },
      'AuthenticationFailed',
      /^Keystone rejected the access token of .*: 401: \[redacted\] is not for you; the web server of Keystone must accept the issuer and the keys .* and the mapping of identity provider kube rnetes and protocol openid/,
    ],
    [
      'has the problem that the web server names in a header, and not its page',
      {
        [federated]: {
          status: 401,
          headers: { 'content-type': 'text/html', 'www-authenticate': 'Bearer error="x", error_description="expired"' },
          text: '<html><h1>Unauthorized</h1>wrong password</html>',
        },
      },
      'AuthenticationFailed',
      /^Keystone rejected the access token of .*: 401: expired; the web server of Keystone must accept the issuer/,
    ],
    [
      'does not quote a page of the web server',
      { [federated]: { status: 401, headers: { 'content-type': 'text/html' }, text: '<html>wrong password</html>' } },
      'AuthenticationFailed',
      /: 401: a page of its web server; the web server of Keystone must accept the issuer/,
    ],
    [
      'names the identity provider that Keystone does not know',
      { [federated]: keystone(404, 'Could not find Identity Provider') },
      'CredentialsInvalid',
      /identity provider kube rnetes and protocol openid must exist in Keystone under these names/,
    ],
    [
      'asks for a group with a role if Keystone rejects the project',
      { 'http://keystone/v3/auth/tokens': keystone(401, 'User has no access to project') },
      'AuthenticationFailed',
      /accepted the access token of .*, but rejected the project: 401: .*; the mapping in Keystone must put the user into a group that has a role there/,
    ],
  ];
  for (const [what, at, code, message] of cases) {
    test(what, async (t) => {
      const { session } = cloudOf(t, {
        entry: clientEntry,
        at: (url) => at[url] ?? (url === 'http://id/token' ? token('acc3ss-token') : undefined),
      });
      const error = await rejectionOf(session.identity(signal()));
      assert.match(error.message, message);
      assert.equal(error.code, code);
    });
  }

  test('the message of a rejected token of a ServiceAccount names its audience', async (t) => {
    const { session } = cloudOf(t, {
      entry: accountEntry,
      serviceAccount: account,
      serviceAccountTokens: async () => new SecretString('acc3ss-token'),
      at: (url) => (url === federated ? { status: 401, text: 'no' } : undefined),
    });
    const error = await rejectionOf(session.identity(signal()));
    assert.match(error.message, /the issuer, the audience http:\/\/keystone and the keys/);
  });
});

test('a token endpoint that is overloaded or does not respond is tried again, and named', async (t) => {
  const down = new ConnectionFailed('http://id', new Error('connect ECONNREFUSED'));
  for (const [answer, message] of [
    [{ status: 503 }, /^the token endpoint http:\/\/id\/token returned 503/],
    [down, /^the token endpoint http:\/\/id\/token does not respond: connect ECONNREFUSED$/],
  ] as const) {
    let tries = 0;
    const { session } = cloudOf(t, {
      entry: clientEntry,
      at: (url) => {
        if (url !== 'http://id/token') return undefined;
        tries++;
        return answer;
      },
    });
    const error = await rejectionOf(session.identity(signal()));
    assert.ok(error instanceof IdentityProviderUnavailable);
    assert.match(error.message, message);
    assert.equal(tries, 4);
  }
});

test('each sign-in uses a new token of the ServiceAccount, well before the token of Keystone ends', async (t) => {
  const wishes: string[] = [];
  const { session, clock, asked } = cloudOf(t, {
    entry: accountEntry,
    serviceAccount: account,
    async serviceAccountTokens({ namespace, name }, audience) {
      wishes.push(`${namespace}/${name} ${audience}`);
      return new SecretString(`acc3ss-token-${wishes.length}`);
    },
  });
  await session.call('image', look());
  clock.advance(3_400_000);
  await session.call('image', look());
  assert.equal(wishes.length, 1, 'it is still good');
  clock.advance(120_000);
  await session.call('image', look());
  assert.deepEqual(wishes, ['team-a/images http://keystone', 'team-a/images http://keystone']);
  assert.deepEqual(
    asked(federated).map(({ headers }) => headers['authorization']),
    ['Bearer acc3ss-token-1', 'Bearer acc3ss-token-2'],
  );
});

test('the session signs in with a new token of the ServiceAccount after a 401 of Glance', async (t) => {
  let wishes = 0;
  const { session } = cloudOf(t, {
    entry: accountEntry,
    serviceAccount: account,
    serviceAccountTokens: async () => new SecretString(`acc3ss-token-${++wishes}`),
    image: [{ status: 401 }],
  });
  await session.call('image', look());
  assert.equal(wishes, 2);
});

test('a session without a right to the tokens of the ServiceAccount sends no request for one to Keystone', async (t) => {
  const { session, asked } = cloudOf(t, {
    entry: accountEntry,
    serviceAccount: account,
    async serviceAccountTokens() {
      throw new OperatorError('the operator may not', { code: 'ServiceAccountForbidden' });
    },
  });
  assert.equal((await rejectionOf(session.identity(signal()))).code, 'ServiceAccountForbidden');
  assert.equal(asked(federated).length, 0);
});

test('a program that requests no tokens of ServiceAccounts says so', async (t) => {
  const { session } = cloudOf(t, { entry: accountEntry, serviceAccount: account });
  const error = await rejectionOf(session.identity(signal()));
  assert.equal(error.code, 'ServiceAccountRefused');
  assert.match(error.message, /only the operator requests tokens of ServiceAccounts, .* ServiceAccount "images"/);
});

describe('a hostile token endpoint', () => {
  async function open(t: TestContext, endpoint: string, clock: Clock) {
    const version = { version: { id: 'v3.14', status: 'stable' } };
    const keystone = await serve(t, (_, response) => reply(response, 200, version));
    const found = { auth_url: keystone, access_token_endpoint: endpoint };
    const cloudsYaml = yaml({ ...clientEntry, auth: { ...clientEntry.auth, ...found } });
    const policy = { ...defaultRetryPolicy, retries: 0 };
    const session = openSession(parseCloud({ cloudsYaml }, 'demo'), { clock, random: () => 0.5, policy });
    t.after(() => session.close());
    return session;
  }

  test('a redirect of a token endpoint to another host is not followed, and the client secret does not go there', async (t) => {
    const reached: string[] = [];
    const other = await serve(t, async (request, response) => {
      reached.push(`${request.method} ${request.url} ${request.headers.authorization} ${await bodyOf(request)}`);
      reply(response, 200, { access_token: 'x' });
    });
    for (const status of [302, 307, 308]) {
      const endpoint = await serve(t, (request, response) => {
        request.resume();
        reply(response, status, {}, { location: `${other}/token` });
      });
      const session = await open(t, `${endpoint}/token`, systemClock);
      const error = await rejectionOf(session.identity(signal()));
      assert.match(error.message, new RegExp(`returned ${status}: .*; is access_token_endpoint right`));
    }
    assert.deepEqual(reached, []);
  });

  test('a token endpoint that sends without end, or nothing, is cut off', async (t) => {
    let sent = 0;
    const flood = await serve(t, (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = () => {
        for (let count = 0; count < 100 && !response.destroyed; count++) {
          sent += 1024;
          if (!response.write('['.repeat(1024))) {
            response.once('drain', more);
            return;
          }
        }
        if (!response.destroyed) setImmediate(more);
      };
      more();
    });
    const flooded = await open(t, flood, systemClock);
    const error = await rejectionOf(flooded.identity(signal()));
    assert.match(error.message, /cannot be used: .* is larger than 65536 bytes/);
    assert.ok(sent < 64 * 2 ** 20, `${sent} bytes were taken`);
    const clock = new ManualClock();
    const silent = await serve(t, (request) => void request.resume().once('end', () => clock.advance(31_000)));
    const session = await open(t, silent, clock);
    assert.match((await rejectionOf(session.identity(signal()))).message, /does not respond: .* took longer than/);
  });
});

test('the rejection of the token is an AuthenticationFailed, which is not repeated within half a minute', async (t) => {
  const { session, asked } = cloudOf(t, {
    entry: clientEntry,
    at: (url) => (url === 'http://id/token' ? { status: 401 } : undefined),
  });
  for (let count = 0; count < 3; count++)
    assert.ok((await rejectionOf(session.identity(signal()))) instanceof AuthenticationFailed);
  assert.equal(asked('http://id/token').length, 1);
});

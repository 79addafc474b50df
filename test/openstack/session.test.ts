import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthenticationFailed,
  ConnectionFailed,
  EndpointNotFound,
  HttpFailure,
  MalformedResponse,
  SessionClosed,
} from '../../src/openstack/errors.ts';
import { cloudOf, look, type Reply, reset, signal } from './fake-cloud.ts';

test('a 401 of a service leads to one new token and one more attempt', async (t) => {
  const { session, seen, tokensGiven } = cloudOf(t, { image: [{ status: 401 }, { status: 200, text: '{"ok":1}' }] });
  assert.equal((await session.call('image', look())).text, '{"ok":1}');
  assert.equal(tokensGiven(), 2);
  assert.equal(seen.at(-1)?.headers['x-auth-token'], 'token-2');
});

test('a second 401 in a row is an AuthenticationFailed that is retried later', async (t) => {
  const { session, tokensGiven } = cloudOf(t, {
    image: [{ status: 401 }, { status: 401, text: '', requestId: 'req-g' }],
  });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof AuthenticationFailed);
    assert.deepEqual(error.retry, { kind: 'backoff' });
    assert.match(error.message, /the image service rejects the token that Keystone has just issued: 401 \(req-g\)/);
    return true;
  });
  assert.equal(tokensGiven(), 2);
});

test('a token without a project is an error that names the missing setting', async (t) => {
  const { session } = cloudOf(t, { scope: {} });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof EndpointNotFound);
    assert.match(error.message, /not scoped to a project: set project_name/);
    return true;
  });
});

test('an error response of a service is an HttpFailure with status, message and request id', async (t) => {
  const { session } = cloudOf(t, {
    image: [{ status: 413, text: 'Quota is used up', requestId: 'req-9', headers: { 'content-type': 'text/plain' } }],
  });
  await assert.rejects(session.call('image', look({ method: 'POST', path: '/images?x=1' })), (error) => {
    assert.ok(error instanceof HttpFailure);
    assert.equal(error.message, 'POST http://glance/v2/images?…: 413: Quota is used up (req-9)');
    return true;
  });
});

test('a call that is not idempotent is not repeated if it may have been applied', async (t) => {
  for (const [idempotent, calls] of [
    [true, 2],
    [false, 1],
  ] as const) {
    const { session, seen } = cloudOf(t, { image: [{ status: 502 }] });
    await session.call('image', look({ method: 'POST', idempotent })).catch(() => undefined);
    assert.equal(seen.filter(({ url }) => url.startsWith('http://glance')).length, calls);
  }
});

test('an upload is repeated only while nothing of its body was read', async (t) => {
  async function* body() {
    yield Buffer.from('x');
  }
  const file = { operation: 'upload', path: '/images/1/file', headers: {} } as const;
  const upload = () => ({ ...file, body: body(), size: undefined, signal: signal() });
  const before = cloudOf(t, { image: [reset(), { status: 204 }] });
  assert.equal((await before.session.upload('image', upload())).status, 204);
  const after = cloudOf(t, { image: [{ status: 503 }] });
  await assert.rejects(after.session.upload('image', upload()), HttpFailure);
  assert.equal(after.asked('http://glance').length, 1);
});

test('an upload that gets a 401 is not repeated, and the next call has a new token', async (t) => {
  const { session, seen } = cloudOf(t, { image: [{ status: 401 }] });
  async function* body() {
    yield Buffer.from('x');
  }
  const file = { operation: 'upload', path: '/images/1/file', headers: {} } as const;
  const upload = { ...file, body: body(), size: 1, signal: signal() };
  await assert.rejects(session.upload('image', upload), HttpFailure);
  await session.call('image', look());
  assert.equal(seen.at(-1)?.headers['x-auth-token'], 'token-2');
});

test('a download is retried until its head has arrived, with a new token after a 401', async (t) => {
  const { session, seen } = cloudOf(t, {
    image: [reset(), { status: 503 }, { status: 401 }, { status: 200, text: 'data', requestId: 'req-d' }],
  });
  const headers = { range: 'bytes=0-3' };
  const { status, requestId, body } = await session.download('image', {
    operation: 'download',
    path: '/images/1/file',
    headers,
    signal: signal(),
  });
  assert.deepEqual([status, requestId], [200, 'req-d']);
  let read = '';
  for await (const chunk of body) read += Buffer.from(chunk).toString();
  assert.equal(read, 'data');
  const { url, headers: sent } = seen.at(-1) ?? assert.fail();
  assert.equal(url, 'http://glance/v2/images/1/file');
  assert.deepEqual([sent['range'], sent['x-auth-token']], ['bytes=0-3', 'token-2']);
});

test('every request has the operation of its caller, whatever path the endpoint has', async (t) => {
  const versions: Reply = { status: 200, text: '{"versions": []}' };
  const { session, seen } = cloudOf(t, {
    endpoints: ['http://glance/v2/images/tags/tasks'],
    at: (url) => (url.endsWith('/versions') ? versions : undefined),
  });
  await session.call('image', look({ operation: 'deactivate' }));
  await session.upload('image', { operation: 'stage', path: '/x', body: pieces(), size: 1, signal: signal() });
  const { body } = await session.download('image', { operation: 'download', path: '/x', signal: signal() });
  for await (const _ of body);
  await session.versions('image', signal());
  assert.deepEqual(
    seen.map(({ purpose: { service, operation } }) => `${service} ${operation}`),
    ['identity versions', 'identity signIn', 'image deactivate', 'image stage', 'image download', 'image versions'],
  );
});

async function* pieces() {
  yield Buffer.from('x');
}

test('a rejected download is an HttpFailure', async (t) => {
  const { session } = cloudOf(t, { image: [{ status: 403, text: 'not yours' }] });
  await assert.rejects(
    session.download('image', { operation: 'download', path: '/images/1/file', signal: signal() }),
    HttpFailure,
  );
});

const versionsOf = (...versions: [id: string, status: string][]): Reply => ({
  status: 300,
  text: JSON.stringify({ versions: versions.map(([id, status]) => ({ id, status, links: [] })) }),
});

test('the versions of a service are fetched once and cached for an hour', async (t) => {
  const { session, seen, clock } = cloudOf(t, {
    image: [
      versionsOf(['v2.17', 'CURRENT'], ['v2.16', 'SUPPORTED'], ['v2.1', 'DEPRECATED'], ['v3.0', 'EXPERIMENTAL']),
      versionsOf(['v2.18', 'CURRENT']),
    ],
  });
  for (const _ of [1, 2]) assert.deepEqual(await session.versions('image', signal()), ['v2.17', 'v2.16', 'v3.0']);
  const asked = () => seen.map(({ url }) => url).filter((url) => url.startsWith('http://glance/'));
  assert.deepEqual(asked(), ['http://glance/versions']);
  clock.advance(3_600_000);
  assert.deepEqual(await session.versions('image', signal()), ['v2.18']);
});

test('the versions of a service are also found at its root', async (t) => {
  const { session, seen } = cloudOf(t, { image: [{ status: 404 }, versionsOf(['v2.9', 'CURRENT'])] });
  assert.deepEqual(await session.versions('image', signal()), ['v2.9']);
  assert.equal(seen.at(-1)?.url, 'http://glance/');
});

test('a service without a list of versions is an error, and a busy one is retried', async (t) => {
  const { session, asked } = cloudOf(t, { image: [{ status: 503 }, { text: '{}' }, { status: 404 }, { status: 500 }] });
  await assert.rejects(session.versions('image', signal()), (error) => {
    assert.ok(error instanceof MalformedResponse);
    assert.equal(error.message, 'neither http://glance/versions nor http://glance/ is a list of API versions');
    return true;
  });
  assert.equal(asked('http://glance').length, 3);
  await assert.rejects(session.versions('image', signal()), /GET http:\/\/glance\/versions: 500/);
});

test('a domain or system scope is enough to call a service', async (t) => {
  for (const [scope, kind] of [
    [{ domain: { id: 'd', name: 'D' } }, 'domain'],
    [{ system: { all: true } }, 'system'],
  ] as const) {
    const { session } = cloudOf(t, { scope });
    assert.equal((await session.call('image', look())).status, 200);
    const identity = await session.identity(signal());
    assert.deepEqual([identity.scope, identity.project], [kind, undefined]);
  }
});

test('every attempt of a call has the same request id, its own or that of the caller', async (t) => {
  const image: Reply[] = [{ status: 503 }, { status: 401 }];
  const { session, asked } = cloudOf(t, { image: [...image, {}, ...image] });
  const ids = () => asked('http://glance').map(({ requestId }) => requestId);
  await session.call('image', look());
  assert.equal(ids().length, 3);
  assert.equal(new Set(ids()).size, 1);
  assert.match(ids()[0] ?? '', /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  await session.call('image', look({ requestId: 'req-mine' }));
  assert.deepEqual(ids().slice(3), ['req-mine', 'req-mine', 'req-mine']);
  for (const requestId of ['x'.repeat(65), 'a b', 'a\nb', '']) {
    await assert.rejects(session.call('image', look({ requestId })), TypeError);
  }
});

test('a token is renewed once per call, not once per attempt', async (t) => {
  const { session, tokensGiven } = cloudOf(t, { image: [{ status: 401 }, { status: 503 }, { status: 401 }] });
  await assert.rejects(session.call('image', look()), AuthenticationFailed);
  assert.equal(tokensGiven(), 2);
});

test('a closed session starts no further attempt', async (t) => {
  const { session, asked } = cloudOf(t, {
    at: (url) => {
      if (!url.startsWith('http://glance')) return undefined;
      void session.close();
      return { status: 503 };
    },
  });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof SessionClosed, `${error}`);
    assert.equal(error.message, 'the session with cloud demo is closed');
    return true;
  });
  assert.equal(asked('http://glance').length, 1);
});

test('a header applies to its call only, and cannot replace the token', async (t) => {
  const { session, seen } = cloudOf(t);
  await session.call('image', look({ headers: { 'x-image-meta-store': 'fast', 'x-auth-token': 'mine' } }));
  assert.deepEqual(seen.at(-1)?.headers, { 'x-image-meta-store': 'fast', 'x-auth-token': 'token-1' });
  await session.call('image', look());
  assert.deepEqual(seen.at(-1)?.headers, { 'x-auth-token': 'token-1' });
});

test('a service that echoes the token is quoted without it', async (t) => {
  const { session } = cloudOf(t, { image: [{ status: 400, text: 'you sent X-Auth-Token: token-1' }] });
  await assert.rejects(session.call('image', look()), /400: you sent X-Auth-Token: \[redacted\]/);
});

test('the number of retries can be set in clouds.yaml', async (t) => {
  const { session, asked } = cloudOf(t, {
    entry: { image_connect_retries: '1' },
    image: Array.from({ length: 9 }, () => ({ status: 503 })),
  });
  await assert.rejects(session.call('image', look()), HttpFailure);
  assert.equal(asked('http://glance').length, 2);
});

test('a service token is sent with the token, and both are renewed after a 401', async (t) => {
  const service_auth = { user_id: 's', password: 'another', project_id: 'service' };
  const { session, seen, tokensGiven } = cloudOf(t, { entry: { service_auth }, image: [{}, { status: 401 }] });
  const shown = () => [seen.at(-1)?.headers['x-auth-token'], seen.at(-1)?.headers['x-service-token']].sort();
  await session.call('image', look());
  assert.deepEqual(shown(), ['token-1', 'token-2']);
  await session.call('image', look());
  assert.deepEqual(shown(), ['token-3', 'token-4']);
  assert.equal(tokensGiven(), 4);
});

test('rejected service credentials are distinguished from the credentials of the user', async (t) => {
  const service_auth = { user_id: 's', password: 'another', project_id: 'service' };
  const { session } = cloudOf(t, { entry: { service_auth }, keystone: ['token', { status: 401, text: 'no' }] });
  await assert.rejects(
    session.call('image', look()),
    /the service credentials \(service_auth\) of cloud demo: 401: no/,
  );
});

test('a cloud without Keystone sends the credentials of clouds.yaml to every service, and has no other services', async (t) => {
  const image_endpoint_override = 'http://glance';
  for (const [entry, headers] of [
    [{ auth_type: 'none' }, {}],
    [{ auth_type: 'admin_token', token: 'given' }, { 'x-auth-token': 'given' }],
    [{ auth_type: 'http_basic', username: 'alice' }, { authorization: `Basic ${btoa('alice:wr0ng')}` }],
  ] as const) {
    const { session, seen, asked } = cloudOf(t, { entry: { ...entry, image_endpoint_override } });
    await session.call('image', look());
    assert.deepEqual(seen.at(-1)?.headers, headers);
    assert.deepEqual(asked('http://keystone'), []);
    assert.deepEqual((await session.identity(signal())).project, { id: 'p', name: 'p' });
    await assert.rejects(
      session.endpoint('key-manager', signal()),
      /has no catalog that could list its key-manager service/,
    );
  }
});

test('credentials that do not come from Keystone are not renewed, and their rejection needs an edit', async (t) => {
  const entry = { auth_type: 'admin_token', token: 'given', image_endpoint_override: 'http://glance' };
  const { session, asked } = cloudOf(t, { entry, image: [{ status: 401, text: 'no' }] });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof AuthenticationFailed);
    assert.equal(error.retry.kind, 'change');
    assert.equal(error.message, 'the image service rejects the credentials in clouds.yaml: 401: no');
    return true;
  });
  assert.equal(asked('http://glance').length, 1);
});

test('a catalog without a usable address of the service is an error', async (t) => {
  const { session } = cloudOf(t, { endpoints: ['ftp://glance', 'glance'] });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof EndpointNotFound);
    assert.match(error.message, /has no http or https URL for the image service/);
    return true;
  });
});

test('an endpoint that has moved is found in a new catalog after a call could not connect', async (t) => {
  const endpoints = ['http://glance/'];
  const gone = (url: string) => (url.startsWith('http://glance') ? reset() : undefined);
  const { session, asked, tokensGiven } = cloudOf(t, { endpoints, at: gone });
  await assert.rejects(session.call('image', look()), ConnectionFailed);
  endpoints[0] = 'http://moved/';
  await session.call('image', look());
  assert.equal(tokensGiven(), 2);
  assert.equal(asked('http://moved').length, 1);
});

test('an endpoint that has moved is found in a new catalog after something else has responded at its old address', async (t) => {
  const page = { headers: { 'content-type': 'text/html' }, text: '<html></html>' };
  const pages: Reply[] = [301, 404, 410].map((status) => ({ status, ...page }));
  const others: Reply[] = [...[502, 503, 504].map((status) => ({ status })), ...pages];
  for (const other of others) {
    const endpoints = ['http://glance/'];
    const gone = (url: string) => (url.startsWith('http://glance') ? other : undefined);
    const { session, asked, tokensGiven } = cloudOf(t, { endpoints, at: gone, policy: { retries: 0 } });
    await assert.rejects(session.call('image', look()), HttpFailure);
    endpoints[0] = 'http://moved/';
    await session.call('image', look());
    assert.deepEqual([tokensGiven(), asked('http://moved').length], [2, 1]);
  }
});

test('a response of the service itself does not lead to another token', async (t) => {
  const replies: Reply[] = [
    ...[400, 403, 404, 409, 500].map((status) => ({ status })),
    { status: 503, requestId: 'req-g' },
  ];
  for (const reply of replies) {
    const { session, tokensGiven } = cloudOf(t, { image: [reply], policy: { retries: 0 } });
    await assert.rejects(session.call('image', look()), HttpFailure);
    await session.call('image', look());
    assert.equal(tokensGiven(), 1, JSON.stringify(reply));
  }
});

test('the catalog is read at most once a minute while no endpoint can be reached', async (t) => {
  const gone = (url: string) => (url.startsWith('http://glance') ? reset() : undefined);
  const { session, clock, tokensGiven } = cloudOf(t, { at: gone, policy: { retries: 0 } });
  for (let calls = 0; calls < 5; calls++) await assert.rejects(session.call('image', look()), ConnectionFailed);
  assert.equal(tokensGiven(), 2);
  clock.advance(60_000);
  for (let calls = 0; calls < 5; calls++) await assert.rejects(session.call('image', look()), ConnectionFailed);
  assert.equal(tokensGiven(), 3);
});

test('a token serves on while the catalog should be read again and Keystone does not work', async (t) => {
  const down = Array.from({ length: 20 }, () => reset('keystone'));
  const { session, tokensGiven } = cloudOf(t, {
    image: [reset()],
    keystone: ['token', ...down],
    policy: { retries: 0 },
  });
  await assert.rejects(session.call('image', look()), ConnectionFailed);
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
});

test('a connection that fails does not lead to another token where the catalog names no endpoint that is used', async (t) => {
  const { session, tokensGiven } = cloudOf(t, {
    image: [reset()],
    entry: { image_endpoint_override: 'http://fixed' },
    policy: { retries: 0 },
  });
  await assert.rejects(session.call('image', look()), ConnectionFailed);
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import {
  AuthenticationFailed,
  ConnectionFailed,
  KeystoneUnavailable,
  KeystoneUnreachable,
} from '../../src/openstack/errors.ts';
import { cloudOf, look, type Reply, signal } from './fake-cloud.ts';

const refused: Reply = {
  status: 401,
  text: '{"error": {"message": "The request needs authentication."}}',
  requestId: 'req-k',
};

test('one token is used for many calls, and concurrent calls wait for the same one', async (t) => {
  const { session, seen, tokensGiven } = cloudOf(t, {});
  await Promise.all(Array.from({ length: 5 }, () => session.call('image', look())));
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
  const calls = seen.filter(({ url }) => url === 'http://glance/v2/images/1');
  assert.equal(calls.length, 6);
  assert.ok(calls.every(({ headers }) => headers['x-auth-token'] === 'token-1'));
  assert.deepEqual(await session.identity(signal()), {
    user: { id: 'u', name: 'alice' },
    project: { id: 'p', name: 'web' },
    scope: 'project',
    roles: ['member'],
  });
  assert.equal(await session.endpoint('image', signal()), 'http://glance/v2');
});

test('a token is renewed when it expires in less than 120 s', async (t) => {
  const { session, clock, tokensGiven } = cloudOf(t, {});
  await session.call('image', look());
  clock.advance(3_600_000 - 120_001);
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
  clock.advance(1);
  await session.call('image', look());
  assert.equal(tokensGiven(), 2);
});

test('a token with a short life is used for half of it', async (t) => {
  const { session, clock, tokensGiven } = cloudOf(t, { life: 20_000 });
  await session.call('image', look());
  clock.advance(9999);
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
  clock.advance(1);
  await session.call('image', look());
  assert.equal(tokensGiven(), 2);
});

test('concurrent calls with a revoked token cause one request for a new one', async (t) => {
  const { session, tokensGiven } = cloudOf(t, { image: [{}, { status: 401 }, { status: 401 }, { status: 401 }] });
  await session.call('image', look());
  await Promise.all([1, 2, 3].map(() => session.call('image', look())));
  assert.equal(tokensGiven(), 2);
});

test('rejected credentials fail all waiting calls with the message of Keystone, and are not sent again for half a minute', async (t) => {
  const { session, clock, asked } = cloudOf(t, { keystone: [refused, refused] });
  const results = await Promise.allSettled([1, 2, 3].map(() => session.call('image', look())));
  for (const result of results) {
    assert.ok(result.status === 'rejected' && result.reason instanceof AuthenticationFailed);
    const { code, retry, httpStatus, requestId, message } = result.reason;
    assert.deepEqual(
      { code, retry, httpStatus, requestId },
      {
        code: 'AuthenticationFailed',
        retry: { kind: 'backoffThenChange', attempts: 8, lookAgainMs: 600_000 },
        httpStatus: 401,
        requestId: 'req-k',
      },
    );
    assert.equal(
      message,
      'Keystone rejected the credentials of cloud demo: 401: The request needs authentication. (req-k)',
    );
  }
  await assert.rejects(session.identity(signal()), AuthenticationFailed);
  assert.equal(asked('http://keystone/v3').length, 1);
  clock.advance(30_000);
  await assert.rejects(session.identity(signal()), AuthenticationFailed);
  clock.advance(30_000);
  assert.equal((await session.identity(signal())).user?.id, 'u');
});

test('a call that stops waiting for a token does not affect the others', async (t) => {
  const { session } = cloudOf(t, {});
  const controller = new AbortController();
  const reason = new Error('deleted');
  const first = session.identity(controller.signal);
  const second = session.identity(signal());
  controller.abort(reason);
  await assert.rejects(first, reason);
  assert.equal((await second).user?.id, 'u');
});

test('closing a session rejects the calls that wait for a token', async (t) => {
  const { session } = cloudOf(t, {});
  const waiting = session.identity(signal());
  await session.close();
  await assert.rejects(waiting, /the session with cloud demo is closed/);
});

const keystoneFailures: [name: string, replies: Reply[], kind: new (...args: never[]) => Error, message: RegExp][] = [
  [
    'that does not run',
    Array.from({ length: 4 }, () => new ConnectionFailed('http://keystone', new Error('connect ECONNREFUSED'))),
    KeystoneUnreachable,
    /^Keystone at http:\/\/keystone does not respond: connect ECONNREFUSED$/,
  ],
  ['that is broken', [{ status: 500, text: 'Oops' }], KeystoneUnavailable, /^Keystone returned 500: Oops$/],
  [
    'that does not know the token or the trust',
    [{ status: 404, text: 'Could not recognize Fernet token' }],
    AuthenticationFailed,
    /Keystone rejected the credentials of cloud demo: 404: Could not recognize/,
  ],
  ['that is a web page', [{ status: 200, text: '<html>Hi' }], KeystoneUnavailable, /its response is not JSON: Hi$/],
  ['that returns no token', [{ status: 201, text: '{"token": {}}' }], KeystoneUnavailable, /its response has no token/],
  [
    'that rejects the request as malformed',
    [{ status: 400, text: 'Expecting to find domain' }],
    AuthenticationFailed,
    /domain/,
  ],
];
for (const [name, keystone, kind, message] of keystoneFailures) {
  test(`a Keystone ${name} has an error of its own, and the next call signs in again`, async (t) => {
    const { session, clock } = cloudOf(t, { keystone });
    await assert.rejects(session.call('image', look()), (error) => {
      assert.ok(error instanceof kind);
      assert.match(error.message, message);
      assert.ok(!error.message.includes('wr0ng'));
      return true;
    });
    clock.advance(30_000);
    assert.equal((await session.identity(signal())).user?.id, 'u');
  });
}

test('a busy Keystone is retried within the call', async (t) => {
  const { session, clock } = cloudOf(t, {
    keystone: [{ status: 503, headers: { 'retry-after': '2' } }, { status: 429 }],
  });
  assert.equal((await session.identity(signal())).user?.id, 'u');
  assert.deepEqual(clock.slept, [2000, 1000]);
});

test('a token is used until it expires while Keystone does not work', async (t) => {
  const broken: Reply = { status: 500 };
  const { session, clock, seen, asked } = cloudOf(t, { life: 1_000_000, keystone: ['token', broken, broken, broken] });
  const works = async (token: string, requests: number) => {
    await session.call('image', look());
    assert.equal(seen.at(-1)?.headers['x-auth-token'], token);
    assert.equal(asked('http://keystone/v3').length, requests);
  };
  await works('token-1', 1);
  clock.advance(900_000);
  await works('token-1', 2);
  clock.advance(29_999);
  await works('token-1', 2);
  clock.advance(1);
  await works('token-1', 3);
  clock.advance(70_000);
  await assert.rejects(session.call('image', look()), KeystoneUnavailable);
  await works('token-2', 5);
});

test('an upload starts with a token that is valid for ten more minutes', async (t) => {
  const { session, clock, seen } = cloudOf(t, { life: 3_600_000 });
  await session.call('image', look());
  clock.advance(3_600_000 - 600_000);
  await session.call('image', look());
  assert.equal(seen.at(-1)?.headers['x-auth-token'], 'token-1');
  async function* body() {
    yield Buffer.from('x');
  }
  await session.upload('image', {
    operation: 'upload',
    path: '/images/1/file',
    body: body(),
    size: 1,
    signal: signal(),
  });
  assert.equal(seen.at(-1)?.headers['x-auth-token'], 'token-2');
});

test('the root of Keystone is fetched until it is found, and then once per session', async (t) => {
  const pages: Reply[] = [{ status: 200, text: '<html>Maintenance' }];
  const { session, clock, asked } = cloudOf(t, {
    at: (url) => (url === 'http://keystone' ? pages.shift() : undefined),
  });
  for (let hours = 0; hours < 3; hours++) {
    await session.identity(signal());
    clock.advance(3_600_000);
  }
  const [root, tokens] = ['http://keystone', 'http://keystone/v3/auth/tokens'];
  assert.deepEqual(
    asked('http://keystone').map(({ url }) => url),
    [root, tokens, root, tokens, tokens],
  );
});

test('an auth_url of another server is reported as such', async (t) => {
  const { session } = cloudOf(t, { at: () => ({ status: 404, text: 'no such page' }) });
  await assert.rejects(session.identity(signal()), (error) => {
    assert.ok(error instanceof KeystoneUnavailable);
    assert.match(error.message, /returned 404: no such page; is auth_url the address of a Keystone with the v3 API\?$/);
    return true;
  });
});

test('a Keystone without v3 is reported as such', async (t) => {
  const old = '{"versions": {"values": [{"id": "v2.0", "status": "deprecated"}]}}';
  const { session } = cloudOf(t, { at: () => ({ status: 300, text: old }) });
  await assert.rejects(session.identity(signal()), (error) => {
    assert.ok(error instanceof KeystoneUnavailable);
    assert.equal(
      error.message,
      'no usable Keystone at http://keystone: it offers v2.0 and no v3; is auth_url the address of a Keystone with the v3 API?',
    );
    return true;
  });
});

test('the error for a user who needs a second factor names an alternative', async (t) => {
  const text = JSON.stringify({ receipt: { methods: ['password'] }, required_auth_methods: [['password', 'totp']] });
  const { session } = cloudOf(t, { keystone: [{ status: 401, text }] });
  await assert.rejects(session.identity(signal()), /sign in by several methods: use an application credential/);
});

test('the message of a Keystone that echoes the password is quoted without it', async (t) => {
  for (const reply of [
    { status: 400, text: 'bad body: {"password": "wr0ng"}' },
    { status: 200, text: '<p>You said wr0ng' },
  ]) {
    const { session } = cloudOf(t, { keystone: [reply] });
    await assert.rejects(session.identity(signal()), (error) => {
      assert.ok(error instanceof Error && error.message.includes('[redacted]'));
      assert.ok(!inspect(error, { depth: 10 }).includes('wr0ng'));
      return true;
    });
  }
});

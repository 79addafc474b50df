import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseCloud } from '../../src/openstack/clouds.ts';
import {
  AuthenticationFailed,
  ConnectionFailed,
  EndpointNotFound,
  HttpFailure,
  KeystoneUnavailable,
  KeystoneUnreachable,
} from '../../src/openstack/errors.ts';
import { createSession, type ServiceCall } from '../../src/openstack/session.ts';
import type { HttpRequest, HttpResponse, HttpUpload } from '../../src/openstack/transport.ts';
import { ManualClock } from './manual-clock.ts';

type Reply = Partial<HttpResponse> | Error;

/** A cloud that exists only as answers: what a real one does not do on demand. */
function cloudOf(t: TestContext, answers: { keystone?: Reply[]; image?: Reply[]; life?: number; unscoped?: boolean }) {
  const clock = new ManualClock();
  const seen: (HttpRequest | HttpUpload)[] = [];
  let tokens = 0;
  const token = (): Partial<HttpResponse> => ({
    status: 201,
    headers: { 'x-subject-token': `token-${++tokens}` },
    text: JSON.stringify({
      token: {
        // Hours away from our clock: only the difference counts.
        issued_at: '2030-01-01T00:00:00.000000Z',
        expires_at: new Date(Date.parse('2030-01-01T00:00:00Z') + (answers.life ?? 3_600_000)).toISOString(),
        user: { id: 'u', name: 'alice' },
        ...(answers.unscoped ? {} : { project: { id: 'p', name: 'web' } }),
        roles: [{ name: 'member' }],
        catalog: [{ type: 'image', endpoints: [{ interface: 'public', url: 'http://glance/', region_id: 'R' }] }],
      },
    }),
  });
  const answer = (reply: Reply | undefined): HttpResponse => {
    if (reply instanceof Error) throw reply;
    return { status: 200, headers: {}, text: '{}', requestId: undefined, ...reply };
  };
  const to = (url: string) => {
    const isKeystone = url.startsWith('http://keystone/');
    return isKeystone ? answer(answers.keystone?.shift() ?? token()) : answer(answers.image?.shift());
  };
  const transport = {
    async request(request: HttpRequest) {
      seen.push(request);
      await Promise.resolve();
      request.signal.throwIfAborted();
      return to(request.url);
    },
    async upload(upload: HttpUpload, begun: () => void) {
      seen.push(upload);
      const response = to(upload.url);
      begun();
      return response;
    },
    close: async () => {},
  };
  const cloudsYaml = `{clouds: {demo: {auth: {auth_url: "http://keystone", user_id: u, password: wr0ng, project_id: p}}}}`;
  const session = createSession({ cloud: parseCloud({ cloudsYaml }, 'demo'), transport, clock, random: () => 0.5 });
  t.after(() => session.close());
  return { session, clock, seen, tokensGiven: () => tokens };
}

const signal = () => new AbortController().signal;
const look = (some: Partial<ServiceCall> = {}): ServiceCall => ({
  method: 'GET',
  path: '/images/1',
  idempotent: true,
  bodyLimitBytes: 1000,
  signal: signal(),
  ...some,
});
const refused: Reply = {
  status: 401,
  text: '{"error": {"message": "The request needs authentication."}}',
  requestId: 'req-k',
};
const reset = () => new ConnectionFailed('http://glance', new Error('read ECONNRESET'));

test('one token serves many calls, and those that ask at once wait for the same one', async (t) => {
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
    roles: ['member'],
  });
  assert.equal(await session.endpoint('image', signal()), 'http://glance/v2');
});

test('a token is renewed when less than 120 s of its life are left', async (t) => {
  const { session, clock, tokensGiven } = cloudOf(t, {});
  await session.call('image', look());
  clock.advance(3_600_000 - 120_001);
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
  clock.advance(1);
  await session.call('image', look());
  assert.equal(tokensGiven(), 2);
});

test('a token whose whole life is short is used for half of it', async (t) => {
  const { session, clock, tokensGiven } = cloudOf(t, { life: 20_000 });
  await session.call('image', look());
  clock.advance(9999);
  await session.call('image', look());
  assert.equal(tokensGiven(), 1);
  clock.advance(1);
  await session.call('image', look());
  assert.equal(tokensGiven(), 2);
});

test("a service's 401 leads to one new token and one more try", async (t) => {
  const { session, seen, tokensGiven } = cloudOf(t, { image: [{ status: 401 }, { status: 200, text: '{"ok":1}' }] });
  assert.equal((await session.call('image', look())).text, '{"ok":1}');
  assert.equal(tokensGiven(), 2);
  assert.equal(seen.at(-1)?.headers['x-auth-token'], 'token-2');
});

test('a second 401 in a row is an AuthenticationFailed that will be tried again', async (t) => {
  const { session, tokensGiven } = cloudOf(t, {
    image: [{ status: 401 }, { status: 401, text: '', requestId: 'req-g' }],
  });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof AuthenticationFailed);
    assert.deepEqual(error.retry, { kind: 'backoff' });
    assert.match(error.message, /the image service refuses the token that Keystone has just given: 401 \(req-g\)/);
    return true;
  });
  assert.equal(tokensGiven(), 2);
});

test('calls that meet a revoked token together ask for one new token', async (t) => {
  const { session, tokensGiven } = cloudOf(t, { image: [{}, { status: 401 }, { status: 401 }, { status: 401 }] });
  await session.call('image', look());
  await Promise.all([1, 2, 3].map(() => session.call('image', look())));
  assert.equal(tokensGiven(), 2);
});

test('refused credentials are an error for all who wait, in the words of Keystone, and are left alone for half a minute', async (t) => {
  const { session, clock, seen } = cloudOf(t, { keystone: [refused, refused] });
  const results = await Promise.allSettled([1, 2, 3].map(() => session.call('image', look())));
  for (const result of results) {
    assert.ok(result.status === 'rejected' && result.reason instanceof AuthenticationFailed);
    const { code, retry, httpStatus, requestId, message } = result.reason;
    assert.deepEqual(
      { code, retry, httpStatus, requestId },
      { code: 'AuthenticationFailed', retry: { kind: 'change' }, httpStatus: 401, requestId: 'req-k' },
    );
    assert.equal(
      message,
      'Keystone answered the credentials of cloud demo with 401: The request needs authentication. (req-k)',
    );
  }
  await assert.rejects(session.identity(signal()), AuthenticationFailed);
  assert.equal(seen.length, 1);
  clock.advance(30_000);
  await assert.rejects(session.identity(signal()), AuthenticationFailed);
  clock.advance(30_000);
  assert.equal((await session.identity(signal())).user.id, 'u');
});

test('one who gives up waiting for a token takes nothing from the others', async (t) => {
  const { session } = cloudOf(t, {});
  const controller = new AbortController();
  const reason = new Error('deleted');
  const first = session.identity(controller.signal);
  const second = session.identity(signal());
  controller.abort(reason);
  await assert.rejects(first, reason);
  assert.equal((await second).user.id, 'u');
});

test('a closed session ends those who wait for a token', async (t) => {
  const { session } = cloudOf(t, {});
  const waiting = session.identity(signal());
  await session.close();
  await assert.rejects(waiting, /the session with cloud demo is closed/);
});

const keystoneFailures: [name: string, replies: Reply[], kind: new (...args: never[]) => Error, message: RegExp][] = [
  [
    'that is not there',
    Array.from({ length: 4 }, () => new ConnectionFailed('http://keystone', new Error('connect ECONNREFUSED'))),
    KeystoneUnreachable,
    /^Keystone gives no answer at http:\/\/keystone: connect ECONNREFUSED$/,
  ],
  ['that is broken', [{ status: 500, text: 'Oops' }], KeystoneUnavailable, /^Keystone answered 500: Oops$/],
  ['at the wrong address', [{ status: 404 }], KeystoneUnavailable, /is auth_url the address of a Keystone/],
  ['that is a web page', [{ status: 200, text: '<html>Hi' }], KeystoneUnavailable, /its answer is not JSON: Hi$/],
  ['that gives no token', [{ status: 201, text: '{"token": {}}' }], KeystoneUnavailable, /its answer holds no token/],
  ['that finds the request wrong', [{ status: 400, text: 'Expecting to find domain' }], AuthenticationFailed, /domain/],
];
for (const [name, keystone, kind, message] of keystoneFailures) {
  test(`a Keystone ${name} is told apart, and the next try is a new one`, async (t) => {
    const { session, clock } = cloudOf(t, { keystone });
    await assert.rejects(session.call('image', look()), (error) => {
      assert.ok(error instanceof kind);
      assert.match(error.message, message);
      assert.ok(!error.message.includes('wr0ng'));
      return true;
    });
    clock.advance(30_000);
    assert.equal((await session.identity(signal())).user.id, 'u');
  });
}

test('a busy Keystone is asked again', async (t) => {
  const { session, clock } = cloudOf(t, {
    keystone: [{ status: 503, headers: { 'retry-after': '2' } }, { status: 429 }],
  });
  assert.equal((await session.identity(signal())).user.id, 'u');
  assert.deepEqual(clock.slept, [2000, 1000]);
});

test('a token without a project is no use, and the error says what to set', async (t) => {
  const { session } = cloudOf(t, { unscoped: true });
  await assert.rejects(session.call('image', look()), (error) => {
    assert.ok(error instanceof EndpointNotFound);
    assert.match(error.message, /not scoped to a project: set project_name/);
    return true;
  });
});

test('a refusal of a service is an HttpFailure with status, words and request id', async (t) => {
  const { session } = cloudOf(t, {
    image: [{ status: 413, text: 'Quota is used up', requestId: 'req-9', headers: { 'content-type': 'text/plain' } }],
  });
  await assert.rejects(session.call('image', look({ method: 'POST', path: '/images?x=1' })), (error) => {
    assert.ok(error instanceof HttpFailure);
    assert.equal(error.message, 'POST http://glance/v2/images?…: 413: Quota is used up (req-9)');
    return true;
  });
});

test('a call that is not idempotent is not repeated where it may have been applied', async (t) => {
  for (const [idempotent, calls] of [
    [true, 2],
    [false, 1],
  ] as const) {
    const { session, seen } = cloudOf(t, { image: [{ status: 502 }] });
    await session.call('image', look({ method: 'POST', idempotent })).catch(() => undefined);
    assert.equal(seen.filter(({ url }) => url.startsWith('http://glance')).length, calls);
  }
});

test('an upload is repeated only while nothing of its body was asked for', async (t) => {
  async function* body() {
    yield Buffer.from('x');
  }
  const upload = () => ({ path: '/images/1/file', headers: {}, body: body(), size: undefined, signal: signal() });
  const before = cloudOf(t, { image: [reset(), { status: 204 }] });
  assert.equal((await before.session.upload('image', upload())).status, 204);
  const after = cloudOf(t, { image: [{ status: 503 }] });
  await assert.rejects(after.session.upload('image', upload()), HttpFailure);
  assert.equal(after.seen.length, 2);
});

test('an upload that is refused with 401 is not repeated, but the next call has a new token', async (t) => {
  const { session, seen } = cloudOf(t, { image: [{ status: 401 }] });
  async function* body() {
    yield Buffer.from('x');
  }
  const upload = { path: '/images/1/file', headers: {}, body: body(), size: 1, signal: signal() };
  await assert.rejects(session.upload('image', upload), HttpFailure);
  await session.call('image', look());
  assert.equal(seen.at(-1)?.headers['x-auth-token'], 'token-2');
});

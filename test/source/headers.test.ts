import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { OperatorError } from '../../src/lib/errors.ts';
import { readHeaders } from '../../src/source/headers.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, type SourceFile, startSource } from '../env/source.ts';
import { assertFailed, assertWhole, download, loopback } from './download.ts';

const content = generated(50_000);
const file = content.slice(0, content.size);
const secret = 'hunter2';
const declared = { Authorization: `Bearer ${secret}`, 'X-Team': 'blue' };
const required = { authorization: `Bearer ${secret}`, 'x-team': 'blue' };

const transport = loopback();
let ours: Server;
let theirs: Server;
before(async () => {
  [ours, theirs] = await Promise.all([startSource(), startSource()]);
});
after(async () => {
  await transport.close();
  await Promise.all([ours.stop(), theirs.stop()]);
});

const get = (...urls: [string, ...string[]]) =>
  download(urls, { servers: [ours, theirs], transport, headers: readHeaders(declared) });

/** What a server saw of the declared headers in its latest request. */
function seen(server: Server) {
  const { authorization, 'x-team': team } = server.requests.at(-1)?.headers ?? {};
  return [authorization, team];
}
const all = [`Bearer ${secret}`, 'blue'];
const none = [undefined, undefined];

describe('declared headers', () => {
  test('declared headers are sent to the server of the URL with every request', async () => {
    const url = ours.add('/a.raw', { body: content, required, faults: [{ kind: 'closeAt', byte: 1000 }] });
    assertWhole(await get(url), file);
    assert.deepEqual(seen(ours), all);
  });

  test('declared headers are sent along with a redirect on the same server', async () => {
    ours.add('/target.raw', { body: content, required });
    assertWhole(
      await get(ours.add('/moved.raw', { body: content, fault: { kind: 'redirect', to: '/target.raw' } })),
      file,
    );
  });

  test('declared headers are dropped at a redirect to another server', async () => {
    const to = theirs.add('/b.raw', { body: content, faults: [{ kind: 'closeAt', byte: 1000 }] });
    assertWhole(await get(ours.add('/b.raw', { body: content, fault: { kind: 'redirect', to } })), file);
    assert.deepEqual(seen(theirs), none);
    const headers = theirs.requests.at(-1)?.headers ?? {};
    assert.equal(headers.range, 'bytes=1000-');
    assert.match(String(headers['if-range']), /^"/);
    assert.deepEqual(Object.keys(headers).sort(), [
      'accept',
      'accept-encoding',
      'connection',
      'host',
      'if-range',
      'range',
      'user-agent',
    ]);
  });

  test('declared headers stay dropped when another server redirects back', async () => {
    const back = ours.add('/back.raw', { body: content, required });
    const to = theirs.add('/there.raw', { body: content, fault: { kind: 'redirect', to: back } });
    const result = await get(ours.add('/there.raw', { body: content, fault: { kind: 'redirect', to } }));
    assertFailed(result, 'SourceForbidden', /responded with 401.*sent to the server of the declared URL only/);
    assert.deepEqual(seen(ours), none);
  });

  test('declared headers are sent to a mirror only if it is on the same server', async () => {
    const missing = `${ours.url}/missing.raw`;
    assertWhole(await get(missing, ours.add('/mirror.raw', { body: content, required })), file);
    assertWhole(await get(missing, theirs.add('/mirror.raw', { body: content })), file);
    assert.deepEqual(seen(theirs), none);
  });

  test('declared headers are not sent to another port, scheme or spelling of the server', async () => {
    const to = theirs.add('/port.raw', { body: content, required });
    const result = await get(ours.add('/port.raw', { body: content, fault: { kind: 'redirect', to } }));
    assertFailed(result, 'SourceForbidden', /this is another server/);
    const renamed = ours.add('/host.raw', { body: content }).replace('127.0.0.1', '127.0.0.2');
    const moved: SourceFile = { body: content, fault: { kind: 'redirect', to: renamed } };
    assertFailed(await get(ours.add('/host2.raw', moved)), 'SourceUnreachable', /127\.0\.0\.2/);
  });

  test('declared headers are not shown in the failure when they do not suffice', async () => {
    const url = ours.add('/c.raw', { body: content, required: { ...required, 'x-other': '1' } });
    const result = await get(url);
    assertFailed(result, 'SourceForbidden', /headersSecretRef/);
    assert.ok(!inspect(result.error, { depth: 10 }).includes(secret));
  });
});

describe('the Secret of headersSecretRef', () => {
  const revealed = (data: Record<string, string>) =>
    Object.fromEntries(Object.entries(readHeaders(data)).map(([name, value]) => [name, value.reveal()]));

  test('the Secret contains headers by name, and trailing newlines are dropped', () => {
    assert.deepEqual(revealed({ 'X-Token': 'abc\n', Cookie: ' a=b; c=d ' }), { 'x-token': 'abc', cookie: 'a=b; c=d' });
  });

  test('the Secret may contain a user and a password, or a bearer token', () => {
    const basic = `Basic ${Buffer.from('me:pass word:ü').toString('base64')}`;
    assert.deepEqual(revealed({ username: 'me\n', password: 'pass word:ü\n' }), { authorization: basic });
    assert.deepEqual(revealed({ bearerToken: 'abc\n' }), { authorization: 'Bearer abc' });
    assert.deepEqual(revealed({}), {});
  });

  test("the Secret's values are never shown", () => {
    const headers = readHeaders({ 'x-token': secret, username: 'me', password: secret });
    for (const text of [
      inspect(headers, { depth: 9, showHidden: true }),
      JSON.stringify(headers),
      `${headers['x-token']}`,
    ])
      assert.ok(!text.includes(secret));
  });

  const wrong: [data: Record<string, string>, message: RegExp][] = [
    ...[
      'Host',
      'content-length',
      'Transfer-Encoding',
      'connection',
      'Range',
      'If-Range',
      'accept-encoding',
      'TE',
      'Upgrade',
      'Expect',
      'Proxy-Authorization',
    ].map((name): [Record<string, string>, RegExp] => [
      { [name]: secret },
      new RegExp(`header ${name} cannot be declared`),
    ]),
    [{ 'x token': secret }, /"x token" is not the name of a header/],
    [{ 'x:token': secret }, /is not the name of a header/],
    [{ 'x-token': `${secret}\r\nx-evil: 1` }, /value of x-token has characters/],
    [{ 'x-token': `${secret}\u20ac` }, /value of x-token has characters/],
    [{ 'x-token': ' \n' }, /value of x-token is empty/],
    [{ 'x-token': secret, 'X-Token': secret }, /sets the header x-token twice/],
    [{ authorization: secret, bearerToken: secret }, /sets the header authorization twice/],
    [{ username: secret }, /needed together/],
    [{ password: secret }, /needed together/],
    [{ username: 'alice', password: '\ufffdsecret' }, /must be UTF-8/],
    [{ username: `${secret}:x`, password: secret }, /must not contain a colon/],
    [{ 'x-token': secret.repeat(5000) }, /its headers have \d+ bytes; the limit is 16384/],
  ];
  for (const [data, message] of wrong)
    test(`the Secret cannot have ${JSON.stringify(Object.keys(data))}: ${message.source}`, () => {
      assert.throws(
        () => readHeaders(data),
        (error) => {
          assert.ok(error instanceof OperatorError && error.code === 'SecretInvalid');
          assert.match(error.message, message);
          assert.match(error.message, /headersSecretRef/);
          assert.ok(!error.message.includes(secret));
          return true;
        },
      );
    });
});

test('a password with a long run of newlines takes time in proportion to its length', () => {
  const password = `${'\n'.repeat(2 ** 20)}x`;
  assert.throws(() => readHeaders({ username: 'a', password }), /username|the limit/);
});

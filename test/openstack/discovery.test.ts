import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keystoneRoot, usableVersions, versionsIn } from '../../src/openstack/discovery.ts';
import { MalformedResponse } from '../../src/openstack/errors.ts';

const answer = (body: unknown, status = 300) => ({
  status,
  headers: {},
  requestId: undefined,
  text: typeof body === 'string' ? body : JSON.stringify(body),
});
const keystone = (href: string, id = 'v3.14') => ({ id, status: 'stable', links: [{ rel: 'self', href }] });
const list = (...values: object[]) => answer({ versions: { values } });

test('the root of Keystone is found from an auth_url with and without v3', () => {
  for (const [authUrl, body, expected] of [
    ['http://k:5000', list(keystone('http://k:5000/v3/')), 'http://k:5000/v3'],
    ['http://k:5000/v3', answer({ version: keystone('http://k:5000/v3/') }, 200), 'http://k:5000/v3'],
    ['https://k/identity', list(keystone('https://k/identity/v3/')), 'https://k/identity/v3'],
    ['https://k', list(keystone('https://k/identity/v3/')), 'https://k/identity/v3'],
    ['https://k', list(keystone('/identity/v3')), 'https://k/identity/v3'],
  ] as const) {
    assert.deepEqual(keystoneRoot(authUrl, body), { root: expected, isSure: true });
  }
});

test('host and scheme of auth_url are kept, and so is a path that only the proxy knows', () => {
  for (const [authUrl, href, expected] of [
    ['https://k.example.com', 'http://10.0.0.1:5000/v3/', 'https://k.example.com/v3'],
    ['https://k.example.com/identity', 'http://10.0.0.1:5000/v3/', 'https://k.example.com/identity/v3'],
    ['https://k.example.com/identity', 'http://evil.example.com/elsewhere/v3', 'https://k.example.com/identity/v3'],
    ['https://k.example.com', 'no address', 'https://k.example.com/v3'],
    ['https://k.example.com', 'javascript:v3', 'https://k.example.com/v3'],
  ] as const) {
    assert.equal(keystoneRoot(authUrl, list(keystone(href))).root, expected);
  }
});

test('of many versions v3 is chosen, not the newest', () => {
  const all = list(
    keystone('http://k/v4', 'v4.0'),
    keystone('http://k/v3', 'v3.14'),
    keystone('http://k/v2.0', 'v2.0'),
  );
  assert.equal(keystoneRoot('http://k', all).root, 'http://k/v3');
  assert.throws(() => keystoneRoot('http://k', list(keystone('http://k/v2.0', 'v2.0'))), MalformedResponse);
});

test('without a version document the path of auth_url decides, and the root is not sure', () => {
  for (const nothing of [answer('<html>', 200), answer({}, 404), answer('{"versions": 3}'), answer({ versions: [] })]) {
    for (const [authUrl, expected] of [
      ['http://k:5000', 'http://k:5000/v3'],
      ['http://k:5000/v3', 'http://k:5000/v3'],
      ['http://k:5000/v2.0', 'http://k:5000/v3'],
      ['https://k/identity', 'https://k/identity/v3'],
      ['https://k/identity/v3', 'https://k/identity/v3'],
    ] as const) {
      assert.deepEqual(keystoneRoot(authUrl, nothing), { root: expected, isSure: false });
    }
  }
});

test('version documents of Glance, of Keystone and of a single version are parsed', () => {
  const ids = (body: unknown) => versionsIn(answer(body))?.map(({ id }) => id);
  const one = { id: 'v1', status: 'CURRENT' };
  assert.deepEqual(ids({ versions: [one, { id: 'v2', status: 'x', links: [], more: 1 }] }), ['v1', 'v2']);
  assert.deepEqual(ids({ versions: { values: [one] } }), ['v1']);
  assert.deepEqual(ids({ version: one }), ['v1']);
  for (const body of [{}, [], null, 'text', { versions: [{ id: 1 }] }]) assert.equal(ids(body), undefined);
  assert.equal(versionsIn(answer({ versions: [one] }, 404)), undefined);
});

test('usable versions are the current, supported, stable and experimental ones', () => {
  const states = ['SUPPORTED', 'current', 'EXPERIMENTAL', 'stable', 'DEPRECATED', 'OBSOLETE'];
  const all = versionsIn(answer({ versions: states.map((status) => ({ id: status, status })) })) ?? [];
  assert.deepEqual(usableVersions(all), ['SUPPORTED', 'current', 'EXPERIMENTAL', 'stable']);
});

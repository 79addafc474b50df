/** Where redirects lead, by policy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RedirectPolicy, redirectOf } from '../../src/http/redirects.ts';

function outcome(status: number, location: string | undefined, from: string, policy: RedirectPolicy): string {
  const redirect = redirectOf({ status, location }, from, policy);
  return 'url' in redirect ? `${redirect.kind} ${redirect.url.href}` : redirect.kind;
}

const cases: [string, RedirectPolicy, string | undefined, string][] = [
  ['a relative location', 'same-origin', '/b', 'follow https://a.example/b'],
  ['a location on the same origin', 'same-origin', 'https://a.example:443/b#part', 'follow https://a.example/b'],
  ['another host under same-origin', 'same-origin', 'https://b.example/', 'forbidden https://b.example/'],
  ['another port under same-origin', 'same-origin', 'https://a.example:8443/', 'forbidden https://a.example:8443/'],
  ['plain http under same-origin', 'same-origin', 'http://a.example/', 'forbidden http://a.example/'],
  ['another host under any-origin', 'any-origin', 'https://b.example/', 'follow https://b.example/'],
  ['plain http under any-origin', 'any-origin', 'http://b.example/', 'forbidden http://b.example/'],
  ['no location', 'any-origin', undefined, 'unusable'],
  ['a location that is no URL', 'any-origin', 'http://[', 'unusable'],
];
for (const [name, policy, location, expected] of cases)
  test(`a redirect to ${name} is: ${expected.split(' ')[0]}`, () => {
    assert.equal(outcome(302, location, 'https://a.example/x', policy), expected);
  });

test('only the statuses of a redirect redirect', () => {
  const statuses = Array.from({ length: 400 }, (_, index) => 200 + index);
  assert.deepEqual(
    statuses.filter((status) => outcome(status, '/b', 'https://a.example/', 'any-origin') !== 'none'),
    [301, 302, 303, 307, 308],
  );
});

test('plain http may redirect to https on any origin', () => {
  assert.equal(outcome(301, 'https://b.example/', 'http://a.example/', 'any-origin'), 'follow https://b.example/');
});

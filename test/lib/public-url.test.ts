/** Which parameters of a query are left out of what is published. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publicUrl } from '../../src/lib/public-url.ts';

const place = 'https://example.com/a%20b.qcow2';
const queryOf = (query: string) => publicUrl(`${place}?${query}`).url.slice(place.length);

test('credentials in a query are left out, with all that belongs to a signature, and the other parameters stay as they are', () => {
  for (const [query, left] of [
    ['X-Amz-Algorithm=A&X-Amz-Credential=AKIA%2F20&X-Amz-Expires=3&X-Amz-Signature=ab', ''],
    ['AWSAccessKeyId=A&Expires=1&Signature=x%3D', ''],
    ['X-Goog-Credential=b&X-Goog-Signature=a&alt=media', '?alt=media'],
    ['Policy=a&Signature=b&Key-Pair-Id=c', ''],
    ['sv=2020&sr=b&sig=abc%3D&se=2021&sp=r', ''],
    ['temp_url_sig=da&temp_url_expires=1', ''],
    ['id=5&access_token=abc&file=a%26b', '?id=5&file=a%26b'],
    ['%74oken=abc', ''],
    ['download=eyJhbGciOiJI.eyJhbGci.abc', ''],
    ['private_token=x', ''],
    ['hdnea=exp=1~hmac=abc', ''],
    ['subscription-key=1', ''],
    ['password=x', ''],
  ] as const)
    assert.equal(queryOf(query), left, query);
  assert.deepEqual(publicUrl(`${place}?%74oken=a&x=1&%74oken=b#c`), { url: `${place}?x=1`, leftOut: ['token'] });
});

test('a query without credentials stays as it is written, and the fragment goes', () => {
  for (const query of [
    'id=5',
    'file=a.qcow2&arch=amd64',
    'st=1&expires=5',
    'token=',
    'a&&b',
    '?',
    '%zz=1',
    'version=2&sr=1',
  ])
    assert.deepEqual(publicUrl(`${place}?${query}#x`), { url: `${place}?${query}`, leftOut: [] });
  assert.deepEqual(publicUrl(`${place}#token=x?y`), { url: place, leftOut: [] });
});

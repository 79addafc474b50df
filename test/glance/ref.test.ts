import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fitsInPath } from '../../src/glance/client/tags.ts';
import { InvalidImageRef, InvalidRequest } from '../../src/glance/errors.ts';
import { parseImageRef, pathSegment } from '../../src/glance/ref.ts';

const id = '6b1fd7a2-0000-4000-8000-000000000001';

test('an id alone is that id', () => {
  assert.deepEqual(parseImageRef(id), { kind: 'id', id });
  assert.deepEqual(parseImageRef(id.toUpperCase()), { kind: 'id', id: id.toUpperCase() });
});

for (const [href, endpoint] of [
  ['http://something-less-likely', 'http://something-less-likely'],
  ['https://glance.example.com:9292', 'https://glance.example.com:9292'],
  ['http://[::1]', 'http://[::1]'],
  ['http://::1', 'http://[::1]'],
  ['http://[::1]:444', 'http://[::1]:444'],
  ['https://[2001:db8::1]:9292/image/v2/images', 'https://[2001:db8::1]:9292/image'],
  ['https://example.com/image', 'https://example.com/image'],
  ['https://example.com/image/', 'https://example.com/image'],
  ['https://example.com/image/v2', 'https://example.com/image'],
  ['https://example.com/image/v2.17/images', 'https://example.com/image'],
  ['https://example.com/v2/images', 'https://example.com'],
  ['https://example.com/images', 'https://example.com'],
  ['https://example.com/v2/images/v2/images', 'https://example.com/v2/images'],
  ['HTTPS://EXAMPLE.com', 'https://example.com'],
] as const) {
  test(`an image at ${href} is that of ${endpoint}`, () => {
    const secure = endpoint.startsWith('https:');
    assert.deepEqual(parseImageRef(`${href}/${id}`), { kind: 'href', id, endpoint, secure });
  });
}

for (const ref of [
  '',
  'ubuntu',
  '..',
  `${id} `,
  `${id}x`,
  `/${id}`,
  `//host/${id}`,
  `ftp://host/${id}`,
  `file:///srv/${id}`,
  `http:///${id}`,
  `http://[::1/${id}`,
  `http://[::g]/${id}`,
  `http://host:port/${id}`,
  `http://host/${id}/`,
  `http://host/${id}?x=1`,
  `http://host/?x=/${id}`,
  `http://host/#/${id}`,
  `http://host/images/..%2F${id}`,
  'http://host/',
  'http://host',
]) {
  test(`${JSON.stringify(ref)} is no reference to an image`, () => {
    assert.throws(() => parseImageRef(ref), InvalidImageRef);
  });
}

test('a rejected reference has a reason, and shows no password and no query', () => {
  const refused = (ref: string) => {
    try {
      parseImageRef(ref);
    } catch (error) {
      assert.ok(error instanceof InvalidImageRef);
      assert.equal(error.code, 'InvalidSpec');
      return error.message;
    }
    return assert.fail('it was taken');
  };
  assert.match(refused('http://host/'), /"http:\/\/host\/": it ends without an id$/);
  assert.match(refused('http://host/ubuntu'), /the id of an image is a UUID$/);
  for (const ref of [`https://user:secret@host/${id}`, `https://host/${id}?secret`, `https://secret@host:x/${id}`]) {
    assert.doesNotMatch(refused(ref), /secret/);
  }
});

test('every accepted reference names one server, and ends with its id', () => {
  fc.assert(
    fc.property(fc.webUrl({ withQueryParameters: true }), fc.uuid(), (url, uuid) => {
      const ref = `${url}/${uuid}`;
      try {
        const parsed = parseImageRef(ref);
        assert.ok(parsed.kind === 'href');
        assert.equal(parsed.id, uuid);
        assert.equal(new URL(parsed.endpoint).host, new URL(ref).host);
        assert.ok(ref.toLowerCase().startsWith(new URL(parsed.endpoint).origin));
      } catch (error) {
        assert.ok(error instanceof InvalidImageRef);
      }
    }),
    { seed: 1 },
  );
});

test('a name that a URL cannot hold as a segment of its path is rejected', () => {
  for (const name of ['.', '..', '', '\ud800'])
    assert.throws(() => pathSegment('store', name), InvalidRequest, JSON.stringify(name));
  assert.equal(pathSegment('store', '...'), '...');
  assert.deepEqual(['.', '..', 'a/b'].map(fitsInPath), [false, false, false]);
});

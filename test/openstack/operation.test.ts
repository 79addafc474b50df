import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { operationOf } from '../../src/openstack/services.ts';

const id = '0c9e5f04-6c1c-4f0e-9d0f-0d7a2b8f7e11';

test('an operation is named by the segments of the API', () => {
  const cases: [method: string, url: string, service: string, operation: string][] = [
    ['POST', 'https://keystone/v3/auth/tokens', 'identity', 'POST auth/tokens'],
    ['POST', 'https://host/identity/v3/auth/tokens?nocatalog', 'identity', 'POST auth/tokens'],
    ['GET', 'https://keystone/v3', 'identity', 'GET'],
    ['GET', 'https://glance/v2/images?limit=100&marker=x', 'image', 'GET images'],
    ['GET', `https://host/image/v2/images/${id}`, 'image', 'GET images/{id}'],
    ['PUT', `https://glance/v2/images/${id}/file`, 'image', 'PUT images/{id}/file'],
    ['PUT', `https://glance/v2/images/${id}/tags/images`, 'image', 'PUT images/{id}/tags/{id}'],
    ['DELETE', `https://glance/v2/images/${id}/members/${id}`, 'image', 'DELETE images/{id}/members/{id}'],
    ['POST', `https://glance/v2/images/${id}/actions/deactivate`, 'image', 'POST images/{id}/actions/deactivate'],
    ['DELETE', `https://glance/v2/stores/ceph/${id}`, 'image', 'DELETE stores/{id}/{id}'],
    ['GET', 'https://glance/v2/info/stores', 'image', 'GET info/stores'],
    ['GET', 'https://glance/v2/schemas/image', 'image', 'GET schemas/image'],
    ['GET', `https://barbican/v1/secrets/${id}/payload`, 'key-manager', 'GET secrets/{id}/payload'],
    ['GET', 'https://glance/versions', 'unknown', 'GET versions'],
    ['GET', 'https://glance/', 'unknown', 'GET versions'],
  ];
  for (const [method, url, service, operation] of cases)
    assert.deepEqual(operationOf(method, url), { service, operation });
});

test('the name of an operation never contains text of a user', () => {
  const segment = fc.string({ minLength: 1, maxLength: 12 }).map((text) => `user-${encodeURIComponent(text)}`);
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 5 }), fc.constantFrom('v1', 'v2', 'v3', 'x'), (segments, version) => {
      const { operation } = operationOf('GET', `https://host/${version}/images/${segments.join('/')}`);
      assert.ok(!operation.includes('user-'), operation);
    }),
    { seed: 31, numRuns: 200 },
  );
});

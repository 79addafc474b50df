import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Catalog, findEndpoint, versionedUrl } from '../../src/openstack/catalog.ts';
import type { ServiceConfig } from '../../src/openstack/clouds.ts';
import { EndpointNotFound } from '../../src/openstack/errors.ts';

const catalog: Catalog = [
  { type: 'identity', endpoints: [{ interface: 'public', url: 'http://k', region_id: 'R1' }] },
  {
    type: 'image',
    endpoints: [
      { interface: 'public', url: 'http://one', region: 'R1', region_id: 'R1' },
      { interface: 'internal', url: 'http://one.internal', region_id: 'R1' },
      { interface: 'public', url: 'http://two', region: 'Two', region_id: 'R2' },
    ],
  },
];
const wanted = (some: Partial<ServiceConfig> = {}): ServiceConfig => ({
  region: undefined,
  interfaces: ['public'],
  endpointOverride: undefined,
  ...some,
});

test('an endpoint is found by interface and by the id or name of the region', () => {
  assert.equal(findEndpoint(catalog, 'image', wanted({ region: 'R1' })), 'http://one');
  assert.equal(findEndpoint(catalog, 'image', wanted({ region: 'R2' })), 'http://two');
  assert.equal(findEndpoint(catalog, 'image', wanted({ region: 'Two' })), 'http://two');
  assert.equal(findEndpoint(catalog, 'image', wanted({ interfaces: ['internal'] })), 'http://one.internal');
});

test('without a region the first endpoint wins; interfaces count in their order', () => {
  assert.equal(findEndpoint(catalog, 'image', wanted()), 'http://one');
  assert.equal(
    findEndpoint(catalog, 'image', wanted({ interfaces: ['admin', 'internal', 'public'] })),
    'http://one.internal',
  );
});

test('an override needs no catalog', () => {
  assert.equal(findEndpoint([], 'image', wanted({ endpointOverride: 'http://o' })), 'http://o');
});

test('where nothing fits, the error lists what is there', () => {
  const message = (some: Partial<ServiceConfig>, from = catalog) => {
    try {
      findEndpoint(from, 'image', wanted(some));
    } catch (error) {
      assert.ok(error instanceof EndpointNotFound);
      assert.equal(error.code, 'EndpointNotFound');
      return error.message;
    }
    return assert.fail('an endpoint was found');
  };
  assert.equal(
    message({ region: 'R3' }),
    "Keystone's catalog has no public endpoint of type image in region R3; it has public in R1, internal in R1, public in R2",
  );
  assert.match(message({ interfaces: ['internal'], region: 'R2' }), /no internal endpoint of type image in region R2/);
  assert.match(message({}, catalog.slice(0, 1)), /no service of type image; it has identity/);
  assert.match(message({}, []), /no service of type image; it is empty/);
});

test('every spelling of an endpoint leads to /v2, and a path before it is kept', () => {
  for (const [given, expected] of [
    ['http://h:9292', 'http://h:9292/v2'],
    ['http://h:9292/', 'http://h:9292/v2'],
    ['https://h/image', 'https://h/image/v2'],
    ['https://h/image/v2', 'https://h/image/v2'],
    ['https://h/image/v2/', 'https://h/image/v2'],
    ['https://h/image/v2.15//', 'https://h/image/v2'],
    ['https://h/v1', 'https://h/v2'],
    ['https://h/v2x', 'https://h/v2x/v2'],
  ] as const) {
    assert.equal(versionedUrl(given, 'v2'), expected);
  }
  assert.throws(() => versionedUrl('glance', 'v2'), EndpointNotFound);
});

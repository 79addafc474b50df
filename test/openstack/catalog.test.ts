import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Catalog, catalogSchema, findEndpoints, relevantPart, serviceRoot } from '../../src/openstack/catalog.ts';
import { EndpointNotFound } from '../../src/openstack/errors.ts';
import type { ServiceConfig } from '../../src/openstack/services.ts';

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
  type: 'image',
  name: undefined,
  region: undefined,
  interfaces: ['public'],
  override: undefined,
  ...some,
});
const found = (some: Partial<ServiceConfig> = {}, from = catalog) => findEndpoints(from, wanted(some));

test('endpoints are found by interface and by the id or name of the region', () => {
  assert.deepEqual(found({ region: 'R1' }), ['http://one']);
  assert.deepEqual(found({ region: 'R2' }), ['http://two']);
  assert.deepEqual(found({ region: 'Two' }), ['http://two']);
  assert.deepEqual(found({ interfaces: ['internal'] }), ['http://one.internal']);
});

test('the region defaults to that of the first endpoint, and interfaces are tried in their order', () => {
  assert.deepEqual(found(), ['http://one']);
  assert.deepEqual(found({ interfaces: ['admin', 'internal', 'public'] }), ['http://one.internal']);
});

const crowd: Catalog = [
  {
    type: 'image',
    name: 'glance',
    endpoints: [
      { interface: 'public', url: 'http://a', region_id: 'R' },
      { interface: 'public', url: 'http://other', region_id: 'S' },
      { interface: 'public', url: 'http://b', region_id: 'R' },
      { interface: 'public', url: 'http://a', region_id: 'R' },
      { interface: 'internal', url: 'http://inside', region_id: 'R' },
    ],
  },
  { type: 'image', name: 'mirror', endpoints: [{ interface: 'public', url: 'http://mirror', region_id: 'R' }] },
];

test('all endpoints of one service, region and interface are returned, each once, and no others', () => {
  assert.deepEqual(found({ region: 'R' }, crowd), ['http://a', 'http://b']);
  assert.deepEqual(found({}, crowd), ['http://a', 'http://b']);
  assert.deepEqual(found({ region: 'S' }, crowd), ['http://other']);
});

test('services of one type are distinguished by name', () => {
  assert.deepEqual(found({ name: 'mirror' }, crowd), ['http://mirror']);
  assert.throws(() => found({ name: 'swift' }, crowd), {
    message:
      "Keystone's catalog has no service of type image named swift; it has image named glance, image named mirror",
  });
});

test('the error for a missing endpoint lists those that exist', () => {
  const message = (some: Partial<ServiceConfig>, from = catalog) => {
    try {
      found(some, from);
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
  assert.match(message({}, [{ type: 'image', endpoints: [] }]), /no public endpoint of type image; it has none of any/);
});

test('malformed entries of a catalog are ignored', () => {
  const endpoint = { interface: 'public', url: 'http://a', region: null, region_id: 'R' };
  const given = [
    null,
    { type: 7 },
    { type: 'image', endpoints: [{ publicURL: 'http://v2' }, { url: null }, endpoint] },
  ];
  const catalog = catalogSchema.parse(given);
  assert.deepEqual(found({ region: 'R' }, catalog), ['http://a']);
});

test('every spelling of an endpoint has the same root, and a path before the version is kept', () => {
  for (const [given, expected] of [
    ['http://h:9292', 'http://h:9292'],
    ['http://h:9292/', 'http://h:9292'],
    ['https://h/image', 'https://h/image'],
    ['https://h/image/v2', 'https://h/image'],
    ['https://h/image/v2/', 'https://h/image'],
    ['https://h/image/v2.15//', 'https://h/image'],
    ['https://h/v1', 'https://h'],
    ['https://h/v2x', 'https://h/v2x'],
  ] as const) {
    assert.equal(serviceRoot(given), expected);
  }
  for (const wrong of ['glance', 'ftp://glance', '']) assert.equal(serviceRoot(wrong), undefined);
});

test('the message about a missing endpoint lists at most twenty names, each cut and on one line', () => {
  const many = Array.from({ length: 30 }, (_, index) => ({ type: `${index}\n${'x'.repeat(250)}`, endpoints: [] }));
  assert.throws(
    () => found({}, many),
    (error) => {
      assert.ok(error instanceof EndpointNotFound);
      assert.match(error.message, /^[^\n]* it has (?:\d+ x{61,62}…, ){19}\d+ x{61,62}…$/);
      return true;
    },
  );
});

test('a session keeps the endpoints of the services that it calls, and the types of the others for messages', () => {
  const kept = relevantPart(catalog, new Set(['image']));
  assert.deepEqual(kept, [{ type: 'identity', endpoints: [] }, catalog[1]]);
});

test('a catalog is cut at 500 services with 500 endpoints each', () => {
  const endpoint = { interface: 'public', url: 'http://a' };
  const flood = Array.from({ length: 600 }, () => ({
    type: 'image',
    endpoints: Array.from({ length: 600 }, () => endpoint),
  }));
  const read = catalogSchema.parse(flood);
  assert.equal(read.length, 500);
  assert.ok(read.every(({ endpoints }) => endpoints.length === 500));
});

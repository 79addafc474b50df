import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvalidRequest } from '../../src/glance/errors.ts';
import { decodeProperty, readImage } from '../../src/glance/image.ts';
import { reservedPropertyReason } from '../../src/glance/property-names.ts';
import { encodeProperty, newImage } from '../../src/glance/translation.ts';
import type { JsonValue } from '../../src/openstack/json.ts';
import { imageId, imageOf, wireImage } from './model.ts';

test('every JSON value is written in one way', () => {
  for (const [value, text] of [
    ['text', 'text'],
    ['', ''],
    [' {"a": 1} ', ' {"a": 1} '],
    [true, 'true'],
    [false, 'false'],
    [0, '0'],
    [-0, '0'],
    [1.5, '1.5'],
    [2147483648, '2147483648'],
    [1e21, '1000000000000000000000'],
    [-1.25e22, '-12500000000000000000000'],
    [1.5e-7, '0.00000015'],
    [-1e-7, '-0.0000001'],
    [[1, 'a', null], '[1,"a",null]'],
    [{ a: [true] }, '{"a":[true]}'],
    [[], '[]'],
    [null, undefined],
  ] as const) {
    assert.equal(
      encodeProperty(
        value === null || typeof value !== 'object'
          ? value
          : structuredClone<JsonValue>(JSON.parse(JSON.stringify(value))),
      ),
      text,
    );
  }
});

test('a number is written in decimal digits that are the same number', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
      const text = encodeProperty(number) ?? '';
      assert.match(text, /^-?\d+(\.\d+)?$/);
      assert.equal(Number(text), number === 0 ? 0 : number);
    }),
  );
});

test('mappings and block_device_mapping read back as the JSON that was written', () => {
  fc.assert(
    fc.property(fc.constantFrom('mappings', 'block_device_mapping'), fc.array(fc.jsonValue()), (key, list) => {
      const value: JsonValue = JSON.parse(JSON.stringify(list));
      assert.deepEqual(decodeProperty(key, encodeProperty(value) ?? ''), value);
    }),
  );
});

test('only those two are decoded, and unreadable text stays text', () => {
  for (const [key, text, value] of [
    ['mappings', '[{"virtual": "ami"}]', [{ virtual: 'ami' }]],
    ['mappings', '', ''],
    ['mappings', '[{', '[{'],
    ['block_device_mapping', '[]', []],
    ['other', '[]', '[]'],
  ] as const) {
    assert.deepEqual(decodeProperty(key, text), value);
  }
});

test('an image is read in our own terms', () => {
  const image = imageOf({
    name: 'ubuntu',
    status: 'active',
    disk_format: 'qcow2',
    container_format: 'bare',
    min_disk: 10,
    min_ram: 512,
    os_hidden: true,
    tags: ['lts'],
    size: 3,
    virtual_size: 4,
    checksum: 'c',
    os_hash_algo: 'sha512',
    os_hash_value: 'h',
    direct_url: 'file:///x',
    stores: 'fast,slow',
    locations: [{ url: 'file:///x', metadata: {} }],
    kernel_id: 'k',
    properties: 'a property may be called that',
    block_device_mapping: '[{"boot_index": 0}]',
    os_glance_failed_import: '',
  });
  assert.deepEqual(image, {
    id: imageId,
    name: 'ubuntu',
    status: 'active',
    visibility: 'shared',
    protected: false,
    hidden: true,
    diskFormat: 'qcow2',
    containerFormat: 'bare',
    minDiskGiB: 10,
    minRAMMiB: 512,
    owner: 'p',
    tags: ['lts'],
    size: 3,
    virtualSize: 4,
    checksum: 'c',
    hash: { algorithm: 'sha512', value: 'h' },
    createdAt: '2026-01-01T00:00:00Z',
    updatedAt: '2026-01-01T00:00:00Z',
    directUrl: 'file:///x',
    locations: [{ url: 'file:///x', metadata: {} }],
    stores: ['fast', 'slow'],
    properties: {
      kernel_id: 'k',
      properties: 'a property may be called that',
      block_device_mapping: [{ boot_index: 0 }],
      os_glance_failed_import: '',
    },
  });
});

test('tags are read sorted and each once, in whatever order Glance sends them', () => {
  assert.deepEqual(imageOf({ tags: ['b', 'ü', 'a', 'b', 'B'] }).tags, ['B', 'a', 'b', 'ü']);
  assert.deepEqual(imageOf({ tags: null }).tags, []);
});

test('stores are read sorted, in whatever order Glance sends them', () => {
  assert.deepEqual(imageOf({ stores: 'slow,fast' }).stores, ['fast', 'slow']);
});

test('a state or a null that we do not know does not make an image unreadable, another document is none', () => {
  assert.equal(imageOf({ status: 'hibernating', checksum: null, strange: null }).status, 'hibernating');
  assert.equal(imageOf({ strange: null }).properties['strange'], null);
  for (const body of [null, [], 'x', {}, { id: 1 }, { ...wireImage(), status: 7 }])
    assert.equal(readImage(body), undefined);
});

test('the body of a new image has what is wanted, flat, and the id that we chose', () => {
  const body = newImage(imageId, {
    name: 'x',
    diskFormat: 'raw',
    containerFormat: 'bare',
    visibility: 'private',
    minDiskGiB: 1,
    hidden: false,
    owner: null,
    tags: ['b', 'a', 'b'],
    properties: { hw_disk_bus: 'virtio', cores: 4, gone: null, mappings: [{ a: 1 }], __proto__x: 'y' },
  });
  assert.deepEqual(body, {
    id: imageId,
    name: 'x',
    disk_format: 'raw',
    container_format: 'bare',
    visibility: 'private',
    min_disk: 1,
    os_hidden: false,
    owner: null,
    tags: ['a', 'b'],
    hw_disk_bus: 'virtio',
    cores: '4',
    mappings: '[{"a":1}]',
    __proto__x: 'y',
  });
  assert.throws(() => newImage(imageId, { properties: { id: 'other' } }), InvalidRequest);
});

test('keys of Glance cannot be properties, and each rejection names the key', () => {
  const ours = [
    ...['id', 'name', 'visibility', 'protected', 'os_hidden', 'owner', 'tags', 'min_disk', 'min_ram'],
    ...['disk_format', 'container_format'],
  ];
  const theirs = [
    ...['status', 'size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value', 'created_at', 'updated_at'],
    ...['self', 'file', 'schema', 'direct_url', 'stores'],
  ];
  const reserved = ['location', 'locations', 'deleted', 'deleted_at', 'os_glance_x', 'os_glance'];
  for (const key of [...ours, ...theirs, ...reserved])
    assert.match(reservedPropertyReason(key) ?? '', new RegExp(`^property ${key}: `));
  for (const key of ['kernel_id', 'store_id', 'properties', 'items', 'backend', 'constructor', 'Name', '']) {
    assert.equal(reservedPropertyReason(key), undefined);
  }
});

test('JSON in mappings is decoded up to 32 levels, and deeper JSON stays text, because a comparison could exceed the stack', () => {
  const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  assert.notEqual(decodeProperty('mappings', nested(32)), nested(32));
  for (const levels of [33, 100, 3_000, 30_000])
    assert.equal(decodeProperty('mappings', nested(levels)), nested(levels));
});

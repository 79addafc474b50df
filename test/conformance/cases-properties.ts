/** Custom properties: their names, their values, how many. */
import type { JsonObject } from '../../src/openstack/json.ts';
import type { Case } from './case.ts';

const raw = { name: 'image', disk_format: 'raw', container_format: 'bare' };
const mappings = [{ virtual: 'ami', device: 'sda1' }];

function withProperties(
  name: string,
  properties: JsonObject | null,
  cinder: string,
  expect: Case['expect'] = 'same',
): Case {
  return { name, operations: [{ op: 'create', meta: { ...raw, properties } }], cinder: [cinder], expect };
}

function many(count: number) {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`property_${index}`, String(index)]));
}

export const propertyCases: readonly Case[] = [
  withProperties(
    'create properties with odd names and odd values',
    {
      empty: '',
      long: 'x'.repeat(60_000),
      'a/b~c~1d': 'slashes and tildes',
      '/': 'a slash',
      '': 'no name',
      'größe 日本': 'жöñ',
      ['k'.repeat(255)]: 'a long name',
      constructor: 'x',
      toString: 'y',
      os_distro: 'debian',
      kernel_id: '6b1fd7a2-0000-4000-8000-000000000001',
    },
    'returned',
  ),
  withProperties('create properties that are null', null, 'returned'),
  withProperties('create an empty set of properties', {}, 'returned'),
  withProperties('create a property that is null', { kept: 'yes', nothing: null }, 'TypeError', {
    values: {
      '/results/0': ['TypeError', 'returned'],
      '/glance/<new>': [undefined, { kept: 'yes', status: 'queued' }],
    },
  }),
  withProperties('create properties that are a number and a truth value', { cores: 4, flag: true }, 'TypeError', {
    values: {
      '/results/0': ['TypeError', 'returned'],
      '/glance/<new>': [undefined, { cores: '4', flag: 'true', status: 'queued' }],
    },
  }),
  withProperties('create a property that is a list', { list: [{ a: 1 }] }, 'TypeError', {
    values: {
      '/results/0': ['TypeError', 'returned'],
      '/glance/<new>': [undefined, { list: '[{"a":1}]', status: 'queued' }],
    },
  }),
  withProperties('create a property with a name of 256 characters', { ['k'.repeat(256)]: 'x' }, 'HTTPBadRequest 400', {
    classes: { '/results/0': ['HTTPBadRequest 400', 'Invalid 400'] },
  }),
  withProperties('create 1000 properties', many(1000), 'ImageLimitExceeded 413'),
  withProperties('create a property called self', { self: 'x' }, 'TypeError', {
    names: { '/results/0': ['TypeError', 'Invalid'] },
  }),
  withProperties('create a property called method', { method: 'x' }, 'TypeError', {
    names: { '/results/0': ['TypeError', 'returned'], '/glance/<new>': [undefined, { method: 'x', status: 'queued' }] },
  }),
  withProperties('create a property called context', { context: 'x' }, 'TypeError', {
    names: { '/results/0': ['TypeError', 'Invalid'] },
  }),
  withProperties('create a property called controller', { controller: 'x' }, 'AttributeError', {
    names: {
      '/results/0': ['AttributeError', 'returned'],
      '/glance/<new>': [undefined, { controller: 'x', status: 'queued' }],
    },
  }),
  withProperties('create a property called store_id', { store_id: 'slow' }, 'returned', {
    names: {
      '/results/0/value/properties/store_id': [undefined, 'slow'],
      '/glance/<new>/store_id': [undefined, 'slow'],
    },
  }),
  withProperties(
    'create properties called base_image_ref, backend and privileged_user',
    { base_image_ref: 'x', backend: 'slow', privileged_user: 'y' },
    'returned',
    {
      names: {
        '/results/0/value/properties/base_image_ref': [undefined, 'x'],
        '/results/0/value/properties/backend': [undefined, 'slow'],
        '/results/0/value/properties/privileged_user': [undefined, 'y'],
        '/glance/<new>/base_image_ref': [undefined, 'x'],
        '/glance/<new>/backend': [undefined, 'slow'],
        '/glance/<new>/privileged_user': [undefined, 'y'],
      },
    },
  ),
  withProperties('create properties called items and keys', { items: 'x', keys: 'y' }, 'returned', {
    names: {
      '/results/0/value/properties/items': [{ python: 'method' }, 'x'],
      '/results/0/value/properties/keys': [{ python: 'builtin_function_or_method' }, 'y'],
    },
  }),
  withProperties("create a property that is Glance's own", { os_glance_note: 'x' }, 'HTTPForbidden 403', {
    readOnly: { '/results/0': ['HTTPForbidden 403', 'Invalid'] },
  }),
  withProperties('create a property called location', { location: 'x' }, 'HTTPForbidden 403', {
    readOnly: { '/results/0': ['HTTPForbidden 403', 'Invalid'] },
  }),
  withProperties('create a property that is an attribute', { name: 'inner' }, 'returned', {
    attributes: {
      '/results/0': ['returned', 'Invalid'],
      '/glance/<new>': [{ status: 'queued', name: 'inner' }, undefined],
    },
  }),
  withProperties('create a property that is an attribute Glance sets', { checksum: 'x' }, 'HTTPForbidden 403', {
    readOnly: { '/results/0': ['HTTPForbidden 403', 'Invalid'] },
  }),
  withProperties('create a kernel_id that is no UUID', { kernel_id: 'vmlinuz' }, 'returned'),
  withProperties(
    'create a key for encryption',
    { cinder_encryption_key_id: '6b1fd7a2-0000-4000-8000-000000000001' },
    'returned',
  ),
  withProperties(
    'create mappings as a list and a block device mapping as text',
    { mappings, block_device_mapping: '[{"device_name": "vda"}]' },
    'returned',
    {
      spelling: {
        '/glance/<new>/mappings': ['[{"virtual": "ami", "device": "sda1"}]', '[{"virtual":"ami","device":"sda1"}]'],
      },
    },
  ),
  {
    name: 'create mappings as text that is no JSON, and show them',
    operations: [
      { op: 'create', meta: { ...raw, id: '<new>', properties: { mappings: 'ami=sda1' } } },
      { op: 'show', image: '<new>' },
    ],
    cinder: ['JSONDecodeError', 'JSONDecodeError'],
    expect: { json: { '/results/0': ['JSONDecodeError', 'returned'], '/results/1': ['JSONDecodeError', 'returned'] } },
  },
  withProperties('create mappings as empty text', { mappings: '' }, 'JSONDecodeError', {
    json: { '/results/0': ['JSONDecodeError', 'returned'] },
  }),
  {
    name: 'create a property at the level of the attributes instead of among the properties',
    operations: [{ op: 'create', meta: { ...raw, hw_disk_bus: 'virtio' } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'create a property both at the level of the attributes and among the properties',
    operations: [{ op: 'create', meta: { ...raw, bus: 'outer', properties: { bus: 'inner' } } }],
    cinder: ['returned'],
    expect: 'same',
  },
];

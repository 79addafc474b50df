/** Changing images. */
import type { Case } from './case.ts';

const two = { fields: { name: 'before', a: '1', b: '2', tags: ['x', 'y'] } };

export const updateCases: readonly Case[] = [
  {
    name: 'set a property called image_id to the id of another image',
    given: { '<image>': two, '<other>': { fields: { name: 'other' } } },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { image_id: '<other>' } }, purge: false }],
    cinder: ['TypeError'],
    expect: { names: { '/results/0': ['TypeError', 'Invalid'] } },
  },
  {
    name: 'purge an image that has a property called member',
    given: { '<image>': { fields: { name: 'before', a: '1', member: 'x' } } },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { b: '2' } } }],
    cinder: ['ImageNotAuthorized 500'],
    expect: {
      names: {
        '/results/0': ['ImageNotAuthorized 500', 'returned'],
        '/glance/<image>/a': ['1', undefined],
        '/glance/<image>/b': [undefined, '2'],
      },
    },
  },
  {
    name: 'rename an image, purging',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after' } }],
    cinder: ['returned'],
    expect: {
      purge: {
        '/results/0/value/properties/a': [undefined, '1'],
        '/results/0/value/properties/b': [undefined, '2'],
        '/glance/<image>/b': [undefined, '2'],
        '/glance/<image>/a': [undefined, '1'],
      },
    },
  },
  {
    name: 'rename an image, not purging',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after' }, purge: false }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'set one property, purging the others',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { a: '3' } } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'set one property, keeping the others',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { a: '3' } }, purge: false }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'purge with an empty set of properties',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { properties: {} } }],
    cinder: ['returned'],
    expect: {
      purge: {
        '/results/0/value/properties/a': ['1', undefined],
        '/results/0/value/properties/b': ['2', undefined],
        '/glance/<image>/a': ['1', undefined],
        '/glance/<image>/b': ['2', undefined],
      },
    },
  },
  {
    name: 'rename an image and purge with an empty set of properties',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after', properties: {} } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'purge with properties that are null',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after', properties: null } }],
    cinder: ['AttributeError'],
    expect: {
      purge: {
        '/results/0': ['AttributeError', 'returned'],
        '/glance/<image>/b': ['2', undefined],
        '/glance/<image>/a': ['1', undefined],
        '/glance/<image>/name': ['before', 'after'],
      },
    },
  },
  {
    name: 'purge with properties that are a list',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { properties: [] } }],
    cinder: ['AttributeError'],
    expect: { validity: { '/results/0': ['AttributeError', 'Invalid'] } },
  },
  {
    name: 'change nothing at all',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: {} }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'set what is set already',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'before', properties: { a: '1', b: '2' } } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'remove a property while another is added with the same value',
    given: { '<image>': { fields: { old: 'same' } } },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { new: 'same' } } }],
    cinder: ['Invalid 400'],
    expect: {
      move: {
        '/results/0': ['Invalid 400', 'returned'],
        '/glance/<image>/old': ['same', undefined],
        '/glance/<image>/new': [undefined, 'same'],
      },
    },
  },
  {
    name: 'set a property to null and one to a number, keeping the others',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { a: null, b: 3 } }, purge: false }],
    cinder: ['TypeError'],
    expect: {
      values: {
        '/results/0': ['TypeError', 'returned'],
        '/glance/<image>/a': ['1', undefined],
        '/glance/<image>/b': ['2', '3'],
      },
    },
  },
  {
    name: 'change and purge properties with slashes and tildes in their names',
    given: { '<image>': { fields: { 'a/b': '1', 'c~d': '2', '~1': '3' } } },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { 'a/b': '4', '/~': '5' } } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'purge a property that the schema of images knows',
    given: {
      '<image>': { fields: { os_distro: 'debian', kernel_id: '6b1fd7a2-0000-4000-8000-000000000001', a: '1' } },
    },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { a: '1' } } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'purge an image that was imported',
    given: { '<image>': { fields: { a: '1' }, data: 'imported data', is: 'imported' } },
    operations: [{ op: 'update', image: '<image>', meta: { properties: { b: '2' } } }],
    cinder: ['ImageNotAuthorized 500'],
    expect: {
      glancesNotes: {
        '/results/0': ['ImageNotAuthorized 500', 'returned'],
        '/glance/<image>/a': ['1', undefined],
        '/glance/<image>/b': [undefined, '2'],
      },
    },
  },
  {
    name: 'replace the tags, then clear them',
    given: { '<image>': two },
    operations: [
      { op: 'update', image: '<image>', meta: { tags: ['z', 'x', 'z'] }, purge: false },
      { op: 'update', image: '<image>', meta: { tags: [] }, purge: false },
    ],
    cinder: ['returned', 'returned'],
    expect: { tags: { '/results/1/value/tags': [['x', 'z'], []], '/glance/<image>/tags': [['x', 'z'], []] } },
  },
  {
    name: 'set the name to null, to nothing, to several scripts, to 255 characters, to 256',
    given: { '<image>': two },
    operations: [null, '', 'Übung – образ – 日本語', 'n'.repeat(255), 'n'.repeat(256)].map((name) => ({
      op: 'update',
      image: '<image>',
      meta: { name },
      purge: false,
    })),
    cinder: ['returned', 'returned', 'returned', 'returned', 'TypeError'],
    expect: { validity: { '/results/4': ['TypeError', 'Invalid 400'] } },
  },
  {
    name: 'update with an id and with attributes that Cinder strips among the attributes',
    given: { '<image>': two },
    operations: [
      {
        op: 'update',
        image: '<image>',
        meta: { id: '6b1fd7a2-0000-4000-8000-000000000001', name: 'after', status: 'active', updated_at: 'now' },
        purge: false,
      },
    ],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'update the size, which Glance sets',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after', size: 5 }, purge: false }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { readOnly: { '/results/0': ['ImageNotAuthorized 500', 'Invalid'] } },
  },
  {
    name: 'give back all that was shown of an image without data, under another name',
    given: { '<image>': two },
    operations: [{ op: 'giveBack', image: '<image>', meta: { name: 'after' } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'give back all that was shown of an active image, under another name',
    given: {
      '<image>': {
        data: 'some data',
        fields: { a: '1', tags: ['x'], kernel_id: '6b1fd7a2-0000-4000-8000-000000000001' },
      },
    },
    operations: [{ op: 'giveBack', image: '<image>', meta: { name: 'after' } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'give back all that was shown of an imported image, under another name',
    given: { '<image>': { data: 'imported data', is: 'imported', fields: { a: '1' } } },
    operations: [{ op: 'giveBack', image: '<image>', meta: { name: 'after' } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'give back all that was shown of an image, with another size',
    given: { '<image>': { data: 'some data' } },
    operations: [{ op: 'giveBack', image: '<image>', meta: { size: 5 } }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { readOnly: { '/results/0': ['ImageNotAuthorized 500', 'Invalid'] } },
  },
  {
    name: 'set min_disk to text',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { min_disk: '5' }, purge: false }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid'] } },
  },
  {
    name: 'protect, hide and open an image to the community',
    given: { '<image>': two },
    operations: [
      {
        op: 'update',
        image: '<image>',
        meta: { protected: true, os_hidden: true, visibility: 'community', min_disk: 3, min_ram: 7 },
        purge: false,
      },
    ],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'set an unknown visibility',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { visibility: 'secret' }, purge: false }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid 400'] } },
  },
  {
    name: 'make an image public as a user without that right',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '<image>', meta: { visibility: 'public' }, purge: false }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'change the disk format of an active image',
    given: { '<image>': { data: 'some data' } },
    operations: [{ op: 'update', image: '<image>', meta: { disk_format: 'iso' }, purge: false }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'rename an image whose mappings are no JSON',
    given: { '<image>': { fields: { mappings: 'ami=sda1' } } },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after' }, purge: false }],
    cinder: ['JSONDecodeError'],
    expect: { json: { '/results/0': ['JSONDecodeError', 'returned'] } },
  },
  {
    name: 'set mappings as a list and again in another spelling',
    given: { '<image>': {} },
    operations: [
      { op: 'update', image: '<image>', meta: { properties: { mappings: [{ virtual: 'ami', device: 'sda1' }] } } },
      { op: 'update', image: '<image>', meta: { properties: { mappings: '[{"device":"sda1","virtual":"ami"}]' } } },
    ],
    cinder: ['returned', 'returned'],
    expect: {
      spelling: {
        '/glance/<image>/mappings': ['[{"device":"sda1","virtual":"ami"}]', '[{"virtual":"ami","device":"sda1"}]'],
      },
    },
  },
  {
    name: 'set properties called self and method',
    given: { '<image>': {} },
    operations: [
      { op: 'update', image: '<image>', meta: { properties: { self: 'x' } } },
      { op: 'update', image: '<image>', meta: { properties: { method: 'x' } } },
    ],
    cinder: ['TypeError', 'TypeError'],
    expect: {
      names: {
        '/results/0': ['TypeError', 'Invalid'],
        '/results/1': ['TypeError', 'returned'],
        '/glance/<image>/method': [undefined, 'x'],
      },
    },
  },
  {
    name: 'set properties called store_id and remove_props',
    given: { '<image>': {} },
    operations: [
      { op: 'update', image: '<image>', meta: { properties: { store_id: 'slow' } } },
      { op: 'update', image: '<image>', meta: { properties: { remove_props: 'x' } } },
    ],
    cinder: ['returned', 'returned'],
    expect: {
      names: {
        '/results/0/value/properties/store_id': [undefined, 'slow'],
        '/results/1/value/properties/remove_props': [undefined, 'x'],
        '/glance/<image>/remove_props': [undefined, 'x'],
      },
    },
  },
  {
    name: 'update an image as a user with a read-only role',
    given: { '<image>': two },
    operations: [{ op: 'update', as: 'reader', image: '<image>', meta: { name: 'after' }, purge: false }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'update an image that was deleted',
    given: { '<image>': { is: 'deleted' } },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after' } }],
    cinder: ['ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'update the community image of another project',
    given: { '<foreign>': { owner: 'stranger', fields: { visibility: 'community' } } },
    operations: [{ op: 'update', image: '<foreign>', meta: { name: 'after' }, purge: false }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'update an image whose id leads to another path',
    given: { '<image>': two },
    operations: [{ op: 'update', image: '../images/<image>', meta: { name: 'after' }, purge: false }],
    cinder: ['returned'],
    expect: { ids: { '/results/0': ['returned', 'Invalid'], '/glance/<image>/name': ['after', 'before'] } },
  },
];

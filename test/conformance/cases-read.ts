/** Looking at one image and at many. */
import type { Case } from './case.ts';

const nobody = '6b1fd7a2-0000-4000-8000-000000000001';
const ours = { owner: '<project>' };
const marked = { ...ours, mark: '<mark>' };

export const readCases: readonly Case[] = [
  {
    name: 'show images with and without data, also to a user with a read-only role',
    given: {
      '<filled>': { data: 'some data', fields: { hw_disk_bus: 'virtio', os_distro: 'debian', tags: ['t'] } },
      '<image>': { fields: { visibility: 'private' } },
    },
    operations: [
      { op: 'show', image: '<filled>' },
      { op: 'show', image: '<image>' },
      { op: 'show', image: '<image>', as: 'reader' },
    ],
    cinder: ['returned', 'returned', 'returned'],
    expect: 'same',
  },
  {
    name: 'show images that never existed, that were deleted, that belong to another project',
    given: {
      '<image>': { is: 'deleted' },
      '<foreign>': { owner: 'stranger', fields: { visibility: 'private' } },
    },
    operations: [
      { op: 'show', image: nobody },
      { op: 'show', image: '<image>' },
      { op: 'show', image: '<foreign>' },
    ],
    cinder: ['ImageNotFound 404', 'ImageNotFound 404', 'ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'show images that other projects open to the community, or share before the image is accepted',
    given: {
      '<community>': { owner: 'stranger', fields: { visibility: 'community' } },
      '<shared>': { owner: 'stranger', members: ['member'] },
    },
    operations: [
      { op: 'show', image: '<community>' },
      { op: 'show', image: '<shared>' },
    ],
    cinder: ['returned', 'returned'],
    expect: 'same',
  },
  {
    name: 'show an image without an id, and with one that leads to another path',
    operations: [
      { op: 'show', image: '' },
      { op: 'show', image: '../schemas/image' },
    ],
    cinder: ['ImageNotFound 404', 'returned'],
    expect: { ids: { '/results/0': ['ImageNotFound 404', 'Invalid'], '/results/1': ['returned', 'Invalid'] } },
  },
  {
    name: 'show an image by its id as a reference, and by a reference to its server',
    given: { '<image>': {} },
    operations: [
      { op: 'showRef', ref: '<image>' },
      { op: 'showRef', ref: '<glance>/v2/images/<image>' },
      { op: 'showRef', ref: '<glance>/<image>' },
    ],
    cinder: ['returned', 'returned', 'returned'],
    expect: 'same',
  },
  {
    name: 'show an image by a reference to another service of the same host, which has no such image',
    given: { '<image>': {} },
    operations: [{ op: 'showRef', ref: '<glance>/another/v2/images/<image>' }],
    faults: [{ matches: ({ path }) => path.startsWith('/another'), fault: { kind: 'answer', status: 404 } }],
    cinder: ['returned'],
    expect: { references: { '/results/0': ['returned', 'ImageNotFound 404'] } },
  },
  {
    name: 'show an image by references that end with a slash, that have no host, and half an address for one',
    operations: [
      { op: 'showRef', ref: `<glance>/v2/images/${nobody}/` },
      { op: 'showRef', ref: `images/${nobody}` },
      { op: 'showRef', ref: `http://[::1/${nobody}` },
    ],
    cinder: ['ImageNotFound 404', 'UnknownConnectionError', 'InvalidImageRef 400'],
    expect: {
      references: {
        '/results/0': ['ImageNotFound 404', 'InvalidImageRef'],
        '/results/1': ['UnknownConnectionError', 'InvalidImageRef'],
      },
      numbers: { '/results/2': ['InvalidImageRef 400', 'InvalidImageRef'] },
    },
  },
  {
    name: 'list images by their properties, their tags and their names, sorted, in part, and hidden ones',
    given: {
      '<first>': { fields: { name: 'a', mark: '<mark>' } },
      '<second>': { fields: { name: 'b', mark: '<mark>', tags: ['odd'] } },
      '<third>': { fields: { name: 'b', mark: '<mark>', os_hidden: true } },
    },
    operations: [
      { op: 'detail', filters: marked, sortKey: 'name', sortDir: 'asc' },
      { op: 'detail', filters: marked, sortKey: 'name', sortDir: 'desc' },
      { op: 'detail', filters: { ...marked, name: 'b', tag: ['odd'] } },
      { op: 'detail', filters: marked, limit: 1, sortKey: 'name', sortDir: 'desc' },
      { op: 'detail', filters: marked, marker: '<first>', sortKey: 'name', sortDir: 'asc' },
      { op: 'detail', filters: { ...marked, os_hidden: 'true' } },
      { op: 'detail', filters: { ...marked, colour: 'größe & mehr' } },
      { op: 'detail', as: 'stranger', filters: { mark: '<mark>' } },
    ],
    cinder: Array.from({ length: 8 }, () => 'returned'),
    expect: 'same',
  },
  {
    name: 'list no more than no images',
    given: { '<image>': { fields: { mark: '<mark>' } } },
    operations: [{ op: 'detail', filters: marked, limit: 0 }],
    cinder: ['returned'],
    expect: { noImages: { '/results/0/value': [[{ status: 'queued' }], []] } },
  },
  {
    name: 'list images with a negative limit',
    operations: [{ op: 'detail', filters: ours, limit: -1 }],
    cinder: ['HTTPBadRequest 400'],
    expect: { validity: { '/results/0': ['HTTPBadRequest 400', 'Invalid'] } },
  },
  {
    name: 'list images by the disk that they need',
    given: {
      '<small>': { fields: { mark: '<mark>', min_disk: 1 } },
      '<large>': { fields: { mark: '<mark>', min_disk: 2 } },
    },
    operations: [{ op: 'detail', filters: { ...marked, min_disk: '2' } }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'list images by a name that Glance takes for a list of names',
    given: {
      '<first>': { fields: { mark: '<mark>', name: 'a' } },
      '<second>': { fields: { mark: '<mark>', name: 'b' } },
    },
    operations: [{ op: 'detail', filters: { ...marked, name: 'in:a,b' }, sortKey: 'name', sortDir: 'asc' }],
    cinder: ['returned'],
    expect: { filters: { '/results/0/value': [[{ name: 'a' }, { name: 'b' }], []] } },
  },
  {
    name: 'show an image with mappings that are null, and with a number that is too large for JavaScript',
    given: { '<image>': { fields: { mappings: 'null', block_device_mapping: '12345678901234567890' } } },
    operations: [{ op: 'show', image: '<image>' }],
    cinder: ['returned'],
    expect: {
      json: {
        '/results/0/value/properties/mappings': [null, 'null'],
        '/results/0/value/properties/block_device_mapping': [
          JSON.parse('12345678901234567890'),
          '12345678901234567890',
        ],
      },
    },
  },
  {
    name: 'list images behind markers that never were or are no ids, and sorted by what no image has',
    operations: [
      { op: 'detail', filters: ours, marker: nobody },
      { op: 'detail', filters: ours, marker: 'here&limit=1' },
      { op: 'detail', filters: ours, sortKey: 'colour', sortDir: 'asc' },
    ],
    cinder: ['HTTPBadRequest 400', 'HTTPBadRequest 400', 'HTTPBadRequest 400'],
    expect: {
      classes: {
        '/results/0': ['HTTPBadRequest 400', 'Invalid 400'],
        '/results/1': ['HTTPBadRequest 400', 'Invalid 400'],
        '/results/2': ['HTTPBadRequest 400', 'Invalid 400'],
      },
    },
  },
  {
    name: 'show and list an image whose mappings are no JSON',
    given: { '<image>': { fields: { mappings: 'ami=sda1', mark: '<mark>' } } },
    operations: [
      { op: 'show', image: '<image>' },
      { op: 'detail', filters: marked },
    ],
    cinder: ['JSONDecodeError', 'JSONDecodeError'],
    expect: { json: { '/results/0': ['JSONDecodeError', 'returned'], '/results/1': ['JSONDecodeError', 'returned'] } },
  },
];

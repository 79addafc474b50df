/** Data in and out. */
import { onlyCindersIsActive } from './active.ts';
import type { Case } from './case.ts';

const filled = { data: 'some data' };

export const dataCases: readonly Case[] = [
  {
    name: 'upload data',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data' }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'upload data and rename the image',
    given: { '<image>': { fields: { a: '1' } } },
    operations: [
      { op: 'update', image: '<image>', meta: { name: 'after', properties: { a: '1' } }, data: 'some data' },
    ],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'upload data into a store by its name',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data', store: 'slow', baseImageRef: 'base' }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'upload data into a store by its name, and into no store in particular, on a service made from a reference',
    given: { '<first>': {}, '<second>': {} },
    remote: true,
    operations: [
      { op: 'update', image: '<first>', meta: {}, data: 'some data', store: 'slow' },
      { op: 'update', image: '<second>', meta: {}, data: 'some data' },
    ],
    cinder: ['returned', 'returned'],
    expect: {
      perCall: {
        '/results/1/value/locations/0/url': ['file:///slow/<second>', 'file:///fast/<second>'],
        '/results/1/value/locations/0/metadata/store': ['slow', 'fast'],
        '/results/1/value/direct_url': ['file:///slow/<second>', 'file:///fast/<second>'],
        '/results/1/value/stores': ['slow', 'fast'],
        '/glance/<second>/locations/0/url': ['file:///slow/<second>', 'file:///fast/<second>'],
        '/glance/<second>/locations/0/metadata/store': ['slow', 'fast'],
        '/glance/<second>/direct_url': ['file:///slow/<second>', 'file:///fast/<second>'],
        '/glance/<second>/stores': ['slow', 'fast'],
      },
    },
  },
  {
    name: 'upload data into a store that there is not',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data', store: 'nowhere' }],
    cinder: ['Invalid 400'],
    expect: { stores: { '/results/0': ['Invalid 400', 'StoreNotFound 400'] } },
  },
  {
    name: 'upload data of no bytes',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: '' }],
    cinder: ['returned'],
    expect: {
      emptiness: {
        '/results/0': ['returned', 'SizeMismatch'],
        ...onlyCindersIsActive(''),
      },
    },
  },
  {
    name: 'upload data into an image that has some',
    given: { '<image>': filled },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'other data' }],
    cinder: ['HTTPConflict 409'],
    expect: { classes: { '/results/0': ['HTTPConflict 409', 'Conflict'] } },
  },
  {
    name: 'upload data into an image that has some, and rename it',
    given: { '<image>': filled },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after' }, purge: false, data: 'other data' }],
    cinder: ['HTTPConflict 409'],
    expect: { classes: { '/results/0': ['HTTPConflict 409', 'Conflict'] } },
  },
  {
    name: 'upload data that is based on an image whose id is no UUID, and rename the image',
    given: { '<image>': {} },
    operations: [
      {
        op: 'update',
        image: '<image>',
        meta: { name: 'after' },
        purge: false,
        data: 'some data',
        baseImageRef: 'not a uuid',
      },
    ],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'upload data into an image without a disk format',
    given: { '<image>': { fields: { disk_format: null } } },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data' }],
    cinder: ['Invalid 400'],
    expect: 'same',
  },
  {
    name: 'upload data that is not what the disk format says',
    given: { '<image>': { fields: { disk_format: 'qcow2' } } },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'no qcow2 at all'.repeat(100) }],
    cinder: ['HTTPException'],
    expect: { classes: { '/results/0': ['HTTPException', 'FormatMismatch 415'] } },
  },
  {
    name: 'upload data and set an attribute that Glance rejects',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: { visibility: 'public' }, purge: false, data: 'some data' }],
    cinder: ['ImageNotAuthorized 500'],
    expect: {
      numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] },
      order: {
        ...onlyCindersIsActive('some data'),
      },
    },
  },
  {
    name: 'upload data as a user with a read-only role',
    given: { '<image>': {} },
    operations: [{ op: 'update', as: 'reader', image: '<image>', meta: {}, data: 'some data' }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'upload data into an image that was deleted',
    given: { '<image>': { is: 'deleted' } },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data' }],
    cinder: ['ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'download an image into a file, as a stream, and from the file that it lies in',
    given: { '<image>': filled },
    operations: [
      { op: 'download', image: '<image>' },
      { op: 'download', image: '<image>', sink: false },
      { op: 'download', image: '<image>', schemes: ['file'] },
    ],
    cinder: ['returned', 'returned', 'returned'],
    expect: 'same',
  },
  {
    name: 'download an image without data into a file, as a stream, and with direct access to files',
    given: { '<image>': {} },
    operations: [
      { op: 'download', image: '<image>' },
      { op: 'download', image: '<image>', sink: false },
      { op: 'download', image: '<image>', schemes: ['file'] },
    ],
    cinder: ['TypeError', 'TypeError', 'TypeError'],
    expect: {
      downloads: {
        '/results/0': ['TypeError', 'ImageDownloadFailed'],
        '/results/1': ['TypeError', 'ImageDownloadFailed'],
        '/results/2': ['TypeError', 'ImageDownloadFailed'],
      },
    },
  },
  {
    name: 'download a deactivated image',
    given: { '<image>': { ...filled, is: 'deactivated' } },
    operations: [{ op: 'download', image: '<image>' }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { numbers: { '/results/0': ['ImageNotAuthorized 500', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'download an image that was deleted',
    given: { '<image>': { ...filled, is: 'deleted' } },
    operations: [{ op: 'download', image: '<image>' }],
    cinder: ['ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'download an image whose id leads to another path',
    given: { '<image>': filled },
    operations: [{ op: 'download', image: '../images/<image>' }],
    cinder: ['returned'],
    expect: { ids: { '/results/0': ['returned', 'Invalid'] } },
  },
];

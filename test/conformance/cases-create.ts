/** Creating images. */
import type { Case } from './case.ts';

const raw = { name: 'image', disk_format: 'raw', container_format: 'bare' };

export const createCases: readonly Case[] = [
  {
    name: 'create an image with every attribute that can be given',
    operations: [
      {
        op: 'create',
        meta: {
          name: 'Übung – образ – 日本語',
          disk_format: 'qcow2',
          container_format: 'bare',
          visibility: 'private',
          min_disk: 1,
          min_ram: 64,
          protected: false,
          os_hidden: true,
          tags: ['größe', '標籤', 'a', 'größe'],
          properties: { hw_disk_bus: 'virtio', os_distro: 'debian' },
        },
      },
    ],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'create an image without any attribute',
    operations: [{ op: 'create', meta: {} }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: "create an image under an id of one's own",
    operations: [
      { op: 'create', meta: { ...raw, id: '<new>' } },
      { op: 'show', image: '<new>' },
    ],
    cinder: ['returned', 'returned'],
    expect: 'same',
  },
  {
    name: 'create an image under an id that is taken',
    given: { '<image>': {} },
    operations: [{ op: 'create', meta: { ...raw, id: '<image>' } }],
    cinder: ['HTTPConflict 409'],
    expect: { classes: { '/results/0': ['HTTPConflict 409', 'Conflict 409'] } },
  },
  {
    name: 'create an image under the id of one that was deleted',
    given: { '<image>': { is: 'deleted' } },
    operations: [{ op: 'create', meta: { ...raw, id: '<image>' } }],
    cinder: ['HTTPConflict 409'],
    expect: { classes: { '/results/0': ['HTTPConflict 409', 'Conflict 409'] } },
  },
  {
    name: 'create an image under an id that is no UUID',
    operations: [{ op: 'create', meta: { ...raw, id: 'image-1' } }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid'] } },
  },
  {
    name: 'create an image with an emoji in its name',
    operations: [{ op: 'create', meta: { ...raw, name: 'image 🚀' } }],
    cinder: ['HTTPBadRequest 400'],
    expect: { classes: { '/results/0': ['HTTPBadRequest 400', 'Invalid 400'] } },
  },
  {
    name: 'create an image with a name of 256 characters',
    operations: [{ op: 'create', meta: { ...raw, name: 'n'.repeat(256) } }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid 400'] } },
  },
  {
    name: 'create an image with a tag of 256 characters',
    operations: [{ op: 'create', meta: { ...raw, tags: ['t'.repeat(256)] } }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid 400'] } },
  },
  {
    name: 'create an image in an unknown disk format',
    operations: [{ op: 'create', meta: { ...raw, disk_format: 'floppy' } }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid'] } },
  },
  {
    name: 'create an image whose min_disk is text',
    operations: [{ op: 'create', meta: { ...raw, min_disk: '5' } }],
    cinder: ['TypeError'],
    expect: { validity: { '/results/0': ['TypeError', 'Invalid'] } },
  },
  {
    name: 'create an image whose min_ram is negative',
    operations: [{ op: 'create', meta: { ...raw, min_ram: -1 } }],
    cinder: ['HTTPBadRequest 400'],
    expect: { validity: { '/results/0': ['HTTPBadRequest 400', 'Invalid'] } },
  },
  {
    name: 'create an image with attributes that Glance sets and Cinder strips',
    operations: [
      {
        op: 'create',
        meta: { ...raw, status: 'active', created_at: '2026-01-01T00:00:00Z', updated_at: null, deleted_at: null },
      },
    ],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'create an image with a checksum, which Glance sets',
    operations: [{ op: 'create', meta: { ...raw, checksum: 'd41d8cd98f00b204e9800998ecf8427e' } }],
    cinder: ['HTTPForbidden 403'],
    expect: { readOnly: { '/results/0': ['HTTPForbidden 403', 'Invalid'] } },
  },
  {
    name: 'create an image with a size, which Glance sets',
    operations: [{ op: 'create', meta: { ...raw, size: 1024 } }],
    cinder: ['HTTPForbidden 403'],
    expect: { readOnly: { '/results/0': ['HTTPForbidden 403', 'Invalid'] } },
  },
  {
    name: 'create an image for another project',
    operations: [{ op: 'create', meta: { ...raw, owner: '<stranger>' } }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'NotAuthorized 403'] } },
  },
  {
    name: 'create a public image as a user without that right',
    operations: [{ op: 'create', meta: { ...raw, visibility: 'public' } }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'NotAuthorized 403'] } },
  },
  {
    name: 'create an image as a user with a read-only role',
    operations: [{ op: 'create', as: 'reader', meta: raw }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'NotAuthorized 403'] } },
  },
  {
    name: 'create an image that no project owns, as a user without that right',
    operations: [{ op: 'create', meta: { ...raw, owner: null } }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'NotAuthorized 403'] } },
  },
  {
    name: 'create an image whose properties are text',
    operations: [{ op: 'create', meta: { ...raw, properties: 'text' } }],
    cinder: ['ValueError'],
    expect: { validity: { '/results/0': ['ValueError', 'Invalid'] } },
  },
  {
    name: 'create an image together with its data',
    operations: [{ op: 'create', meta: raw, data: 'some data' }],
    cinder: ['TypeError'],
    expect: {
      creationWithData: {
        '/results/0': ['TypeError', 'returned'],
        '/glance/<new>': [undefined, { status: 'active', size: 9 }],
      },
    },
  },
];

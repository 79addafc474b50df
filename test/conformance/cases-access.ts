/** Members, stores, locations and deletion. */
import type { Case } from './case.ts';
import type { Meta, Operation, Requester } from './operation.ts';

const filled = { data: 'some data' };

/** Whether a user without a token may access an image. */
function asking(image: Meta, to: Partial<Requester> = {}, status?: string): Operation {
  const members = status === undefined ? [] : [{ project: 'us', status }];
  return { op: 'isAvailable', image, to: { token: null, admin: false, project: 'us', user: 'me', ...to }, members };
}

export const accessCases: readonly Case[] = [
  {
    name: 'decide without Glance who may have an image',
    operations: [
      asking({ visibility: 'private' }),
      asking({ visibility: 'private' }, { token: 'token' }),
      asking({ visibility: 'private' }, { admin: true }),
      asking({ visibility: 'public' }),
      asking({ visibility: 'community' }),
      asking({ visibility: 'shared' }),
      asking({ visibility: 'shared' }, {}, 'accepted'),
      asking({ visibility: 'shared' }, {}, 'pending'),
      asking({ visibility: 'shared' }, { project: 'them' }, 'accepted'),
      ...[
        { owner_id: 'us' },
        { owner_id: 'them', project_id: 'us', user_id: 'me' },
        { project_id: 'us' },
        { project_id: 'them', user_id: 'me' },
        { user_id: 'me' },
        { user_id: 'you' },
      ].map((properties) => asking({ visibility: 'private', properties })),
      asking({ visibility: 'shared', properties: { owner_id: 'them' } }, {}, 'accepted'),
    ],
    cinder: Array.from({ length: 16 }, () => 'returned'),
    expect: 'same',
  },
  {
    name: 'decide without Glance who may access an image of the Images API v2, whose properties are at the level of its attributes',
    operations: [
      asking({ visibility: 'private', is_public: true }),
      ...[{ owner_id: 'us' }, { project_id: 'us' }, { user_id: 'me' }, { owner_id: 'them', user_id: 'me' }].map(
        (properties) => asking({ visibility: 'private', ...properties }),
      ),
    ],
    cinder: Array.from({ length: 5 }, () => 'returned'),
    expect: {
      owners: {
        '/results/1/value': [false, true],
        '/results/2/value': [false, true],
        '/results/3/value': [false, true],
      },
    },
  },
  {
    name: 'list the members of a shared image',
    given: { '<image>': { members: ['stranger'] } },
    operations: [{ op: 'listMembers', image: '<image>' }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'list the members of a private image',
    given: { '<image>': { fields: { visibility: 'private' } } },
    operations: [{ op: 'listMembers', image: '<image>' }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'list the members of an image that another project shares with this one',
    given: { '<foreign>': { owner: 'stranger', members: ['member'] } },
    operations: [{ op: 'listMembers', image: '<foreign>' }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'list the members of an image that was deleted',
    given: { '<image>': { is: 'deleted' } },
    operations: [{ op: 'listMembers', image: '<image>' }],
    cinder: ['HTTPNotFound 404'],
    expect: { classes: { '/results/0': ['HTTPNotFound 404', 'ImageNotFound 404'] } },
  },
  {
    name: 'list the stores',
    operations: [{ op: 'getStores' }],
    cinder: ['returned'],
    expect: {
      stores: {
        '/results/0/value/stores/0/default': ['true', true],
        '/results/0/value/stores/0/read-only': [undefined, false],
        '/results/0/value/stores/1/default': [undefined, false],
        '/results/0/value/stores/1/read-only': [undefined, false],
      },
    },
  },
  {
    name: 'show where the data of an image lies',
    given: { '<image>': filled },
    operations: [{ op: 'getLocation', image: '<image>' }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'show where the data of an image without data lies',
    given: { '<image>': {} },
    operations: [{ op: 'getLocation', image: '<image>' }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'show where the data of a deleted image lies',
    given: { '<image>': { ...filled, is: 'deleted' } },
    operations: [{ op: 'getLocation', image: '<image>' }],
    cinder: ['ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'add a location, without metadata',
    given: { '<image>': {} },
    operations: [{ op: 'addLocation', image: '<image>', url: 'http://127.0.0.1:9/image', metadata: {} }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { locations: { '/results/0': ['ImageNotAuthorized 500', 'Invalid 400'] } },
  },
  {
    name: 'add a location that is a file of the server',
    given: { '<image>': {} },
    operations: [{ op: 'addLocation', image: '<image>', url: 'file:///etc/passwd', metadata: {} }],
    cinder: ['ImageNotAuthorized 500'],
    expect: { locations: { '/results/0': ['ImageNotAuthorized 500', 'Invalid 400'] } },
  },
  {
    name: 'delete an image, twice',
    given: { '<image>': filled },
    operations: [
      { op: 'delete', image: '<image>' },
      { op: 'delete', image: '<image>' },
    ],
    cinder: ['returned', 'ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'delete a protected image',
    given: { '<image>': { fields: { protected: true } } },
    operations: [{ op: 'delete', image: '<image>' }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'delete the community image of another project',
    given: { '<foreign>': { owner: 'stranger', fields: { visibility: 'community' } } },
    operations: [{ op: 'delete', image: '<foreign>' }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'delete the private image of another project',
    given: { '<foreign>': { owner: 'stranger', fields: { visibility: 'private' } } },
    operations: [{ op: 'delete', image: '<foreign>' }],
    cinder: ['ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'delete an image as a user with a read-only role',
    given: { '<image>': {} },
    operations: [{ op: 'delete', as: 'reader', image: '<image>' }],
    cinder: ['HTTPForbidden 403'],
    expect: { classes: { '/results/0': ['HTTPForbidden 403', 'ImageNotAuthorized 403'] } },
  },
  {
    name: 'delete an image whose id leads to another path',
    given: { '<image>': { fields: { tags: ['t'] } } },
    operations: [{ op: 'delete', image: '<image>/tags/t' }],
    cinder: ['returned'],
    expect: { ids: { '/results/0': ['returned', 'Invalid'], '/glance/<image>/tags': [[], ['t']] } },
  },
];

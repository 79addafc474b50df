/** Declarations about who uses an image, and where it is published. */
import {
  type Case,
  cloud,
  image,
  list,
  required,
  short,
  spec,
  tooLong,
  tooShort,
  unsupported,
} from './declarations.ts';

const says = {
  members: 'only shared images have members: declare visibility: shared, or leave members out',
  configMap: 'must be the name of a ConfigMap: lower-case letters, digits, - and ., for example ubuntu-image',
};

const shared = (members: unknown) => image({ visibility: 'shared', members });
const configMap = (name: unknown, refusal?: string): Case => ({
  what: `name of the ConfigMap ${short(name)}`,
  spec: spec({ publish: { configMapRef: { name } } }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.publish.configMapRef.name', says: refusal } }),
});

export const sharingCases: Case[] = [
  { what: 'a shared image with as many members as Glance allows', spec: shared({ projects: list(128) }) },
  { what: 'a shared image without any member', spec: shared({ projects: [] }) },
  {
    what: 'more members than Glance allows',
    spec: shared({ projects: list(129) }),
    refused: { field: 'spec.image.members.projects', says: 'Too many' },
  },
  {
    what: 'the same member twice',
    spec: shared({ projects: ['a', 'a'] }),
    refused: { field: 'spec.image.members.projects[1]', says: 'Duplicate' },
  },
  {
    what: 'a member without an ID',
    spec: shared({ projects: [''] }),
    refused: { field: 'spec.image.members.projects[0]', says: tooShort },
  },
  {
    what: 'members without their list',
    spec: shared({}),
    refused: { field: 'spec.image.members.projects', says: required },
  },
  ...[{}, { visibility: 'private' }, { visibility: 'public' }, { visibility: 'community' }].map((fields) => ({
    what: `members of an image with ${JSON.stringify(fields)}`,
    spec: image({ ...fields, members: { projects: ['a'] } }),
    refused: { field: 'spec.image.members', says: says.members },
  })),
  ...['Active', 'Deactivated'].map((state) => ({ what: `state ${state}`, spec: image({ state }) })),
  {
    what: 'a state in the spelling of Glance',
    spec: image({ state: 'deactivated' }),
    refused: { field: 'spec.image.state', says: unsupported },
  },

  configMap('ubuntu-image'),
  configMap('a'.repeat(253)),
  configMap('a'.repeat(254), tooLong),
  configMap('', tooShort),
  configMap('Ubuntu', says.configMap),
  {
    what: 'a publication without a place',
    spec: spec({ publish: {} }),
    refused: { field: 'spec.publish.configMapRef', says: required },
  },
  {
    what: 'a publication of an image that is observed',
    spec: {
      cloud,
      managementPolicy: 'Observe',
      import: { filter: { name: 'ubuntu' } },
      publish: { configMapRef: { name: 'ubuntu-image' } },
    },
  },
];

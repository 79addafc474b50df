/**
 * Declarations that zod and the API server must treat alike. Invariant: each rule of the CRD is broken here or in
 * changes.ts.
 */
import { internalNames } from '../../src/glance/property-names.ts';
import { contentCases } from './cases-content.ts';
import { importCases } from './cases-import.ts';
import { publisherCases } from './cases-publishers.ts';
import { revisionCases } from './cases-revisions.ts';
import { sharingCases } from './cases-sharing.ts';
import {
  type Case,
  cloud,
  emoji,
  from,
  hex,
  http,
  id,
  image,
  list,
  map,
  required,
  says,
  short,
  spec,
  tooLong,
  tooShort,
  unsupported,
  wrongType,
} from './declarations.ts';

const interval = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `interval ${JSON.stringify(value)}`,
  spec: spec({ interval: value }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.interval', says: refusal } }),
});
const secretName = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `name of the Secret ${short(value)}`,
  spec: { cloud: { ...cloud, secretRef: { name: value } } },
  ...(refusal === undefined ? {} : { refused: { field: 'spec.cloud.secretRef.name', says: refusal } }),
});
const inImage = (field: string, value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `image.${field} ${short(value)}`,
  spec: image({ [field]: value }),
  ...(refusal === undefined ? {} : { refused: { field: `spec.image.${field}`, says: refusal } }),
});

const other = { secretRef: { name: 'other' }, name: 'other' };

export const cases: Case[] = [
  { what: 'only the cloud', spec: { cloud } },
  {
    what: 'every field',
    spec: {
      cloud: { ...cloud, region: 'RegionOne', serviceAccountName: 'glance-images' },
      deletionPolicy: 'Retain',
      suspend: true,
      interval: '1h30m',
      image: {
        name: 'ubuntu-24.04',
        diskFormat: 'qcow2',
        containerFormat: 'bare',
        visibility: 'shared',
        members: { projects: ['5f0b1d'] },
        state: 'Active',
        protected: true,
        hidden: true,
        minDiskGiB: 10,
        minRAMMiB: 512,
        owner: '5f0b1c',
        tags: ['ubuntu', 'lts'],
        properties: { hw_disk_bus: 'virtio', os_version: 24.04, mappings: [{ virtual: 'ami', device: '/dev/sda' }] },
        stores: ['ceph-a', 'ceph-b'],
        allStores: false,
      },
      propertyPolicy: 'Merge',
      content: {
        http: {
          ...http,
          mirrors: [
            { url: 'https://mirror.example.org/image.qcow2.xz' },
            { url: 'https://mirror.example.org/image.qcow2.zst', digest: `sha512:${hex(128)}` },
          ],
          digestOf: 'Served',
          member: '*.qcow2',
          headersSecretRef: { name: 'mirror-token' },
          caSecretRef: { name: 'mirror-ca' },
        },
        method: 'Stage',
      },
      publish: { configMapRef: { name: 'ubuntu-image' } },
      revisions: {
        keep: 3,
        keepFor: '720h',
        pin: http.digest,
        retired: { hidden: false, name: '{name} {number} ({date})' },
      },
    },
  },
  {
    what: 'every field of another image as the source',
    spec: spec({
      image: { diskFormat: 'raw' },
      content: { glance: { image: id, cloud: { ...other, region: 'Two', serviceAccountName: 'other' } } },
    }),
  },

  { what: 'no cloud', spec: {}, refused: { field: 'spec.cloud', says: required } },
  {
    what: 'a cloud that is text',
    spec: { cloud: 'demo' },
    refused: { field: 'spec.cloud', says: wrongType('object') },
  },
  {
    what: 'a cloud without its Secret',
    spec: { cloud: { name: 'demo' } },
    refused: { field: 'spec.cloud.secretRef', says: required },
  },
  {
    what: 'a Secret that is named by text alone',
    spec: { cloud: { ...cloud, secretRef: 'openstack' } },
    refused: { field: 'spec.cloud.secretRef', says: wrongType('object') },
  },
  {
    what: 'a Secret without its name',
    spec: { cloud: { ...cloud, secretRef: {} } },
    refused: { field: 'spec.cloud.secretRef.name', says: required },
  },
  {
    what: 'a cloud without its name',
    spec: { cloud: { secretRef: { name: 'openstack' } } },
    refused: { field: 'spec.cloud.name', says: required },
  },
  {
    what: 'a cloud without letters in its name',
    spec: { cloud: { ...cloud, name: '' } },
    refused: { field: 'spec.cloud.name', says: tooShort },
  },
  {
    what: 'a ServiceAccount with a namespace',
    spec: { cloud: { ...cloud, serviceAccountName: 'other/glance-images' } },
    refused: {
      field: 'spec.cloud.serviceAccountName',
      says: 'must be the name of a ServiceAccount: lower-case letters, digits, - and ., for example glance-images',
    },
  },
  {
    what: 'a ServiceAccount without a name',
    spec: { cloud: { ...cloud, serviceAccountName: '' } },
    refused: { field: 'spec.cloud.serviceAccountName', says: tooShort },
  },
  { what: 'a cloud whose name has spaces', spec: { cloud: { ...cloud, name: 'my cloud' } } },
  {
    what: 'an empty region',
    spec: { cloud: { ...cloud, region: '' } },
    refused: { field: 'spec.cloud.region', says: tooShort },
  },
  secretName('a'),
  secretName('team-a.openstack-2'),
  secretName('a'.repeat(253)),
  secretName('a'.repeat(254), tooLong),
  secretName('', tooShort),
  secretName('OpenStack', says.secretName),
  secretName('open_stack', says.secretName),
  secretName('../other/secrets/openstack', says.secretName),
  secretName('openstack-', says.secretName),
  secretName('open..stack', says.secretName),
  secretName('openstack\n', says.secretName),

  {
    what: 'an unknown deletionPolicy',
    spec: spec({ deletionPolicy: 'Orphan' }),
    refused: { field: 'spec.deletionPolicy', says: unsupported },
  },
  {
    what: 'an unknown propertyPolicy',
    spec: spec({ propertyPolicy: 'purge' }),
    refused: { field: 'spec.propertyPolicy', says: unsupported },
  },
  {
    what: 'suspend as text',
    spec: spec({ suspend: 'true' }),
    refused: { field: 'spec.suspend', says: wrongType('boolean') },
  },

  interval('0'),
  interval('10s'),
  interval('10000ms'),
  interval('24h'),
  interval('23h59m60s'),
  interval('00000000000000000000000000024h'),
  interval('9s', says.interval),
  interval('9999ms', says.interval),
  interval('24h1ms', says.interval),
  interval('0s', says.interval),
  interval('99999999999999999999h', says.interval),
  interval('9223372036854775807ms1ms', says.interval),
  interval('1d', says.interval),
  interval('1.5h', says.interval),
  interval('-10m', says.interval),
  interval('10', says.interval),
  interval('10m ', says.interval),
  interval('10 m', says.interval),
  interval('٣h', says.interval),
  interval('', tooShort),
  interval(`${'1'.repeat(32)}h`, tooLong),
  interval(600, wrongType('string')),

  inImage('name', emoji(255)),
  inImage('name', emoji(256), tooLong),
  inImage('name', 'a'.repeat(255)),
  inImage('name', 'a'.repeat(256), tooLong),
  inImage('name', '', tooShort),
  inImage('name', 24.04, wrongType('string')),
  inImage('diskFormat', 'ploop'),
  inImage('diskFormat', 'root-tar'),
  inImage('diskFormat', 'a'.repeat(64)),
  inImage('diskFormat', 'a'.repeat(65), tooLong),
  inImage('diskFormat', 'QCOW2', says.formatName),
  inImage('diskFormat', '', tooShort),
  inImage('containerFormat', 'docker'),
  inImage('containerFormat', 'tgz'),
  inImage('containerFormat', 'a b', says.formatName),
  inImage('visibility', 'community'),
  inImage('visibility', 'Private', unsupported),
  inImage('protected', 'yes', wrongType('boolean')),
  inImage('hidden', 1, wrongType('boolean')),
  inImage('minDiskGiB', 0),
  inImage('minDiskGiB', 2_147_483_647),
  inImage('minDiskGiB', 2_147_483_648, 'less than or equal to 2147483647'),
  inImage('minDiskGiB', -1, 'greater than or equal to 0'),
  inImage('minDiskGiB', 1.5, wrongType('integer')),
  inImage('minDiskGiB', '10', wrongType('integer')),
  inImage('minRAMMiB', 512),
  inImage('minRAMMiB', -1, 'greater than or equal to 0'),
  inImage('owner', emoji(255)),
  inImage('owner', '', tooShort),
  inImage('tags', []),
  inImage('tags', list(128)),
  inImage('tags', list(129), 'Too many'),
  {
    what: 'the same tag twice',
    spec: image({ tags: ['lts', 'ubuntu', 'lts'] }),
    refused: { field: 'spec.image.tags[2]', says: 'Duplicate value' },
  },
  inImage('tags', ['lts', 'LTS']),
  inImage('tags', 'lts', wrongType('array')),
  {
    what: 'a tag without letters',
    spec: image({ tags: ['a', ''] }),
    refused: { field: 'spec.image.tags[1]', says: tooShort },
  },
  { what: 'a tag of 255 emoji', spec: image({ tags: [emoji(255)] }) },
  {
    what: 'a tag of 256 emoji',
    spec: image({ tags: [emoji(256)] }),
    refused: { field: 'spec.image.tags[0]', says: tooLong },
  },
  {
    what: 'a tag that is a number',
    spec: image({ tags: [24] }),
    refused: { field: 'spec.image.tags[0]', says: wrongType('string') },
  },
  inImage('properties', {}),
  inImage('properties', map(122)),
  inImage('properties', map(123), 'Too many'),
  inImage('properties', ['hw_disk_bus=virtio'], wrongType('object')),
  {
    what: 'properties of every type',
    spec: image({ properties: { a: '', b: 1.5, c: false, d: [null], e: { f: null } } }),
  },
  { what: 'properties with odd keys', spec: image({ properties: { 'a.b/c d': 'x', ü: 'y', '': 'z' } }) },
  {
    what: 'properties that are named like methods of JavaScript or half like those of Python',
    spec: image({ properties: { toString: 'x', constructor: 'y', hasOwnProperty: 'z', __init: '1', init__: '2' } }),
  },
  ...internalNames
    .filter((name) => !name.startsWith('_'))
    .map((name) => inImage('properties', { [name]: 'x', ok: 'y' }, says.properties)),

  {
    what: 'all stores and some',
    spec: image({ stores: ['a'], allStores: true }),
    refused: { field: 'spec.image.stores', says: says.stores },
  },
  inImage('stores', ['a', 'b']),
  inImage('stores', list(33), 'Too many'),
  inImage('allStores', true),
  ...contentCases,
  ...importCases,
  ...revisionCases,
  ...publisherCases,
  ...sharingCases,

  { what: 'null for a field with a default', spec: spec({ interval: null }), zodAlone: 'refuses' },
  { what: 'null for an object with a default', spec: spec({ image: null }), zodAlone: 'refuses' },
  { what: 'null for an optional field', spec: spec({ content: null }), zodAlone: 'refuses' },
  { what: 'null for a list', spec: image({ tags: null }), zodAlone: 'refuses' },
  {
    what: 'null for a required field',
    spec: { cloud: { ...cloud, name: null } },
    refused: { field: 'spec.cloud.name', says: required },
  },
  {
    what: 'null in a list',
    spec: image({ tags: ['a', null] }),
    refused: { field: 'spec.image.tags[1]', says: wrongType('string') },
  },
  {
    what: 'a misspelt field',
    spec: from({ digset: 'x' }),
    refused: { field: '', says: 'unknown field "spec.content.http.digset"' },
    zodAlone: 'accepts',
  },
];

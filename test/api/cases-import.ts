/** Declarations about images that exist already, and their changes. */
import type { Change } from './changes.ts';
import {
  type Case,
  cloud,
  emoji,
  from,
  http,
  id,
  image,
  type Refusal,
  spec,
  tooLong,
  tooShort,
  unsupported,
} from './declarations.ts';

const says = {
  one: 'import needs exactly one of id and filter',
  select: 'import.select chooses among the images that match import.filter: leave it out with import.id',
  filter: 'import.filter needs at least one of name, tags, properties, visibility and owner',
  uuid: 'must be the ID of an image: a UUID in lower case, as `openstack image show NAME -c id` prints it',
  unfilterable:
    'must not hold an attribute of images or a parameter of lists (checksum, container_format, created_at, direct_url, disk_format, file, ' +
    'id, limit, locations, marker, member_status, min_disk, min_ram, name, os_hash_algo, os_hash_value, os_hidden, owner, protected, ' +
    'schema, self, size, size_max, size_min, sort, sort_dir, sort_key, status, stores, tag, tags, updated_at, virtual_size, visibility): ' +
    'use the other fields of the filter, or import.id',
  needsImport: 'managementPolicy Observe needs import: name the image to observe by import.id or import.filter',
  onlyReads:
    'managementPolicy Observe writes nothing, and admits only cloud, import, interval, suspend and publish: leave out the other fields, or declare managementPolicy: Manage',
  deletes: 'managementPolicy Observe never deletes the image: leave deletionPolicy out',
  needsID:
    'managementPolicy Manage takes over one image, and needs its import.id; or declare managementPolicy: Observe',
  needsDeletion:
    'deletionPolicy is required with import: Retain keeps the image in Glance when this resource is deleted, Delete deletes it; or declare managementPolicy: Observe',
  presence:
    'import cannot be added or taken away, because it says whether the image is one that existed before: create another GlanceImage instead',
  policy:
    'managementPolicy cannot change from Manage to Observe, because the image is marked as managed: set deletionPolicy to Retain, delete this GlanceImage, and create another one with managementPolicy: Observe',
  fixed:
    'import cannot change with managementPolicy Manage, because the image is taken over: create another GlanceImage for another image',
};

const other = '6b1fd7a2-0000-5000-8000-000000000001';
const observe = (imported: object, fields: object = {}) =>
  spec({ managementPolicy: 'Observe', import: imported, ...fields });
const adopt = (fields: object = {}) => spec({ import: { id }, deletionPolicy: 'Retain', ...fields });
const filtered = (filter: object) => observe({ filter });
const at = (field: string, message: string): Refusal => ({ field: `spec.${field}`, says: message });
const readOnly = at('managementPolicy', says.onlyReads);

export const importCases: Case[] = [
  {
    what: 'every field of an image that is found by a filter',
    spec: observe({
      filter: {
        name: 'ubuntu-24.04',
        tags: ['lts'],
        properties: { os_distro: 'ubuntu' },
        visibility: 'public',
        owner: '5f0b1c',
      },
      select: 'Newest',
    }),
  },
  { what: 'every field of an image that is found by its ID', spec: observe({ id }) },
  { what: 'an observed image that is suspended', spec: observe({ id }, { suspend: true, interval: '0' }) },
  { what: 'an image that is taken over', spec: adopt() },
  { what: 'an image that is taken over, with its policy in writing', spec: adopt({ managementPolicy: 'Manage' }) },
  {
    what: 'an image that is taken over with everything about it',
    spec: adopt({ ...from({}), deletionPolicy: 'Delete', propertyPolicy: 'Purge' }),
  },
  { what: 'Manage without an import', spec: spec({ managementPolicy: 'Manage' }) },
  {
    what: 'a managementPolicy that does not exist',
    spec: observe({ id }, { managementPolicy: 'Ignore' }),
    refused: at('managementPolicy', unsupported),
  },

  { what: 'an import of nothing', spec: observe({}), refused: at('import', says.one) },
  {
    what: 'an import by ID and by filter',
    spec: observe({ id, filter: { name: 'a' } }),
    refused: at('import', says.one),
  },
  { what: 'a choice next to an ID', spec: observe({ id, select: 'Only' }), refused: at('import.select', says.select) },
  {
    what: 'a choice that does not exist',
    spec: observe({ filter: { name: 'a' }, select: 'Oldest' }),
    refused: at('import.select', unsupported),
  },
  {
    what: 'an ID that is a name',
    spec: observe({ id: 'ubuntu-24.04' }),
    refused: at('import.id', tooShort.replace('1', '36')),
  },
  { what: 'an ID in capitals', spec: observe({ id: id.toUpperCase() }), refused: at('import.id', says.uuid) },
  { what: 'a filter without conditions', spec: filtered({}), refused: at('import.filter', says.filter) },
  {
    what: 'a filter with empty lists',
    spec: filtered({ tags: [], properties: {} }),
    refused: at('import.filter', says.filter),
  },
  ...[
    { name: emoji(255) },
    { tags: ['a', 'b'] },
    { properties: { os_distro: '', 'trait:CUSTOM_X': 'required' } },
    { visibility: 'community' },
    { owner: 'p' },
  ].map((filter) => ({ what: `a filter by ${Object.keys(filter).join()} alone`, spec: filtered(filter) })),
  { what: 'a filter by a long name', spec: filtered({ name: emoji(256) }), refused: at('import.filter.name', tooLong) },
  { what: 'a filter by an empty owner', spec: filtered({ owner: '' }), refused: at('import.filter.owner', tooShort) },
  {
    what: 'a filter by 17 properties',
    spec: filtered({ properties: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`p${index}`, ''])) }),
    refused: at('import.filter.properties', 'Too many'),
  },
  ...['status', 'limit'].map((name) => ({
    what: `a filter by the property ${name}`,
    spec: filtered({ properties: { [name]: 'x' } }),
    refused: at('import.filter.properties', says.unfilterable),
  })),
  {
    what: 'a filter by a number',
    spec: filtered({ properties: { os_version: 24 } }),
    refused: at('import.filter.properties.os_version', 'must be of type string'),
  },

  {
    what: 'Observe without an import',
    spec: spec({ managementPolicy: 'Observe' }),
    refused: at('managementPolicy', says.needsImport),
  },
  { what: 'Observe with a name', spec: observe({ id }, { image: { name: 'a' } }), refused: readOnly },
  { what: 'Observe with an empty list of tags', spec: observe({ id }, { image: { tags: [] } }), refused: readOnly },
  {
    what: 'Observe with content',
    spec: observe({ id }, { image: { diskFormat: 'raw' }, content: { http } }),
    refused: readOnly,
  },
  { what: 'Observe with a propertyPolicy', spec: observe({ id }, { propertyPolicy: 'Merge' }), refused: readOnly },
  {
    what: 'Observe with a deletionPolicy',
    spec: observe({ id }, { deletionPolicy: 'Retain' }),
    refused: at('deletionPolicy', says.deletes),
  },
  {
    what: 'Manage with a filter',
    spec: adopt({ import: { filter: { name: 'a' } } }),
    refused: at('managementPolicy', says.needsID),
  },
  {
    what: 'an image that is taken over without a deletionPolicy',
    spec: { cloud, import: { id } },
    refused: at('deletionPolicy', says.needsDeletion),
  },
];

export const importChanges: Change[] = [
  { what: 'another observed image', from: observe({ id }), to: observe({ id: other }) },
  { what: 'a filter in place of the ID', from: observe({ id }), to: filtered({ name: 'a' }) },
  { what: 'Manage of an observed image', image: 'active', from: observe({ id }), to: adopt() },
  {
    what: 'Manage of an image that a filter found, with content',
    image: 'active',
    from: filtered({ name: 'a' }),
    to: adopt(from({})),
  },
  { what: 'the deletionPolicy of an image that is taken over', from: adopt(), to: adopt({ deletionPolicy: 'Delete' }) },
  { what: 'Manage in writing', from: adopt(), to: adopt({ managementPolicy: 'Manage' }) },
  { what: 'an import that was not there', from: spec({}), to: adopt(), refused: at('import', says.presence) },
  { what: 'Observe of a created image', from: image({}), to: observe({ id }), refused: at('import', says.presence) },
  {
    what: 'no import any more',
    from: adopt(),
    to: spec({ deletionPolicy: 'Retain' }),
    refused: at('import', says.presence),
  },
  { what: 'no observed import any more', from: observe({ id }), to: spec({}), refused: at('import', says.presence) },
  {
    what: 'Observe of an image that is taken over',
    from: adopt(),
    to: observe({ id }),
    refused: at('managementPolicy', says.policy),
  },
  {
    what: 'another image in place of the one that is taken over',
    from: adopt(),
    to: adopt({ import: { id: other } }),
    refused: at('import', says.fixed),
  },
];

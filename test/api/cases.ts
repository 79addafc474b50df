/** Declarations that zod and the API server must judge alike. Law: each rule of the CRD is broken here or in changes.ts. */

export interface Refusal {
  /** The field that the refusal names; empty where it names none. */
  field: string;
  /** What the API server says of it. A rule in CEL is cited whole: zod must then say the same. */
  says: string;
}

export interface Case {
  what: string;
  spec: unknown;
  /** Absent: the declaration is accepted. */
  refused?: Refusal;
  /** What zod says of the declaration as it was written, where the API server changes it before it judges. */
  zodAlone?: 'accepts' | 'refuses';
}

const cloud = { secretName: 'openstack', name: 'demo' };
export const hex = (digits: number) => 'a0'.repeat(digits / 2);
export const http = { url: 'https://example.com/image.qcow2', digest: `sha256:${hex(64)}` };
const emoji = (count: number) => '\u{1f600}'.repeat(count);
const map = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, 'value']));
const list = (count: number) => Array.from({ length: count }, (_, index) => `tag${index}`);

export const spec = (fields: object) => ({ cloud, ...fields });
export const image = (fields: object) => spec({ image: fields });
export const from = (fields: object) =>
  spec({ image: { diskFormat: 'qcow2' }, content: { http: { ...http, ...fields } } });

const tooLong = 'Too long';
const tooShort = 'at least 1 chars long';
const required = 'Required value';
const unsupported = 'Unsupported value';
const wrongType = (type: string) => `must be of type ${type}`;

export const says = {
  interval: 'must be 0, which turns the check off, or a duration from 10s to 24h such as 90s, 10m or 1h30m',
  url: 'must be an http:// or https:// URL without spaces, user name or password, for example https://example.com/image.qcow2',
  digest:
    'must be sha256:, sha384: or sha512: followed by the 64, 96 or 128 lower-case hex digits that sha256sum, sha384sum or sha512sum print',
  secretName: 'must be the name of a Secret: lower-case letters, digits, - and ., for example openstack',
  format: 'image.diskFormat is required with content: say what the file is, for example qcow2 or raw',
  diskFormatFixed:
    'diskFormat cannot change once the resource exists: Glance fixes it with the data; create another GlanceImage instead',
  containerFormatFixed:
    'containerFormat cannot change once the resource exists: Glance fixes it with the data; create another GlanceImage instead',
  contentFixed:
    'content cannot change once the resource exists: the data of an image is fixed in Glance; create another GlanceImage instead',
};

/** A value in the name of a case: its beginning and end, and its length where that is not all. */
function short(value: unknown): string {
  const text = [...JSON.stringify(value)];
  return text.length > 60
    ? `${text.slice(0, 40).join('')}…${text.slice(-5).join('')} of ${text.length} characters`
    : text.join('');
}

const interval = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `interval ${JSON.stringify(value)}`,
  spec: spec({ interval: value }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.interval', says: refusal } }),
});
const url = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `URL ${short(value)}`,
  spec: from({ url: value }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.content.http.url', says: refusal } }),
});
const digest = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `digest ${short(value)}`,
  spec: from({ digest: value }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.content.http.digest', says: refusal } }),
});
const secretName = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `name of the Secret ${short(value)}`,
  spec: { cloud: { ...cloud, secretName: value } },
  ...(refusal === undefined ? {} : { refused: { field: 'spec.cloud.secretName', says: refusal } }),
});
const inImage = (field: string, value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `image.${field} ${short(value)}`,
  spec: image({ [field]: value }),
  ...(refusal === undefined ? {} : { refused: { field: `spec.image.${field}`, says: refusal } }),
});

export const cases: Case[] = [
  { what: 'only the cloud', spec: { cloud } },
  {
    what: 'every field',
    spec: {
      cloud: { ...cloud, region: 'RegionOne' },
      deletionPolicy: 'Retain',
      suspend: true,
      interval: '1h30m',
      image: {
        name: 'ubuntu-24.04',
        diskFormat: 'qcow2',
        containerFormat: 'bare',
        visibility: 'shared',
        protected: true,
        hidden: true,
        minDiskGiB: 10,
        minRAMMiB: 512,
        owner: '5f0b1c',
        tags: ['ubuntu', 'lts'],
        properties: { hw_disk_bus: 'virtio', os_version: 24.04, mappings: [{ virtual: 'ami', device: '/dev/sda' }] },
      },
      propertyPolicy: 'Merge',
      content: { http },
    },
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
    refused: { field: 'spec.cloud.secretName', says: required },
  },
  {
    what: 'a cloud without its name',
    spec: { cloud: { secretName: 'openstack' } },
    refused: { field: 'spec.cloud.name', says: required },
  },
  {
    what: 'a cloud without letters in its name',
    spec: { cloud: { ...cloud, name: '' } },
    refused: { field: 'spec.cloud.name', says: tooShort },
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
  inImage('diskFormat', 'QCOW2', unsupported),
  inImage('diskFormat', 'qcow3', unsupported),
  inImage('containerFormat', 'docker'),
  inImage('containerFormat', 'tar', unsupported),
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
  inImage('properties', map(126)),
  inImage('properties', map(127), 'Too many'),
  inImage('properties', ['hw_disk_bus=virtio'], wrongType('object')),
  {
    what: 'properties of every type',
    spec: image({ properties: { a: '', b: 1.5, c: false, d: [null], e: { f: null } } }),
  },
  { what: 'properties with odd keys', spec: image({ properties: { 'a.b/c d': 'x', ü: 'y', '': 'z' } }) },

  {
    what: 'content without diskFormat',
    spec: spec({ content: { http } }),
    refused: { field: 'spec.image.diskFormat', says: says.format },
  },
  {
    what: 'content with an image but no diskFormat',
    spec: spec({ image: { name: 'a' }, content: { http } }),
    refused: { field: 'spec.image.diskFormat', says: says.format },
  },
  {
    what: 'content without a source',
    spec: spec({ image: { diskFormat: 'raw' }, content: {} }),
    refused: { field: 'spec.content.http', says: required },
  },
  {
    what: 'a source without a digest',
    spec: spec({ image: { diskFormat: 'raw' }, content: { http: { url: http.url } } }),
    refused: { field: 'spec.content.http.digest', says: required },
  },
  {
    what: 'a source without a URL',
    spec: spec({ image: { diskFormat: 'raw' }, content: { http: { digest: http.digest } } }),
    refused: { field: 'spec.content.http.url', says: required },
  },
  digest(`sha384:${hex(96)}`),
  digest(`sha512:${hex(128)}`),
  digest(`sha256:${hex(64).toUpperCase()}`, says.digest),
  digest(`sha256:${hex(62)}`, says.digest),
  digest(`sha256:${hex(66)}`, says.digest),
  digest(`sha512:${hex(64)}`, says.digest),
  digest(`SHA256:${hex(64)}`, says.digest),
  digest(`sha256:${hex(64)}\n`, says.digest),
  digest(hex(64), says.digest),
  digest(`md5:${hex(32)}`, says.digest),
  digest('', tooShort),
  url('http://a'),
  url('http://192.0.2.1:8080/x?sig=a@b%20c#d'),
  url('https://[2001:db8::1]/image.raw'),
  url('https://example.com?file=image.raw'),
  url(`https://example.com/${'a'.repeat(2028)}`),
  url(`https://example.com/${'a'.repeat(2029)}`, tooLong),
  url('http://', 'at least 8 chars long'),
  url('https:///image.raw', says.url),
  url('HTTPS://example.com/image.raw', says.url),
  url('ftp://example.com/image.raw', says.url),
  url('file:///etc/passwd', says.url),
  url('https://user:secret@example.com/image.raw', says.url),
  url('https://user@example.com/image.raw', says.url),
  url('https://example.com/an image.raw', says.url),
  url('https://example.com/image.raw\n', says.url),
  url('https://exämple.com/image.raw', says.url),
  url('https://example.com/\u{1f4bf}.iso', says.url),
  url('example.com/image.raw', says.url),

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

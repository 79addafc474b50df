/** Declarations of data: sources, digests and methods. */
import {
  type Case,
  cloud,
  from,
  hex,
  http,
  id,
  required,
  says,
  short,
  spec,
  tooLong,
  tooShort,
  unsupported,
} from './declarations.ts';

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
const copy = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `the image ${short(value)} as a source`,
  spec: spec({ image: { diskFormat: 'raw' }, content: { glance: { image: value } } }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.content.glance.image', says: refusal } }),
});
/** An address is a source only together with its cloud. */
const copyFrom = (value: unknown, refusal: string | undefined = undefined): Case => ({
  what: `the image ${short(value)} of a named cloud as a source`,
  spec: spec({ image: { diskFormat: 'raw' }, content: { glance: { image: value, cloud } } }),
  ...(refusal === undefined ? {} : { refused: { field: 'spec.content.glance.image', says: refusal } }),
});
const web = (fields: object) => from({ digest: `sha512:${hex(128)}`, ...fields }, { method: 'WebDownload' });

const converted = (content: object, image: object = {}, source: object = { http }) =>
  spec({ image: { diskFormat: 'raw', ...image }, content: { ...source, convert: 'Raw', ...content } });
const index = { url: 'https://example.com/i.json', format: 'JSONPointer', file: '/file', digest: '/sha256' };

const packed = { url: 'https://example.org/image.xz', digest: `sha512:${hex(128)}` };

export const contentCases: Case[] = [
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
    refused: { field: 'spec.content', says: says.source },
  },
  {
    what: 'content with two sources',
    spec: spec({ image: { diskFormat: 'raw' }, content: { http, glance: { image: id } } }),
    refused: { field: 'spec.content', says: says.source },
  },
  copy(id),
  copyFrom(id),
  copyFrom(`https://glance.example.com:9292/v2/images/${id}`),
  copyFrom(`http://[2001:db8::1]:9292/${id}`),
  copyFrom(`https://user@example.com/${id}`, says.ref),
  copyFrom(`https://example.com/${id}?x`, says.ref),
  {
    what: 'the address of an image without the cloud that it belongs to',
    spec: spec({
      image: { diskFormat: 'raw' },
      content: { glance: { image: `https://glance.example.com/v2/images/${id}` } },
    }),
    refused: { field: 'spec.content.glance.cloud', says: says.refCloud },
  },
  copyFrom(`/v2/images/${id}`, says.ref),
  copy(id.slice(1), 'at least 36 chars long'),
  copy('ubuntu-24.04-of-the-other-project-that-is', says.ref),
  {
    what: 'an unknown method',
    spec: from({}, { method: 'Import' }),
    refused: { field: 'spec.content.method', says: unsupported },
  },
  { what: 'method WebDownload', spec: web({}) },
  {
    what: 'a method without a source',
    spec: spec({ image: { diskFormat: 'raw' }, content: { method: 'Stage' } }),
    refused: { field: 'spec.content', says: says.source },
  },
  { what: 'a conversion to raw', spec: converted({}) },
  { what: 'a conversion to raw in a bare container', spec: converted({}, { containerFormat: 'bare' }) },
  { what: 'a conversion to raw with method Stage', spec: converted({ method: 'Stage' }) },
  { what: 'a conversion to raw of a file that an index names', spec: converted({}, {}, { index }) },
  {
    what: 'a conversion to raw with mirrors that have other files',
    spec: converted({
      http: { ...http, mirrors: [{ url: 'https://example.org/a.qcow2', digest: `sha512:${hex(128)}` }] },
    }),
  },
  {
    what: 'a conversion to something else',
    spec: converted({ convert: 'VMDK' }),
    refused: { field: 'spec.content.convert', says: unsupported },
  },
  {
    what: 'a conversion to raw with another disk format',
    spec: converted({}, { diskFormat: 'qcow2' }),
    refused: { field: 'spec.image.diskFormat', says: says.convertFormat },
  },
  {
    what: 'a conversion to raw in a container',
    spec: converted({}, { containerFormat: 'ova' }),
    refused: { field: 'spec.image.diskFormat', says: says.convertFormat },
  },
  {
    what: 'a conversion to raw by a download of Glance',
    spec: converted({ method: 'WebDownload', http: { ...http, digest: `sha512:${hex(128)}` } }),
    refused: { field: 'spec.content.convert', says: says.convertSource },
  },
  {
    what: 'a conversion to raw of another image',
    spec: converted({}, {}, { glance: { image: id } }),
    refused: { field: 'spec.content.convert', says: says.convertSource },
  },
  {
    what: 'a conversion to raw of a file in an archive',
    spec: converted({ http: { ...http, member: '*.qcow2' } }),
    refused: { field: 'spec.content.convert', says: says.convertMember },
  },
  {
    what: 'a conversion to raw of a file in an archive that an index names',
    spec: converted({}, {}, { index: { ...index, member: '*.qcow2' } }),
    refused: { field: 'spec.content.convert', says: says.convertMember },
  },
  { what: 'method Stage', spec: from({}, { method: 'Stage' }) },
  {
    what: 'method WebDownload with sha256',
    spec: web(http),
  },
  {
    what: 'method WebDownload with the digest of something else',
    spec: web({ digestOf: 'Image' }),
    refused: { field: 'spec.content.method', says: says.webDownload },
  },
  {
    what: 'method WebDownload of another image',
    spec: spec({ image: { diskFormat: 'raw' }, content: { glance: { image: id }, method: 'WebDownload' } }),
    refused: { field: 'spec.content.method', says: says.webDownload },
  },
  {
    what: 'method WebDownload with mirrors',
    spec: web({ mirrors: [{ url: 'https://example.org/image.qcow2' }] }),
    refused: { field: 'spec.content.http', says: says.webDownloadAlone },
  },
  {
    what: 'method WebDownload with headers',
    spec: web({ headersSecretRef: { name: 'a' } }),
    refused: { field: 'spec.content.http', says: says.webDownloadAlone },
  },
  {
    what: 'method WebDownload of a file in an archive',
    spec: web({ member: 'disk.raw' }),
    refused: { field: 'spec.content.http', says: says.webDownloadAlone },
  },
  ...['disk.raw', '*.qcow2', './a/b c.vhd', '-', 'x'.repeat(128)].map((member) => ({
    what: `the file ${short(member)} of an archive`,
    spec: from({ member }),
  })),
  ...['/etc/passwd', ' a', 'a ', 'a;b', 'a\nb', 'ä'].map((member) => ({
    what: `the file ${short(member)} of an archive`,
    spec: from({ member }),
    refused: { field: 'spec.content.http.member', says: says.memberName },
  })),
  ...['', 'x'.repeat(129)].map((member) => ({
    what: `the file ${short(member)} of an archive`,
    spec: from({ member }),
    refused: { field: 'spec.content.http.member', says: member === '' ? 'at least 1 chars long' : tooLong },
  })),
  {
    what: 'a file of an archive that is stored as it is',
    spec: from({ member: 'disk.raw', decompress: 'None' }),
    refused: { field: 'spec.content.http.member', says: says.member },
  },
  {
    what: 'nine mirrors',
    spec: from({ mirrors: Array.from({ length: 9 }, (_, index) => ({ url: `https://example.com/${index}` })) }),
    refused: { field: 'spec.content.http.mirrors', says: 'Too many' },
  },
  {
    what: 'a mirror with a password',
    spec: from({ mirrors: [{ url: 'https://user:secret@example.com/image.raw' }] }),
    refused: { field: 'spec.content.http.mirrors[0].url', says: says.url },
  },
  {
    what: 'a mirror twice',
    spec: from({ mirrors: [packed, { url: packed.url }] }),
    refused: { field: 'spec.content.http.mirrors[1]', says: 'Duplicate value' },
  },
  {
    what: 'a mirror with a digest that is none',
    spec: from({ mirrors: [{ ...packed, digest: 'sha256:0' }] }),
    refused: { field: 'spec.content.http.mirrors[0].digest', says: says.digest },
  },
  ...[{ digestOf: 'Image' }, { decompress: 'None' }].map((fields) => ({
    what: `a digest of a mirror with ${JSON.stringify(fields)}`,
    spec: from({ mirrors: [packed], ...fields }),
    refused: { field: 'spec.content.http.mirrors', says: says.mirrorDigests },
  })),
  ...[{ diskFormat: 'aki' }, { diskFormat: 'raw', containerFormat: 'compressed' }].map((fields) => ({
    what: `a digest of a mirror of ${JSON.stringify(fields)}`,
    spec: { ...from({ mirrors: [packed] }), image: fields },
    refused: { field: 'spec.content', says: says.mirrorFormats },
  })),
  {
    what: 'an unknown decompress',
    spec: from({ decompress: 'Gzip' }),
    refused: { field: 'spec.content.http.decompress', says: unsupported },
  },
  {
    what: 'a source without a digest',
    spec: spec({ image: { diskFormat: 'raw' }, content: { http: { url: http.url } } }),
    refused: { field: 'spec.content.http', says: says.digestFrom },
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
  digest(`md5:${hex(32)}`),
  digest(`sha1:${hex(40)}`),
  digest(`md5:${hex(40)}`, says.digest),
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
];

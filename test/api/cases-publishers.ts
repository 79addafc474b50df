/** Declarations that leave the digest to a publisher. */
import { type Case, from, http, says, spec, tooShort } from './declarations.ts';

const list = { checksums: { url: 'https://images.example.com/SHA256SUMS' } };
const firstUse = { firstUse: {} };
const listed = (fields: Record<string, unknown> = {}, more: Record<string, unknown> = {}) => {
  const { digest, ...rest } = http;
  return spec({ image: { diskFormat: 'raw' }, content: { http: { ...rest, digestFrom: list, ...fields }, ...more } });
};
const index = { url: 'https://images.example.com/stable.json', format: 'JSONPointer', file: '/a/b', digest: '/sha256' };
const indexed = (fields: Record<string, unknown> = {}, more: Record<string, unknown> = {}) =>
  spec({ image: { diskFormat: 'raw' }, content: { index: { ...index, ...fields }, ...more } });
const keysIn = (keysFrom: Record<string, unknown>) => ({ openPGP: { keysFrom } });
const verify = keysIn({ secretRef: { name: 'keys' } });
const update = { interval: '24h' };

const rejected = (what: string, declared: Case['spec'], field: string, sentence: string): Case => ({
  what,
  spec: declared,
  refused: { field, says: sentence },
});

export const publisherCases: Case[] = [
  { what: 'a list of digests', spec: listed() },
  {
    what: 'a list of digests with a pattern',
    spec: listed({ digestFrom: { checksums: { ...list.checksums, fileName: 'a-*.raw' } } }),
  },
  { what: 'a signed list that is followed', spec: listed({}, { verify, update }) },
  {
    what: 'every field of a list',
    spec: listed(
      { digestFrom: { checksums: { ...list.checksums, fileName: 'a.raw' } } },
      { verify: { openPGP: { ...verify.openPGP, signatureURL: 'https://images.example.com/SHA256SUMS.gpg' } } },
    ),
  },
  { what: 'an index', spec: indexed() },
  {
    what: 'every field of an index',
    spec: indexed(
      {
        entries: '',
        where: [{ pointer: '/arch', value: 'x86_64' }],
        base: 'https://images.example.com/',
        version: '/metadata/labels/example.com~1version',
        digestOf: 'Image',
        decompress: 'Auto',
        member: 'disk.raw',
      },
      { verify, update },
    ),
  },
  { what: 'the file that comes first', spec: listed({ digestFrom: firstUse }) },
  {
    what: 'the file that comes first, followed and downloaded by Glance',
    spec: listed({ digestFrom: firstUse }, { update, method: 'WebDownload' }),
  },
  { what: 'keys in a ConfigMap', spec: listed({}, { verify: keysIn({ configMapRef: { name: 'keys' } }) }) },
  rejected(
    'no place of the keys',
    listed({}, { verify: keysIn({}) }),
    'spec.content.verify.openPGP.keysFrom',
    says.oneKeysFrom,
  ),
  rejected(
    'keys in a Secret and in a ConfigMap',
    listed({}, { verify: keysIn({ secretRef: { name: 'keys' }, configMapRef: { name: 'keys' } }) }),
    'spec.content.verify.openPGP.keysFrom',
    says.oneKeysFrom,
  ),
  rejected('no place of the digest', listed({ digestFrom: {} }), 'spec.content.http.digestFrom', says.oneDigestFrom),
  rejected(
    'a list and the file that comes first',
    listed({ digestFrom: { ...list, ...firstUse } }),
    'spec.content.http.digestFrom',
    says.oneDigestFrom,
  ),
  rejected(
    'the file that comes first, by the digest of the image',
    listed({ digestFrom: firstUse, digestOf: 'Image' }),
    'spec.content.http.digestOf',
    says.firstUseOf,
  ),
  rejected(
    'a signature of the file that comes first',
    listed({ digestFrom: firstUse }, { verify }),
    'spec.content.verify',
    says.verifiedFirstUse,
  ),
  rejected('a digest and a list', from({ digestFrom: list }), 'spec.content.http', says.digestFrom),
  rejected('neither a digest nor a list', listed({ digestFrom: undefined }), 'spec.content.http', says.digestFrom),
  rejected(
    'a list, and a mirror with a digest',
    listed({ mirrors: [{ url: 'https://mirror.example.com/a', digest: http.digest }] }),
    'spec.content.http.mirrors',
    says.mirrorsOfList,
  ),
  rejected('an index and a file', indexed({}, { http }), 'spec.content', says.source),
  rejected('a pointer without a slash', indexed({ file: 'a' }), 'spec.content.index.file', says.pointer),
  rejected('a pointer with a wrong escape', indexed({ digest: '/a~2' }), 'spec.content.index.digest', says.pointer),
  rejected('entries that are no pointer', indexed({ entries: 'items' }), 'spec.content.index.entries', says.entries),
  rejected(
    'an update of a declared digest',
    spec({ image: { diskFormat: 'raw' }, content: { http, update } }),
    'spec.content',
    says.followed,
  ),
  rejected(
    'a signature of a declared digest',
    spec({ image: { diskFormat: 'raw' }, content: { http, verify } }),
    'spec.content',
    says.followed,
  ),
  ...['30s', '721h', '1d', '', '0', '-1h'].map((value) =>
    rejected(
      `an update every ${JSON.stringify(value)}`,
      listed({}, { update: { interval: value } }),
      'spec.content.update.interval',
      value === '' ? tooShort : says.updateInterval,
    ),
  ),
  ...['1m', '90m', '1h30m', '720h'].map((value) => ({
    what: `an update every ${value}`,
    spec: listed({}, { update: { interval: value } }),
  })),
  { what: 'WebDownload with a list', spec: listed({}, { method: 'WebDownload' }) },
  rejected(
    'WebDownload with an index',
    indexed({}, { method: 'WebDownload' }),
    'spec.content.method',
    says.webDownload,
  ),
  rejected(
    'an update of a public image that keeps nothing for a time',
    { ...listed({}, { update }), image: { diskFormat: 'raw', visibility: 'public' }, revisions: { keep: 2 } },
    'spec.revisions',
    says.keepFor,
  ),
  {
    what: 'an update of a public image that keeps the replaced ones',
    spec: {
      ...listed({}, { update }),
      image: { diskFormat: 'raw', visibility: 'public' },
      revisions: { keepFor: '720h' },
    },
  },
];

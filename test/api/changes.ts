/** Changes of a declaration, which only the API server can check. */
import { importChanges } from './cases-import.ts';
import { from, hex, image, type Refusal, says, spec } from './declarations.ts';

export interface Change {
  what: string;
  from: unknown;
  to: unknown;
  /** What Glance was last seen to hold; absent: nothing was seen yet. */
  image?: 'queued' | 'active' | 'deactivated';
  refused?: Refusal;
}

const withContent = from({});
const other = { image: '6b1fd7a2-0000-5000-8000-000000000001' };
const copyOf = (content: object) => spec({ image: { diskFormat: 'qcow2' }, content: { glance: content } });
const fixed = (field: string): Refusal => ({ field: `spec.${field}`, says: says.fixed(field) });

/** What data that others upload fixes; free until it is in Glance. */
const fixings: { what: string; from: unknown; to: unknown; refused: Refusal }[] = [
  {
    what: 'another diskFormat',
    from: image({ diskFormat: 'raw' }),
    to: image({ diskFormat: 'qcow2' }),
    refused: fixed('image.diskFormat'),
  },
  {
    what: 'a diskFormat that was not there',
    from: image({}),
    to: image({ diskFormat: 'qcow2' }),
    refused: fixed('image.diskFormat'),
  },
  {
    what: 'no image any more',
    from: image({ diskFormat: 'raw' }),
    to: spec({}),
    refused: fixed('image.diskFormat'),
  },
  {
    what: 'another containerFormat',
    from: image({}),
    to: image({ containerFormat: 'ova' }),
    refused: fixed('image.containerFormat'),
  },
  {
    what: 'a containerFormat that is left out again',
    from: image({ containerFormat: 'ova' }),
    to: image({}),
    refused: fixed('image.containerFormat'),
  },
];

export const changes: Change[] = [
  {
    what: 'everything that may change',
    image: 'active',
    from: withContent,
    to: { ...from({}, { method: 'Stage' }), interval: '0', suspend: true },
  },
  {
    what: 'the name, tags and properties',
    image: 'active',
    from: image({}),
    to: image({ name: 'b', tags: ['a'], properties: { a: 1 } }),
  },
  {
    what: 'the cloud',
    image: 'active',
    from: withContent,
    to: { ...withContent, cloud: { secretRef: { name: 'other' }, name: 'other' } },
  },
  {
    what: 'the place where the same data is served',
    image: 'active',
    from: withContent,
    to: from({ url: 'https://example.org/image.qcow2', mirrors: [{ url: 'https://example.com/image.qcow2' }] }),
  },
  {
    what: 'the credentials for the same image',
    image: 'active',
    from: copyOf(other),
    to: copyOf({ ...other, cloud: { secretRef: { name: 'other' }, name: 'other' } }),
  },
  {
    what: 'the default containerFormat in writing',
    image: 'active',
    from: image({}),
    to: image({ containerFormat: 'bare' }),
  },
  {
    what: 'the default containerFormat of a kernel in writing',
    image: 'active',
    from: image({ diskFormat: 'aki' }),
    to: image({ diskFormat: 'aki', containerFormat: 'aki' }),
  },
  {
    what: 'the default containerFormat left out again',
    image: 'active',
    from: image({ containerFormat: 'bare' }),
    to: image({}),
  },
  ...importChanges,
  // Each makes another revision.
  {
    image: 'active',
    what: 'content that was not there',
    from: image({ diskFormat: 'qcow2' }),
    to: withContent,
  },
  {
    image: 'active',
    what: 'another digest',
    from: withContent,
    to: from({ digest: `sha512:${hex(128)}` }),
  },
  {
    image: 'active',
    what: 'the digest of something else',
    from: withContent,
    to: from({ digestOf: 'Image' }),
  },
  {
    image: 'active',
    what: 'another decompression',
    from: withContent,
    to: from({ decompress: 'None' }),
  },
  { image: 'active', what: 'a source of another kind', from: withContent, to: copyOf(other) },
  {
    image: 'active',
    what: 'another image as the source',
    from: copyOf({ image: '6b1fd7a2-0000-5000-8000-000000000000' }),
    to: copyOf(other),
  },
  {
    image: 'active',
    what: 'no content any more',
    from: withContent,
    to: image({ diskFormat: 'qcow2' }),
  },
  {
    image: 'active',
    what: 'another diskFormat of the data that is declared',
    from: withContent,
    to: { ...withContent, image: { diskFormat: 'raw' } },
  },
  {
    image: 'active',
    what: 'a format together with the content that comes in it',
    from: image({ diskFormat: 'raw' }),
    to: withContent,
  },
  {
    image: 'active',
    what: 'a file of an archive',
    from: withContent,
    to: from({ member: 'disk.raw' }),
  },
  {
    image: 'active',
    what: 'another file of an archive',
    from: from({ member: 'disk.raw' }),
    to: from({ member: '*.raw' }),
  },
  {
    image: 'active',
    what: 'no file of an archive any more',
    from: from({ member: 'disk.raw' }),
    to: from({}),
  },
  ...fixings.flatMap(({ refused, ...change }): Change[] => [
    { ...change, what: `${change.what}, before anything was seen` },
    { ...change, what: `${change.what}, before there is data`, image: 'queued' },
    { ...change, what: `${change.what}, once there is data`, image: 'active', refused },
    { ...change, what: `${change.what}, while the data is deactivated`, image: 'deactivated', refused },
  ]),
];

/** Changes of a declaration, which only the API server can judge. */
import { from, hex, image, type Refusal, says, spec } from './cases.ts';

export interface Change {
  what: string;
  from: unknown;
  to: unknown;
  refused?: Refusal;
}

const withContent = from({});
export const changes: Change[] = [
  { what: 'everything that may change', from: withContent, to: { ...withContent, interval: '0', suspend: true } },
  {
    what: 'the name, tags and properties',
    from: image({}),
    to: image({ name: 'b', tags: ['a'], properties: { a: 1 } }),
  },
  { what: 'the cloud', from: withContent, to: { ...withContent, cloud: { secretName: 'other', name: 'other' } } },
  {
    what: 'another diskFormat',
    from: image({ diskFormat: 'raw' }),
    to: image({ diskFormat: 'qcow2' }),
    refused: { field: 'spec.image.diskFormat', says: says.diskFormatFixed },
  },
  {
    what: 'a diskFormat that was not there',
    from: image({}),
    to: image({ diskFormat: 'qcow2' }),
    refused: { field: 'spec.image.diskFormat', says: says.diskFormatFixed },
  },
  {
    what: 'no diskFormat any more',
    from: image({ diskFormat: 'raw' }),
    to: image({}),
    refused: { field: 'spec.image.diskFormat', says: says.diskFormatFixed },
  },
  {
    what: 'no image any more',
    from: image({ diskFormat: 'raw' }),
    to: spec({}),
    refused: { field: 'spec.image.diskFormat', says: says.diskFormatFixed },
  },
  {
    what: 'another containerFormat',
    from: image({}),
    to: image({ containerFormat: 'ova' }),
    refused: { field: 'spec.image.containerFormat', says: says.containerFormatFixed },
  },
  { what: 'the default containerFormat in writing', from: image({}), to: image({ containerFormat: 'bare' }) },
  {
    what: 'content that was not there',
    from: image({ diskFormat: 'qcow2' }),
    to: withContent,
    refused: { field: 'spec.content', says: says.contentFixed },
  },
  {
    what: 'another digest',
    from: withContent,
    to: from({ digest: `sha512:${hex(128)}` }),
    refused: { field: 'spec.content', says: says.contentFixed },
  },
  {
    what: 'another URL',
    from: withContent,
    to: from({ url: 'https://example.org/image.qcow2' }),
    refused: { field: 'spec.content', says: says.contentFixed },
  },
  {
    what: 'no content any more',
    from: withContent,
    to: image({ diskFormat: 'qcow2' }),
    refused: { field: 'spec.content', says: says.contentFixed },
  },
];

/** Declarations of revisions. */

import { type Case, from, http, image } from './declarations.ts';

const revisions = (fields: object) => ({ ...from({}), revisions: fields });

const says = {
  keepFor: 'must be a duration in hours, minutes and seconds of at most 87600h, for example 720h',
  braces: 'must hold no braces but those of the placeholders {name}, {date} and {number}, for example {name} ({date})',
  other:
    'must contain {date} or {number}, because only the current revision has the name of the image, for example {name} ({date})',
  pin: 'revisions.pin needs content, because without it others upload the data of the one image: declare content, for example the file that has this digest',
};

export const revisionCases: Case[] = [
  { what: 'no field of revisions', spec: revisions({}) },
  { what: 'revisions of an image without content', spec: { ...image({}), revisions: { keep: 0 } } },
  { what: 'the longest time to keep', spec: revisions({ keepFor: '87600h' }) },
  { what: 'no time to keep', spec: revisions({ keepFor: '0s' }) },
  {
    what: 'a time to keep that is too long',
    spec: revisions({ keepFor: '87601h' }),
    refused: { field: 'spec.revisions.keepFor', says: says.keepFor },
  },
  {
    what: 'a time to keep in days',
    spec: revisions({ keepFor: '30d' }),
    refused: { field: 'spec.revisions.keepFor', says: says.keepFor },
  },
  {
    what: 'more revisions than fit',
    spec: revisions({ keep: 33 }),
    refused: { field: 'spec.revisions.keep', says: 'less than or equal to 32' },
  },
  { what: 'every placeholder', spec: revisions({ retired: { name: '{name}-{number}-{date}' } }) },
  {
    what: 'another placeholder',
    spec: revisions({ retired: { name: '{name} {digest} {date}' } }),
    refused: { field: 'spec.revisions.retired.name', says: says.braces },
  },
  {
    what: 'a name of retired revisions that can be that of the current one',
    spec: revisions({ retired: { name: '{name}' } }),
    refused: { field: 'spec.revisions.retired.name', says: says.other },
  },
  {
    what: 'a pin without content',
    spec: { ...image({}), revisions: { pin: http.digest } },
    refused: { field: 'spec.revisions.pin', says: says.pin },
  },
];

/**
 * `spec.revisions`: the retention of images that another revision has replaced, and the pin of the one to use. The API
 * server fills in no default here; `revisionDefaults` says what the absence of a field means.
 */
import * as z from 'zod';
import { parseDuration } from '../lib/duration.ts';
import { byDefault, maxText } from './fields.ts';
import { rule, text } from './rules.ts';
import { digest } from './sources/http.ts';

/** However long they are to be kept, no more retired revisions than this are. */
export const mostKept = 32;

const keepForPattern = '^([0-9]+(s|m|h))+$';
const longestKeepFor = '87600h';

export const revisionDefaults = {
  keep: 1,
  keepFor: '0s',
  retired: { hidden: true, name: '{name} ({date})' },
} as const;

const keepFor = rule(text(1, 32), {
  cel: `self.matches(r'${keepForPattern}') && duration(self) <= duration('${longestKeepFor}')`,
  test: (value) => new RegExp(keepForPattern).test(value) && parseDuration(value) <= parseDuration(longestKeepFor),
  message: `must be a duration in hours, minutes and seconds of at most ${longestKeepFor}, for example 720h`,
});

const placeholderPattern = '^([^{}]|\\{name\\}|\\{date\\}|\\{number\\})+$';

const retiredName = rule(
  rule(text(1, maxText), {
    cel: `self.matches(r'${placeholderPattern}')`,
    test: (value) => new RegExp(placeholderPattern, 'u').test(value),
    message:
      'must hold no braces but those of the placeholders {name}, {date} and {number}, for example {name} ({date})',
  }),
  {
    cel: "self.contains('{date}') || self.contains('{number}')",
    test: (value) => value.includes('{date}') || value.includes('{number}'),
    message:
      'must contain {date} or {number}, because only the current revision has the name of the image, for example {name} ({date})',
  },
);

export const revisions = z
  .object({
    keep: z
      .int()
      .min(0)
      .max(mostKept)
      .optional()
      .meta({
        description:
          'How many retired revisions are kept at least, for as long as another one is current: going back to one of them needs no download. ' +
          `0: a revision is deleted once it is replaced, unless keepFor keeps it or it is in use.${byDefault(revisionDefaults.keep)}`,
      }),
    keepFor: keepFor.optional().meta({
      description:
        'How long each retired revision is kept at least, from the moment in which it was replaced: up to 87600h, for example 720h. ' +
        `A retired revision is deleted when neither keep nor keepFor keeps it and no server or volume uses it. More than ${mostKept} are never kept for their time. ` +
        `Default: ${revisionDefaults.keepFor}, so that only keep counts.`,
    }),
    pin: digest()
      .optional()
      .meta({
        description:
          'Digest of the revision that stays or becomes the current one, whatever content declares: a digest of a revision that exists, as digest or hash in status.revisions, or the digest that content declares. ' +
          'An edit of content changes nothing until this is removed, and no other data is downloaded. Default: none.',
      }),
    retired: z
      .object({
        hidden: z
          .boolean()
          .optional()
          .meta({
            description: `Whether default image lists leave retired revisions out. They can still be used by ID.${byDefault(revisionDefaults.retired.hidden)}`,
          }),
        name: retiredName.optional().meta({
          description:
            'Name of a retired revision. {name}: the declared name. {date}: the date on which Glance created the image, as 2026-01-31. {number}: its number in status.revisions. ' +
            `A name of more than 255 characters is shortened.${byDefault(revisionDefaults.retired.name)}`,
        }),
      })
      .optional()
      .meta({ description: 'What a revision that was replaced looks like in Glance. Its tags are removed.' }),
  })
  .meta({
    description:
      'An edit of content, or of a format, makes another image, a revision, next to the current one. When its data is verified it takes the place of the current one, which retires. ' +
      'This says how long retired revisions are kept, and what they look like.',
  });

/** The source `content.index`: an image that a file in JSON names, which its publisher replaces with each release. */
import * as z from 'zod';
import { url } from '../fields.ts';
import { matching, rule, text } from '../rules.ts';
import { http } from './http.ts';

const pointer = (description: string) =>
  matching(
    text(1, 512),
    '^(/([^~/]|~[01])*)+$',
    'must be a JSON Pointer: each name after a slash, with ~1 for / and ~0 for ~ in a name, for example /architectures/x86_64/location',
  ).meta({ description });

const mostConditions = 8;

export const index = z
  .object({
    url: url('URL of the index, http:// or https://. Everyone who can read this resource sees it.'),
    format: z.enum(['JSONPointer']).meta({
      description: 'How the index is read. JSONPointer: it is JSON, and the other fields are JSON Pointers (RFC 6901).',
    }),
    entries: rule(text(0, 512), {
      cel: "self == '' || self.matches(r'^(/([^~/]|~[01])*)+$')",
      test: (value) => value === '' || /^(\/([^~/]|~[01])*)+$/.test(value),
      message: 'must be a JSON Pointer, for example /items, or empty for the whole document',
    })
      .optional()
      .meta({
        description:
          'Pointer to a list, or to an object whose values are a list, of which one entry is the image; empty: the document is the list. ' +
          'The other pointers are relative to an entry. Of several that fit `where`, the one with the latest version is taken. Default: the document is the entry.',
      }),
    where: z
      .array(
        z.object({
          pointer: pointer('Pointer to a text or number of the entry.'),
          value: text(1, 256).meta({
            description:
              'The value that it must have; * stands for any characters but /. Without a / it is compared with what follows the last / of the text.',
          }),
        }),
      )
      .max(mostConditions)
      .optional()
      .meta({
        description: 'What the entry must have. Default: every entry fits.',
        'x-kubernetes-list-type': 'atomic',
      }),
    file: pointer('Pointer to the URL of the file, or to its path below `base`.'),
    base: url('URL that the value of `file` is relative to. Default: url.').optional(),
    digest: pointer(
      'Pointer to the digest: hexadecimal or base64, with or without sha256: or another algorithm in front of it. md5 and sha1 are rejected.',
    ),
    version: pointer(
      'Pointer to the version. It is shown in the status; a version that is older than the one in use is rejected. Default: none.',
    ).optional(),
    digestOf: http.shape.digestOf,
    decompress: http.shape.decompress,
    member: http.shape.member,
  })
  .meta({
    description:
      'A file that is named by an index, such as a stream of Fedora CoreOS. What the index names is recorded in status.source, and stays until update is declared or this is changed.',
  });

/**
 * `content.verify` and `content.update`: whether lists and indexes of publishers must be signed, and how often they are read again.
 */
import * as z from 'zod';
import { parseDuration } from '../lib/duration.ts';
import { configMapRef, secretRef, url } from './fields.ts';
import { rule, text } from './rules.ts';

const durationPattern = '^([0-9]+(s|m|h))+$';
const [shortest, longest] = ['1m', '720h'];

export const digestFrom = rule(
  z.object({
    checksums: z
      .object({
        url: url('URL of the list of digests that the publisher provides, such as SHA256SUMS or CHECKSUM.'),
        fileName: text(1, 255)
          .optional()
          .meta({
            description:
              'Name of the file in the list; * stands for any characters but /. Of several names that a pattern fits, the latest version is taken, from the folder of the URL of the file. ' +
              'Default: the last part of the URL of the file.',
          }),
      })
      .meta({
        description:
          'A list of digests: lines as sha256sum, shasum --tag or openssl dgst print them, a digest alone, or either in a clearsigned text. ' +
          'Of several algorithms the strongest is taken; md5 and sha1 are rejected. Two digests of one name are rejected. ' +
          'Where the list also has a dated name of the same digest, the file of that name is downloaded.',
      })
      .optional(),
    firstUse: z
      .object({})
      .optional()
      .meta({
        description:
          'The publisher has no list: the file as it is served first is trusted. The operator downloads it twice, once to compute the sha512 digest that it records, and once into Glance. ' +
          'Later another digest is a failure, unless update is declared. The condition Warning says that nothing but the connection proves where the file is from. ' +
          'Accepted for public addresses, and for hosts that the installation names in settings.sourceAllow.',
      }),
  }),
  {
    cel: 'has(self.checksums) != has(self.firstUse)',
    test: ({ checksums, firstUse }) => (checksums === undefined) !== (firstUse === undefined),
    message:
      'digestFrom needs exactly one of checksums and firstUse: the list of the publisher, or firstUse: {} where there is none',
  },
).meta({
  description:
    'Where the digest is from, if it is not declared. The digest is recorded in status.source and on the image, and stays until update is declared or this is changed. Excludes digest.',
});

export const verification = z
  .object({
    openPGP: z
      .object({
        keysFrom: rule(
          z.object({
            secretRef: secretRef(
              'A Secret in the namespace of the resource. Each value holds public keys as gpg --armor --export writes them; the names of the keys of the Secret do not matter.',
            ).optional(),
            configMapRef: configMapRef(
              'A ConfigMap in the namespace of the resource, instead of a Secret, with the same values; values in binaryData may be binary. Only where rbac.readConfigMaps is set in the values of the chart.',
            ).optional(),
          }),
          {
            cel: 'has(self.secretRef) != has(self.configMapRef)',
            test: ({ secretRef: secret, configMapRef: map }) => (secret === undefined) !== (map === undefined),
            message: 'keysFrom needs exactly one of secretRef and configMapRef: where the public keys are',
          },
        ).meta({
          description:
            'Where the trusted public keys are. They are read again with each list, so that new keys count from then on. ' +
            'A list that none of them has signed is rejected, as is one whose key has expired or was revoked.',
        }),
        signatureURL: url(
          'URL of the signature, if it is a file of its own, armored or binary. Default: the list itself is a clearsigned text.',
        ).optional(),
      })
      .meta({ description: 'A signature of OpenPGP.' }),
  })
  .meta({
    description:
      'The signature that the list of http.digestFrom or the index must have. An older signature than the accepted one is rejected. Default: none is needed.',
  });

export const update = z
  .object({
    interval: rule(text(1, 32), {
      cel: `self.matches(r'${durationPattern}') && duration(self) >= duration('${shortest}') && duration(self) <= duration('${longest}')`,
      test: (value) => {
        const ms = new RegExp(durationPattern).test(value) ? parseDuration(value) : 0;
        return ms >= parseDuration(shortest) && ms <= parseDuration(longest);
      },
      message: `must be a duration from ${shortest} to ${longest} such as 24h`,
    }).meta({
      description:
        'How often the list or index is read again: from 1m to 720h, for example 24h. With firstUse, the file itself is checked, and downloaded only if its ETag or Last-Modified has changed or its server sends neither.',
    }),
  })
  .meta({
    description:
      'Follows the publisher: a file with another digest makes another revision, which takes the place of the current one when it is verified. ' +
      'The condition Updating shows its progress or its failure; Ready stays True in both cases. Default: the file that was found first stays.',
  });

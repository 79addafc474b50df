/**
 * `spec.content`: where the data comes from and how it gets into Glance. The kinds of source are listed here and nowhere else
 * in this folder; each has its schema in sources/.
 */
import * as z from 'zod';
import { byDefault } from './fields.ts';
import { update, verification } from './publishers.ts';
import { rule } from './rules.ts';
import { glance } from './sources/glance.ts';
import { http } from './sources/http.ts';
import { index } from './sources/index.ts';

export const sourceKinds = ['http', 'index', 'glance'] as const;
export type SourceKind = (typeof sourceKinds)[number];

/** The method if `method` is absent. */
export const defaultMethod = 'Upload';

const webDownload = "has(self.method) && self.method == 'WebDownload'";

/** Something is left to the publisher. */
const isFollowed = '(has(self.http) && has(self.http.digestFrom)) || has(self.index)';

const declared = rule(
  rule(
    rule(
      rule(
        z.object({
          http: http.optional(),
          index: index.optional(),
          glance: glance.optional(),
          verify: verification.optional(),
          update: update.optional(),
          convert: z
            .enum(['Raw'])
            .optional()
            .meta({
              description:
                'What the file is made into during the transfer. Raw: the file is a qcow2 image, and the disk that it describes is stored, as Ceph wants it; image.diskFormat is raw. ' +
                'The digest of the file (digestOf Served) is verified before the first byte goes to Glance, so the file is downloaded once as a whole, and then once more in parts, in the order of the disk. ' +
                'Its server must support range requests. A compressed file, and one in an archive, are rejected. Default: the file is stored as it is.',
            }),
          method: z
            .enum(['Upload', 'Stage', 'WebDownload'])
            .optional()
            .meta({
              description:
                'How the data gets into Glance. Upload: the operator streams it into the image and verifies it before it sends the last bytes. ' +
                'Stage: the same, into the staging area of Glance; Glance then imports it into its stores and runs the import plugins of the cloud, which may convert the data or set properties. ' +
                `WebDownload: Glance downloads the file itself; the operator verifies it afterwards, while it is private and hidden, and deletes it if it is wrong. A sha512 digest is compared with that of Glance; for another one the operator reads the data back.${byDefault(defaultMethod)}`,
            }),
        }),
        {
          cel: `[${sourceKinds.map((kind) => `has(self.${kind})`).join(', ')}].exists_one(x, x)`,
          test: (declared) =>
            [declared.http, declared.index, declared.glance].filter((source) => source !== undefined).length === 1,
          message: `content needs exactly one source: ${sourceKinds.join(', ')}`,
        },
      ),
      {
        cel: `!(${webDownload}) || (has(self.http) && self.http.digestOf == 'Served')`,
        test: ({ method, http: file }) => method !== 'WebDownload' || file?.digestOf === 'Served',
        message:
          'method WebDownload needs content.http with the digest of the file as served, because Glance downloads the file itself and decompresses nothing: leave digestOf out, or use method Upload',
        fieldPath: '.method',
      },
    ),
    {
      cel: `!(${webDownload}) || !has(self.http) || (size(self.http.mirrors) == 0 && !has(self.http.headersSecretRef) && !has(self.http.caSecretRef) && !has(self.http.member))`,
      test: ({ method, http: file }) =>
        method !== 'WebDownload' ||
        file === undefined ||
        (file.mirrors.length === 0 &&
          file.headersSecretRef === undefined &&
          file.caSecretRef === undefined &&
          file.member === undefined),
      message:
        'method WebDownload takes no mirrors, headersSecretRef, caSecretRef or member, because Glance downloads the file with a URL alone and stores it as it is: leave them out, or use method Upload',
      fieldPath: '.http',
    },
  ),
  {
    cel: `!(has(self.verify) || has(self.update)) || ${isFollowed}`,
    test: (declared) =>
      (declared.verify === undefined && declared.update === undefined) ||
      declared.http?.digestFrom !== undefined ||
      declared.index !== undefined,
    message:
      'verify and update are about the list or index of a publisher: declare http.digestFrom or index, or leave them out',
  },
);

const verified = rule(declared, {
  cel: '!has(self.verify) || !has(self.http) || !has(self.http.digestFrom) || !has(self.http.digestFrom.firstUse)',
  test: ({ verify, http: file }) => verify === undefined || file?.digestFrom?.firstUse === undefined,
  message:
    'verify is about the signature of a list or index, and digestFrom.firstUse has none: declare http.digestFrom.checksums, or leave verify out',
  fieldPath: '.verify',
});

const declaresMember = '(has(self.http) && has(self.http.member)) || (has(self.index) && has(self.index.member))';

export const content = rule(
  rule(verified, {
    cel: `!has(self.convert) || (!has(self.glance) && !(${webDownload}))`,
    test: ({ convert, glance: image, method }) =>
      convert === undefined || (image === undefined && method !== 'WebDownload'),
    message:
      'convert needs content.http or content.index, and no method WebDownload, because the operator reads the file itself, in parts: use another source or method, or leave convert out',
    fieldPath: '.convert',
  }),
  {
    cel: `!has(self.convert) || !(${declaresMember})`,
    test: ({ convert, http: file, index: list }) =>
      convert === undefined || (file?.member === undefined && list?.member === undefined),
    message:
      'convert reads the file in parts, which a file in an archive does not have: declare a qcow2 file that is in no archive, or leave convert or member out',
    fieldPath: '.convert',
  },
).meta({
  description:
    'Where the data comes from: exactly one source. Without content the operator keeps only the record of the image and others have to upload the data: ' +
    'Ready is True with the reason RecordOnly, also while the image has no data, so that kubectl wait --for=condition=Ready succeeds; the condition Warning says that data is missing. ' +
    'Another digest, or another source image, makes another revision: see revisions. Default: none.',
});

/** Whether all servers of the source have the same file. */
export const oneFile = {
  cel: (at: string) => `!has(${at}.http) || ${at}.http.mirrors.all(mirror, !has(mirror.digest))`,
  test: ({ http: file }: ContentSpec) => file === undefined || file.mirrors.every(({ digest }) => digest === undefined),
};

export type ContentSpec = z.output<typeof content>;

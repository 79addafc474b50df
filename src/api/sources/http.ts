/** The source `content.http`: a file on a web server, verified against a digest that is declared, or that its publisher lists. */
import * as z from 'zod';
import { secretRef, url } from '../fields.ts';
import { digestFrom } from '../publishers.ts';
import { listBy, matching, rule, text } from '../rules.ts';

const maxMirrors = 8;
const digestPattern =
  '^(md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$';

/** No `;`, which ends a field of the fingerprint. A longer or other name can be matched by `*`. */
const memberPattern = '^[!-.0-:<-~]([ -:<-~]*[!-:<-~])?$';

/** `<algorithm>:<hex>`. */
export const digest = () =>
  matching(
    text(1, 256),
    digestPattern,
    'must be sha256:, sha384: or sha512: (or md5: or sha1:, which are weak) followed by the 64, 96 or 128 (32, 40) lower-case hex digits that sha256sum and its like print',
  );

const mirror = z.object({
  url: url('URL of the file on another server.'),
  digest: digest()
    .optional()
    .meta({
      description:
        'Digest of the file as this server sends it, if it is another file than that of url: the same image, compressed or packed differently. ' +
        'Default: the file is the same, with the same digest.',
    }),
});

const file = rule(
  rule(
    z.object({
      url: url('URL of the file, http:// or https://. Everyone who can read this resource sees it.'),
      mirrors: listBy(mirror, 'url', maxMirrors)
        .default([])
        .meta({
          description:
            'The same file on other servers, tried in this order when url fails. ' +
            'An interrupted download resumes at the next server, from the byte where it stopped. ' +
            'A mirror with a digest of its own has the image in another file, for example compressed differently: it is tried after those without, from its first byte. Default: none.',
        }),
      digest: digest()
        .optional()
        .meta({
          description:
            'Digest of the data: sha256:, sha384: or sha512: followed by the hex digits. Data with another digest never becomes an active image. ' +
            'md5: and sha1: are accepted with a warning, because some publishers offer nothing else. Required without digestFrom.',
        }),
      digestFrom: digestFrom.optional(),
      digestOf: z
        .enum(['Served', 'Image'])
        .default('Served')
        .meta({
          description:
            'What the digest is of. Served: the file as the server sends it, compressed if it is compressed. ' +
            'Image: the image after it was decompressed and taken out of its archive. Default: Served.',
        }),
      decompress: z
        .enum(['Auto', 'None'])
        .default('Auto')
        .meta({
          description:
            'Auto: a file compressed with gzip, zstd, xz or bzip2 is decompressed during the transfer; its first bytes decide, not its name. ' +
            'For the disk formats raw, qcow2, vmdk, vhd, vhdx, vdi and iso without a container, the only file of a tar or zip archive is taken out of it. ' +
            'None: the file is stored as it is. ' +
            'The disk formats ami, ari and aki, the container format compressed and method WebDownload never decompress. ' +
            'Default: Auto.',
        }),
      member: matching(
        text(1, 128),
        memberPattern,
        'must be the name of a file in the archive: printable ASCII without a semicolon, not beginning with / or a blank, for example disk.raw or *.qcow2',
      )
        .optional()
        .meta({
          description:
            'The file of a tar or zip archive that becomes the image, by its path in the archive; * stands for any characters but /. Exactly one file must match. ' +
            'It is stored as it is in the archive. The archive may be compressed with gzip, zstd, xz or bzip2, also where the disk format otherwise keeps that. ' +
            'Default: the only file of the archive.',
        }),
      headersSecretRef: secretRef(
        'A Secret in the namespace of the resource. Each key is a header to send, for example Authorization. ' +
          'The keys username and password, or bearerToken, are combined into one. ' +
          'The headers are sent to the server of url only, not to other servers that it redirects to and not to mirrors. ' +
          'The Secret needs the annotation glance-image-operator.dev/hosts, a list of the hosts that its values may be sent to: ' +
          'artifacts.example.com,*.example.com, https unless an entry begins with http://.',
      ).optional(),
      caSecretRef: secretRef(
        'A Secret in the namespace of the resource. Its key ca.crt holds CA certificates, in PEM, that are trusted in addition to those of the system.',
      ).optional(),
    }),
    {
      cel: "!has(self.member) || self.decompress == 'Auto'",
      test: ({ member, decompress }) => member === undefined || decompress === 'Auto',
      message:
        'member takes a file out of an archive, and decompress None stores the archive as it is: leave one of them out',
      fieldPath: '.member',
    },
  ),
  {
    cel: "self.mirrors.all(mirror, !has(mirror.digest)) || (self.decompress == 'Auto' && self.digestOf == 'Served')",
    test: ({ mirrors, decompress, digestOf }) =>
      mirrors.every((mirror) => mirror.digest === undefined) || (decompress === 'Auto' && digestOf === 'Served'),
    message:
      'a digest of a mirror is that of another file with the same image, so decompress must be Auto and digestOf Served: with digestOf Image or decompress None one digest is right for all mirrors, so leave the others out',
    fieldPath: '.mirrors',
  },
);

export const http = rule(
  rule(
    rule(file, {
      cel: 'has(self.digest) != has(self.digestFrom)',
      test: ({ digest: declared, digestFrom: listed }) => (declared === undefined) !== (listed === undefined),
      message: 'http needs exactly one of digest and digestFrom: the digest of the file, or where it is from',
    }),
    {
      cel: "!has(self.digestFrom) || !has(self.digestFrom.firstUse) || self.digestOf == 'Served'",
      test: ({ digestFrom: listed, digestOf }) => listed?.firstUse === undefined || digestOf === 'Served',
      message: 'digestFrom.firstUse records the digest of the file as served: leave digestOf out, or declare digest',
      fieldPath: '.digestOf',
    },
  ),
  {
    cel: '!has(self.digestFrom) || self.mirrors.all(mirror, !has(mirror.digest))',
    test: ({ mirrors, digestFrom: listed }) =>
      listed === undefined || mirrors.every((mirror) => mirror.digest === undefined),
    message:
      'with digestFrom the file changes, and a digest of a mirror does not: leave the digests of mirrors out, or declare digest',
    fieldPath: '.mirrors',
  },
).meta({ description: 'A file on a web server.' });

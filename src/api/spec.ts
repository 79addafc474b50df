/**
 * What a user declares. Law: these schemas are the single source of the types, of the CRD and of its documentation, and
 * whatever they admit the operator obeys in full.
 */
import { z } from 'zod';
import { internalNames } from '../glance/property-names.ts';
import { parseDuration } from '../lib/duration.ts';
import { jsonMapWithout, matching, rule, set, text } from './rules.ts';

export const diskFormats = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'] as const;
export const containerFormats = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'] as const;
export const visibilities = ['public', 'private', 'shared', 'community'] as const;

/** Glance allows 128 properties an image by default, and two of them are the owner mark. */
const maxProperties = 126;
const maxTags = 128;
/** The widest text column and the largest integer of Glance's database. */
const maxText = 255;
const maxInteger = 2_147_483_647;

const maxMirrors = 8;
const maxStores = 32;

const digestPattern =
  '^(md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$';
/** No user name or password before the host: they would end up in the status and in logs. */
const urlPattern = '^https?://[A-Za-z0-9._~:%\\[\\]-]+([/?#][!-~]*)?$';
/** The id of an image, or its address at another Glance: `https://glance.example.com/v2/images/<id>`. */
const imageRefPattern =
  '^(https?://[A-Za-z0-9._~:%\\[\\]-]+(/[A-Za-z0-9._~%-]+)*/)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
const secretNamePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';
const durationPattern = '^([0-9]+(ms|s|m|h))+$';
const [minIntervalMs, maxIntervalMs] = [10_000, 24 * 3_600_000];

const secretRef = (description: string) =>
  z
    .object({
      name: matching(
        text(1, 253),
        secretNamePattern,
        'must be the name of a Secret: lower-case letters, digits, - and ., for example openstack',
      ).meta({ description: 'Name of the Secret.' }),
    })
    .meta({ description });
const url = (description: string) =>
  matching(
    text(8, 2048),
    urlPattern,
    'must be an http:// or https:// URL without spaces, user name or password, for example https://example.com/image.qcow2',
  ).meta({ description });

const cloud = z.object({
  secretRef: secretRef('The Secret, in the namespace of the resource, whose key clouds.yaml holds the credentials.'),
  name: text(1, maxText).meta({ description: 'Which cloud of clouds.yaml to use.' }),
  region: text(1, maxText)
    .optional()
    .meta({ description: 'Region of the image service. Default: region_name of that cloud.' }),
});

/** Names that a person might choose; the operator refuses the others that property-names.ts lists. */
const refusedProperties = internalNames.filter((name) => !name.startsWith('_'));

const image = rule(
  z.object({
    name: text(1, maxText)
      .optional()
      .meta({ description: 'Name of the image in Glance. Default: the name of this resource.' }),
    diskFormat: z.enum(diskFormats).optional().meta({
      description:
        'Format of the data, for example qcow2, raw, vmdk or iso. Required with content. Fixed once the data is in Glance.',
    }),
    containerFormat: z
      .enum(containerFormats)
      .default('bare')
      .meta({ description: 'Container around the data; bare where there is none. Fixed once the data is in Glance.' }),
    visibility: z
      .enum(visibilities)
      .default('private')
      .meta({ description: 'Who may use the image. Most clouds allow public to administrators only.' }),
    protected: z.boolean().default(false).meta({
      description: 'Glance refuses to delete a protected image. Deleting this resource unprotects it first.',
    }),
    hidden: z.boolean().default(false).meta({ description: 'Leave the image out of the default listings of users.' }),
    minDiskGiB: integer('Smallest root disk, in GiB, of a server made from the image.'),
    minRAMMiB: integer('Least memory, in MiB, of a server made from the image.'),
    owner: text(1, maxText).optional().meta({
      description:
        'Id of the project that owns the image. Only administrators may name another project than their own.',
    }),
    tags: set(text(1, maxText), maxTags)
      .default([])
      .meta({ description: 'The tags of the image; others are removed.' }),
    properties: jsonMapWithout(
      refusedProperties,
      maxProperties,
      `must not hold a property that Glance uses internally (${refusedProperties.join(', ')}): a change of it would overwrite another image or be lost. Choose another name`,
    )
      .default({})
      .meta({
        description:
          'Custom properties. Text is stored as it is, numbers and booleans as text, objects and lists as JSON text, ' +
          'so that block_device_mapping and mappings arrive as Nova and Cinder expect them.',
      }),
    stores: set(text(1, maxText), maxStores)
      .default([])
      .meta({
        description:
          'The stores of the cloud that must hold the data; copies elsewhere are removed. Default: the default store, and copies are left alone. ' +
          'With method Upload the first one takes the upload and the others get a copy, which most clouds allow to administrators only.',
      }),
    allStores: z.boolean().default(false).meta({ description: 'true: every store of the cloud must hold the data.' }),
  }),
  {
    cel: '!(has(self.allStores) && self.allStores && has(self.stores) && size(self.stores) > 0)',
    test: ({ stores, allStores }) => !(allStores && stores.length > 0),
    message: 'allStores and stores exclude each other: name the stores, or ask for all of them',
    fieldPath: '.stores',
  },
);

const http = z.object({
  url: url('Address of the file: an http:// or https:// URL.'),
  mirrors: set(url('Address of the same file elsewhere.'), maxMirrors).default([]).meta({
    description:
      'Addresses of the same file elsewhere, tried in this order where the URL fails; a download goes on at the next one from the byte where it broke.',
  }),
  digest: matching(
    text(1, 256),
    digestPattern,
    'must be sha256:, sha384: or sha512: (or md5: or sha1:, which are weak) followed by the 64, 96 or 128 (32, 40) lower-case hex digits that sha256sum and its like print',
  ).meta({
    description:
      'Digest of the data: sha256:, sha384: or sha512: and the hex digits. Other bytes never become an active image. ' +
      'md5: and sha1: are accepted with a warning, because some publishers have nothing else.',
  }),
  digestOf: z.enum(['Served', 'Image']).default('Served').meta({
    description:
      'Served: digest is of the file as it is served, compressed where it is compressed. Image: it is of the image after decompression.',
  }),
  decompress: z
    .enum(['Auto', 'None'])
    .default('Auto')
    .meta({
      description:
        'Auto: a file compressed with gzip, zstd, xz or bzip2 is decompressed on its way; what it is, its first bytes say. None: it is stored as it is. ' +
        'Kernels and ramdisks (ami, ari, aki) and the container compressed are never decompressed, nor is what Glance downloads itself.',
    }),
  headersSecretRef: secretRef(
    'A Secret in the namespace of the resource. Each key is a header to send, for example Authorization. The headers go to the host of url only, never across a redirect to another host.',
  ).optional(),
  caSecretRef: secretRef(
    'A Secret in the namespace of the resource. Its key ca.crt holds the CA certificates of the source in PEM.',
  ).optional(),
});

const glance = rule(
  z.object({
    image: matching(
      text(36, 2048),
      imageRefPattern,
      'must be the id of an image, or its address such as https://glance.example.com/v2/images/<id>',
    ).meta({
      description:
        'Id of the image, or its address. An address needs cloud, and must begin with an image endpoint of that cloud: one of its catalog, or image_endpoint_override of its clouds.yaml.',
    }),
    cloud: cloud.optional().meta({
      description:
        'The cloud that holds that image, and the credentials to read it with. They go to endpoints of that cloud only. Default: spec.cloud.',
    }),
  }),
  {
    cel: "!self.image.contains('/') || has(self.cloud)",
    test: ({ image: ref, cloud: holder }) => !ref.includes('/') || holder !== undefined,
    message:
      'an address needs the cloud that it belongs to: name it in cloud; for an image of spec.cloud give the id alone',
    fieldPath: '.cloud',
  },
);

const webDownload = "self.method != 'WebDownload'";

const content = rule(
  rule(
    rule(
      z.object({
        http: http.optional().meta({ description: 'A file on a web server.' }),
        glance: glance.optional().meta({
          description:
            'Another image in Glance, of this cloud or of another. Its data is verified against the digest that its Glance reports.',
        }),
        method: z
          .enum(['Upload', 'Stage', 'WebDownload'])
          .default('Upload')
          .meta({
            description:
              'How the data gets into Glance. Upload: the operator streams it and verifies it before the last byte. ' +
              'Stage: the same, into the staging area of Glance, whose import then brings it to the stores and runs the plugins of the cloud. ' +
              'WebDownload: Glance fetches the file itself; it is verified afterwards, and removed if it is another.',
          }),
      }),
      {
        cel: '[has(self.http), has(self.glance)].exists_one(x, x)',
        test: ({ http: file, glance: other }) => (file === undefined) !== (other === undefined),
        message: 'content needs exactly one source: http or glance',
      },
    ),
    {
      cel: `${webDownload} || (has(self.http) && self.http.digest.startsWith('sha512:') && self.http.digestOf == 'Served')`,
      test: ({ method, http: file }) =>
        method !== 'WebDownload' || (file?.digest.startsWith('sha512:') === true && file.digestOf === 'Served'),
      message:
        'method WebDownload needs content.http with a sha512 digest of the file as served: Glance fetches the file itself, and sha512 is what it computes; or use method Upload',
      fieldPath: '.method',
    },
  ),
  {
    cel: `${webDownload} || !has(self.http) || (size(self.http.mirrors) == 0 && !has(self.http.headersSecretRef) && !has(self.http.caSecretRef))`,
    test: ({ method, http: file }) =>
      method !== 'WebDownload' ||
      file === undefined ||
      (file.mirrors.length === 0 && file.headersSecretRef === undefined && file.caSecretRef === undefined),
    message:
      'method WebDownload knows no mirrors, headersSecretRef or caSecretRef: Glance fetches the file with a URL alone; leave them out, or use method Upload',
    fieldPath: '.http',
  },
).meta({
  description:
    'Where the data comes from. Without it only the record is kept, and the data comes from elsewhere. Once the data is in Glance, another digest or another image cannot be declared.',
});

const interval = rule(text(1, 32), {
  cel: `self == '0' || (self.matches(r'${durationPattern}') && duration(self) >= duration('10s') && duration(self) <= duration('24h'))`,
  test: isInterval,
  message: 'must be 0, which turns the check off, or a duration from 10s to 24h such as 90s, 10m or 1h30m',
});

const declared = z.object({
  cloud: cloud.meta({
    description:
      'The OpenStack project that holds the image: a Secret with a clouds.yaml as openstacksdk reads it and, beside it, ' +
      'optional keys in PEM: cacert with the CA certificates of the cloud, cert and key with a client certificate.',
  }),
  deletionPolicy: z
    .enum(['Delete', 'Retain'])
    .default('Delete')
    .meta({ description: 'What happens to the image when this resource is deleted.' }),
  suspend: z.boolean().default(false).meta({
    description: 'true stops all work on the image, a running transfer included, until it is false again.',
  }),
  interval: interval.default('10m').meta({
    description:
      'How often the image is compared with its declaration: from 10s to 24h, for example 10m or 1h30m. 0 turns the check off.',
  }),
  image: image.prefault({}).meta({ description: 'What Glance should hold.' }),
  propertyPolicy: z.enum(['Purge', 'Merge']).default('Purge').meta({
    description:
      'Purge removes properties that are not declared. Merge leaves those of others alone; keys that were declared once and are not any more are removed.',
  }),
  content: content.optional(),
});

export const specSchema = rule(declared, {
  cel: '!has(self.content) || has(self.image.diskFormat)',
  test: (spec) => spec.content === undefined || spec.image.diskFormat !== undefined,
  message: 'image.diskFormat is required with content: say what the file is, for example qcow2 or raw',
  fieldPath: '.image.diskFormat',
}).meta({ description: 'What is declared.' });

function integer(description: string) {
  return z.int().min(0).max(maxInteger).default(0).meta({ description });
}

function isInterval(value: string): boolean {
  if (value === '0') return true;
  if (!new RegExp(durationPattern).test(value)) return false;
  const ms = parseDuration(value);
  return ms >= minIntervalMs && ms <= maxIntervalMs;
}

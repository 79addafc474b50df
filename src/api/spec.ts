/**
 * What a user declares. Law: these schemas are the single source of the types, of the CRD and of its documentation, and
 * whatever they admit the operator obeys in full.
 */
import { z } from 'zod';
import { parseDuration } from '../lib/duration.ts';
import { fixedField, jsonMap, matching, rule, set, text } from './rules.ts';

export const diskFormats = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'] as const;
export const containerFormats = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'] as const;
export const visibilities = ['public', 'private', 'shared', 'community'] as const;

/** Glance allows 128 properties an image by default, and two of them are the owner mark. */
const maxProperties = 126;
const maxTags = 128;
/** The widest text column and the largest integer of Glance's database. */
const maxText = 255;
const maxInteger = 2_147_483_647;

const digestPattern = '^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$';
/** No user name or password before the host: they would end up in the status and in logs. */
const urlPattern = '^https?://[A-Za-z0-9._~:%\\[\\]-]+([/?#][!-~]*)?$';
const secretNamePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';
const durationPattern = '^([0-9]+(ms|s|m|h))+$';
const [minIntervalMs, maxIntervalMs] = [10_000, 24 * 3_600_000];

const cloud = z
  .object({
    secretName: matching(
      text(1, 253),
      secretNamePattern,
      'must be the name of a Secret: lower-case letters, digits, - and ., for example openstack',
    ).meta({
      description: 'Name of the Secret, in the namespace of the resource, whose key clouds.yaml holds the credentials.',
    }),
    name: text(1, maxText).meta({ description: 'Which cloud of clouds.yaml to use.' }),
    region: text(1, maxText)
      .optional()
      .meta({ description: 'Region of the image service. Default: region_name of that cloud.' }),
  })
  .meta({
    description:
      'The OpenStack project that holds the image: a Secret with a clouds.yaml as openstacksdk reads it and, beside it, ' +
      'an optional key cacert with the CA certificates of the cloud in PEM.',
  });

const image = fixedField(
  fixedField(
    z.object({
      name: text(1, maxText)
        .optional()
        .meta({ description: 'Name of the image in Glance. Default: the name of this resource.' }),
      diskFormat: z.enum(diskFormats).optional().meta({
        description: 'Format of the data, for example qcow2, raw, vmdk or iso. Required with content. Cannot change.',
      }),
      containerFormat: z
        .enum(containerFormats)
        .default('bare')
        .meta({ description: 'Container around the data; bare where there is none. Cannot change.' }),
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
      properties: jsonMap(maxProperties)
        .default({})
        .meta({
          description:
            'Custom properties. Text is stored as it is, numbers and booleans as text, objects and lists as JSON text, ' +
            'so that block_device_mapping and mappings arrive as Nova and Cinder expect them.',
        }),
    }),
    'diskFormat',
    'diskFormat cannot change once the resource exists: Glance fixes it with the data; create another GlanceImage instead',
  ),
  'containerFormat',
  'containerFormat cannot change once the resource exists: Glance fixes it with the data; create another GlanceImage instead',
);

const http = z
  .object({
    url: matching(
      text(8, 2048),
      urlPattern,
      'must be an http:// or https:// URL without spaces, user name or password, for example https://example.com/image.qcow2',
    ).meta({ description: 'Address of the file: an http:// or https:// URL.' }),
    digest: matching(
      text(1, 256),
      digestPattern,
      'must be sha256:, sha384: or sha512: followed by the 64, 96 or 128 lower-case hex digits that sha256sum, sha384sum or sha512sum print',
    ).meta({
      description:
        'Digest of the bytes as served: sha256:, sha384: or sha512: and the hex digits. Other bytes never become an active image.',
    }),
  })
  .meta({ description: 'A file on a web server.' });

const content = z.object({ http }).meta({
  description:
    'Where the data comes from. Without it only the record is kept, and the data comes from elsewhere. Cannot change.',
});

const interval = rule(text(1, 32), {
  cel: `self == '0' || (self.matches(r'${durationPattern}') && duration(self) >= duration('10s') && duration(self) <= duration('24h'))`,
  test: isInterval,
  message: 'must be 0, which turns the check off, or a duration from 10s to 24h such as 90s, 10m or 1h30m',
});

export const specSchema = fixedField(
  rule(
    z.object({
      cloud,
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
    }),
    {
      cel: '!has(self.content) || has(self.image.diskFormat)',
      test: (spec) => spec.content === undefined || spec.image.diskFormat !== undefined,
      message: 'image.diskFormat is required with content: say what the file is, for example qcow2 or raw',
      fieldPath: '.image.diskFormat',
    },
  ),
  'content',
  'content cannot change once the resource exists: the data of an image is fixed in Glance; create another GlanceImage instead',
).meta({ description: 'What is declared.' });

export type GlanceImageSpec = z.output<typeof specSchema>;

function integer(description: string) {
  return z.int().min(0).max(maxInteger).default(0).meta({ description });
}

function isInterval(value: string): boolean {
  if (value === '0') return true;
  if (!new RegExp(durationPattern).test(value)) return false;
  const ms = parseDuration(value);
  return ms >= minIntervalMs && ms <= maxIntervalMs;
}

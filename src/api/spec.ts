/**
 * What a user declares. Guarantees: these schemas are the single source of the types, of the CRD and of its documentation;
 * the operator obeys in full what they admit. Below `image`, and for the policies and the method, the API server fills in no
 * default: a stored default could not be distinguished from a wish. defaults.ts says what their absence means.
 */
import * as z from 'zod';
import { internalNames } from '../glance/property-names.ts';
import { parseDuration } from '../lib/duration.ts';
import { content, oneFile } from './content.ts';
import {
  amazonFormatsInCel,
  byDefault,
  cloud,
  configMapRef,
  format,
  isAmazonFormat,
  maxTags,
  maxText,
  visibilities,
} from './fields.ts';
import { imported, importRules, managementPolicy } from './import.ts';
import { revisions } from './revisions.ts';
import { jsonMapWithout, rule, set, text } from './rules.ts';

/** Glance allows 128 properties an image by default; three are marks of the operator, and three are Glance's own. */
export const maxProperties = 122;
/** The largest integer of Glance's database. */
export const maxInteger = 2_147_483_647;
const maxStores = 32;
/** Glance allows 128 members an image by default. */
const maxMembers = 128;

const durationPattern = '^([0-9]+(ms|s|m|h))+$';
const [minIntervalMs, maxIntervalMs] = [10_000, 24 * 3_600_000];

/** What the operator gives an image that it creates, where the field is absent. */
export const imageDefaults = {
  visibility: 'private',
  protected: false,
  hidden: false,
  minDiskGiB: 0,
  minRAMMiB: 0,
  tags: [],
  properties: {},
  stores: [],
  allStores: false,
} as const;

/** What the operator does with an image that it creates, where the policy is absent. */
export const policyDefaults = { deletionPolicy: 'Delete', propertyPolicy: 'Purge' } as const;

/** Names that a person might choose; the operator rejects the others that property-names.ts lists. */
const refusedProperties = internalNames.filter((name) => !name.startsWith('_'));

const imageFields = rule(
  z.object({
    name: text(1, maxText)
      .optional()
      .meta({ description: 'Name of the image in Glance. Default: the name of this resource.' }),
    diskFormat: format()
      .optional()
      .meta({
        description:
          'Format of the data: qcow2, raw, vmdk, vhd, vhdx, vdi, iso, ploop, ami, ari, aki, or a format that the administrator of the cloud has added. ' +
          'A format that the cloud does not have is rejected. Required with content. With content, another format makes another revision; without it, the format cannot change once the data is in Glance.',
      }),
    containerFormat: format()
      .optional()
      .meta({
        description:
          'Container around the data. bare: none. ovf: an OVF package. ova: an OVF package in a tar archive. docker: a tar archive of a container file system. ' +
          'compressed: a compressed file, which Cinder decompresses. ami, ari, aki: an Amazon machine, ramdisk or kernel image. ' +
          'A format that the cloud does not have is rejected. With content, another format makes another revision; without it, the format cannot change once the data is in Glance. ' +
          'Default: the disk format if that is ami, ari or aki, otherwise bare.',
      }),
    visibility: z
      .enum(visibilities)
      .optional()
      .meta({
        description:
          'Who can use the image. private: its project. shared: its project and the members of the image. ' +
          'community: every project, but it is not in their default lists. public: every project; most clouds allow this to administrators only. ' +
          `The default of Glance itself is shared.${byDefault(imageDefaults.visibility)}`,
      }),
    protected: flag(
      'true: Glance does not delete the image. Deleting this resource removes the protection first.',
      imageDefaults.protected,
    ),
    hidden: flag(
      'true: default image lists leave the image out. It can still be used by its ID.',
      imageDefaults.hidden,
    ),
    minDiskGiB: integer(
      'Minimum size, in GiB, of the root disk of a server that boots from the image. 0: no minimum.',
      imageDefaults.minDiskGiB,
    ),
    minRAMMiB: integer(
      'Minimum memory, in MiB, of a server that boots from the image. 0: no minimum.',
      imageDefaults.minRAMMiB,
    ),
    owner: text(1, maxText).optional().meta({
      description:
        'ID of the project that owns the image. Only administrators can name another project than their own. Default: the project of the credentials.',
    }),
    tags: set(text(1, maxText), maxTags)
      .optional()
      .meta({
        description: `Tags of the image. Tags that are not listed are removed.${byDefault(imageDefaults.tags)}`,
      }),
    properties: jsonMapWithout(
      refusedProperties,
      maxProperties,
      `must not hold a property that Glance uses internally (${refusedProperties.join(', ')}): a change of it would overwrite another image or be lost. Choose another name`,
    )
      .optional()
      .meta({
        description:
          'Custom properties of the image. Glance stores text: text is stored as it is, numbers and booleans as text, ' +
          'objects and lists as JSON, as Nova and Cinder expect block_device_mapping and mappings. ' +
          `Quote text that YAML reads as a number or a boolean, for example "22.10" or "yes".${byDefault(imageDefaults.properties)}`,
      }),
    stores: set(text(1, maxText), maxStores)
      .optional()
      .meta({
        description:
          'Stores of the cloud that must hold the data. Copies in other stores are removed. ' +
          'With method Upload, the first store takes the upload, and Glance copies it to the others; most clouds allow such copies to administrators only. ' +
          'Default: the default store of the cloud; copies in other stores are left alone.',
      }),
    allStores: flag('true: every store of the cloud must hold the data. Excludes stores.', imageDefaults.allStores),
    members: z
      .object({
        projects: set(text(1, maxText), maxMembers).meta({
          description: 'IDs of the projects. Members that are not listed are removed.',
        }),
      })
      .optional()
      .meta({
        description:
          'The projects with which the image is shared, in addition to its own. Needs visibility shared. Each can use the image at once, ' +
          'and sees it in its default lists once it has accepted it, as status.members shows. ' +
          'Default: members are left alone, except those that were declared here before, which are removed.',
      }),
    state: z
      .enum(['Active', 'Deactivated'])
      .optional()
      .meta({
        description:
          'Whether the data of the image can be used. Deactivated: no server can be created from it, and only administrators can download it; ' +
          'the operator deactivates it after its data was verified. Active: the operator reactivates it when it was deactivated. ' +
          'Many clouds allow both to administrators only. Default: the state is left alone, and a deactivated image is reported.',
      }),
  }),
  {
    cel: '!(has(self.allStores) && self.allStores && has(self.stores) && size(self.stores) > 0)',
    test: ({ stores = [], allStores = false }) => !(allStores && stores.length > 0),
    message: 'allStores and stores exclude each other: name the stores, or ask for all of them',
    fieldPath: '.stores',
  },
);

const image = rule(imageFields, {
  cel: "!has(self.members) || (has(self.visibility) && self.visibility == 'shared')",
  test: ({ members, visibility }) => members === undefined || visibility === 'shared',
  message: 'only shared images have members: declare visibility: shared, or leave members out',
  fieldPath: '.members',
});

const interval = rule(text(1, 32), {
  cel: `self == '0' || (self.matches(r'${durationPattern}') && duration(self) >= duration('10s') && duration(self) <= duration('24h'))`,
  test: isInterval,
  message: 'must be 0, which turns the check off, or a duration from 10s to 24h such as 90s, 10m or 1h30m',
});

const declared = z.object({
  cloud: cloud.meta({ description: 'The OpenStack project that holds the image, and the credentials for it.' }),
  managementPolicy,
  import: imported.optional(),
  deletionPolicy: z
    .enum(['Delete', 'Retain'])
    .optional()
    .meta({
      description:
        'Policy for the image in Glance when this resource is deleted. Delete: the image is deleted, even if it is protected. ' +
        `Retain: it stays, and a resource of the same namespace, name and identity takes it back.${byDefault(policyDefaults.deletionPolicy)}`,
    }),
  suspend: z
    .boolean()
    .default(false)
    .meta({
      description:
        'true: the operator stops all work on the image, a running transfer included, until this is false again. ' +
        'It does not stop deletion: deleting a suspended resource still deletes its image, unless deletionPolicy is Retain. Default: false.',
    }),
  interval: interval.default('10m').meta({
    description:
      'How often the operator compares the image with this spec and corrects what differs: from 10s to 24h, for example 10m or 1h30m. ' +
      'The text "0" turns this check off. Default: 10m.',
  }),
  image: image.prefault({}).meta({ description: 'What the image in Glance should be, apart from its data.' }),
  propertyPolicy: z
    .enum(['Purge', 'Merge'])
    .optional()
    .meta({
      description:
        'Policy for properties of the image that are not declared here. Purge: they are removed, including those that build pipelines set, but not those that import plugins set with method Stage. ' +
        `Merge: they stay; only those that were declared here before are removed.${byDefault(policyDefaults.propertyPolicy)}`,
    }),
  content: content.optional(),
  publish: z
    .object({
      configMapRef: configMapRef(
        'The ConfigMap, in the namespace of the resource, that the operator creates and keeps up to date. One that exists and that this ' +
          'resource does not own is left alone. It is deleted with the resource, and when it is not declared any more.',
      ),
    })
    .optional()
    .meta({
      description:
        'Where the image to use is published for other tools: its imageID, imageName, imageDigest and imageDate. ' +
        'Needs the value publish.enabled of the chart. Default: nowhere.',
    }),
  revisions: revisions.optional(),
});

const storedAsServed =
  "has(self.image.containerFormat) && self.image.containerFormat == 'compressed' || " +
  `has(self.image.diskFormat) && self.image.diskFormat in ${amazonFormatsInCel}`;

const isRaw =
  "has(self.image.diskFormat) && self.image.diskFormat == 'raw' && (!has(self.image.containerFormat) || self.image.containerFormat == 'bare')";

const fields = Object.keys(declared.shape);
const fieldsOfImage = Object.keys(image.shape);

const isPrivate = "(!has(self.image.visibility) || self.image.visibility == 'private')";

export const specSchema = rule(
  rule(
    rule(
      rule(
        rule(importRules(fields, fieldsOfImage).reduce(rule, declared), {
          cel: '!has(self.content) || has(self.image.diskFormat)',
          test: (spec) => spec.content === undefined || spec.image.diskFormat !== undefined,
          message: 'image.diskFormat is required with content: say what the file is, for example qcow2 or raw',
          fieldPath: '.image.diskFormat',
        }),
        {
          cel: `!has(self.content) || !has(self.content.convert) || (${isRaw})`,
          test: ({ content: source, image: { diskFormat, containerFormat = 'bare' } }) =>
            source?.convert === undefined || (diskFormat === 'raw' && containerFormat === 'bare'),
          message:
            'content.convert makes a raw disk: set image.diskFormat to raw, and leave image.containerFormat out, or leave convert out',
          fieldPath: '.image.diskFormat',
        },
      ),
      {
        cel: `!has(self.content) || !has(self.content.update) || ${isPrivate} || (has(self.revisions) && has(self.revisions.keepFor))`,
        test: ({ content: followed, image: { visibility = imageDefaults.visibility }, revisions: kept }) =>
          followed?.update === undefined || visibility === 'private' || kept?.keepFor !== undefined,
        message:
          'with update, an image that others can use is replaced while they use it: declare how long the replaced ones stay in revisions.keepFor, for example 720h',
        fieldPath: '.revisions',
      },
    ),
    {
      cel: `!has(self.content) || ${oneFile.cel('self.content')} || !(${storedAsServed})`,
      test: ({ content: source, image: { diskFormat, containerFormat } }) =>
        source === undefined ||
        oneFile.test(source) ||
        !(containerFormat === 'compressed' || (diskFormat !== undefined && isAmazonFormat(diskFormat))),
      message:
        'an image in these formats is the file as it is served, so all mirrors have the same digest: leave the digests of mirrors out',
      fieldPath: '.content',
    },
  ),
  {
    cel: '!has(self.revisions) || !has(self.revisions.pin) || has(self.content)',
    test: ({ revisions: { pin } = {}, content: declaredContent }) => pin === undefined || declaredContent !== undefined,
    message:
      'revisions.pin needs content, because without it others upload the data of the one image: declare content, for example the file that has this digest',
    fieldPath: '.revisions.pin',
  },
).meta({ description: 'What the image should be.' });

export type GlanceImageSpec = z.output<typeof specSchema>;

function integer(description: string, absent: number) {
  return z
    .int()
    .min(0)
    .max(maxInteger)
    .optional()
    .meta({ description: `${description}${byDefault(absent)}` });
}

function flag(description: string, absent: boolean) {
  return z
    .boolean()
    .optional()
    .meta({ description: `${description}${byDefault(absent)}` });
}

function isInterval(value: string): boolean {
  if (value === '0') return true;
  if (!new RegExp(durationPattern).test(value)) return false;
  const ms = parseDuration(value);
  return ms >= minIntervalMs && ms <= maxIntervalMs;
}

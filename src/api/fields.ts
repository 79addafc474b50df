/**
 * Fields that several parts of a spec share: references, URLs, clouds, and the documented default. A description that names
 * a default ends with "Default: ….", which the reference page shows in a column of its own.
 */
import * as z from 'zod';
import { matching, text } from './rules.ts';

/** The widest text column of Glance's database. */
export const maxText = 255;

export const visibilities = ['public', 'private', 'shared', 'community'] as const;
export const maxTags = 128;

const objectNamePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';
/** No user name or password before the host: they would appear in the status and in logs. */
const urlPattern = '^https?://[A-Za-z0-9._~:%\\[\\]-]+([/?#][!-~]*)?$';

/** Formats of Amazon. A container format of the same name belongs to each. */
const amazonFormats: readonly string[] = ['ami', 'ari', 'aki'];

export function isAmazonFormat(diskFormat: string): boolean {
  return amazonFormats.includes(diskFormat);
}

/** The container format of an image that declares none. */
export function usualContainer(diskFormat: string | undefined): string {
  return diskFormat !== undefined && isAmazonFormat(diskFormat) ? diskFormat : 'bare';
}

export const amazonFormatsInCel = `[${amazonFormats.map((name) => `'${name}'`).join(', ')}]`;

/** The twin of `usualContainer` in CEL: the container format of `image`, declared or not. */
export const containerFormatInCel = (image: string) =>
  `(has(${image}.containerFormat) ? ${image}.containerFormat : ` +
  `(has(${image}.diskFormat) && ${image}.diskFormat in ${amazonFormatsInCel} ? ${image}.diskFormat : 'bare'))`;

/** The name of a disk or container format: a cloud can have formats of its own. */
export const format = () =>
  matching(
    text(1, 64),
    '^[a-z0-9-]+$',
    'must be the name of a format: lower-case letters, digits and -, for example qcow2',
  );

const objectName = (what: 'Secret' | 'ConfigMap' | 'ServiceAccount', example: string) =>
  matching(
    text(1, 253),
    objectNamePattern,
    `must be the name of a ${what}: lower-case letters, digits, - and ., for example ${example}`,
  );

/** An object in the namespace of the resource. A reference is an object, so that a key or a kind can be added later. */
const reference = (name: 'Secret' | 'ConfigMap', example: string) => (description: string) =>
  z
    .object({
      name: objectName(name, example).meta({ description: `Name of the ${name}.` }),
    })
    .meta({ description });

export const secretRef = reference('Secret', 'openstack');
export const configMapRef = reference('ConfigMap', 'ubuntu-image');

export const url = (description: string) =>
  matching(
    text(8, 2048),
    urlPattern,
    'must be an http:// or https:// URL without spaces, user name or password, for example https://example.com/image.qcow2',
  ).meta({ description });

export const cloud = z.object({
  secretRef: secretRef(
    'The Secret, in the namespace of the resource, that holds the credentials. Its key clouds.yaml is a file as openstacksdk reads it. ' +
      'Optional keys: secure.yaml, which overrides clouds.yaml; in PEM, cacert (CA certificates of the cloud), cert and key (a client certificate).',
  ),
  name: text(1, maxText).meta({ description: 'Name of the cloud in clouds.yaml.' }),
  region: text(1, maxText)
    .optional()
    .meta({ description: 'Region of the image service. Default: region_name of that cloud.' }),
  serviceAccountName: objectName('ServiceAccount', 'glance-images')
    .optional()
    .meta({
      description:
        'A ServiceAccount in the namespace of the resource. The operator signs in with its short-lived tokens in place of a password. ' +
        'Needs auth_type v3oidcaccesstoken in clouds.yaml, an annotation of the ServiceAccount that allows this Keystone, ' +
        'and the value serviceAccountTokens of the chart. Default: none.',
    }),
});

export type CloudSpec = z.output<typeof cloud>;
export type SecretRef = CloudSpec['secretRef'];

/** The end of the description of a field that may be absent. */
export function byDefault(value: unknown): string {
  const isNone = Array.isArray(value) || typeof value === 'object';
  return ` Default: ${isNone ? 'none' : String(value)}.`;
}

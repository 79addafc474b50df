/**
 * The CustomResourceDefinition of GlanceImage. Invariant: everything about the fields comes from the zod schemas; this file adds
 * only what a resource has beyond its fields: names, scope, columns.
 */
import { stringify } from 'yaml';
import * as z from 'zod';
import { containerFormatInCel } from '../api/fields.ts';
import { annotationMeanings, group, kind, plural, version } from '../api/group.ts';
import { importTransitions, observesInCel } from '../api/import.ts';
import { transition } from '../api/rules.ts';
import { specSchema } from '../api/spec.ts';
import { statusSchema } from '../api/status.ts';
import { structuralSchema } from './crd-schema.ts';

/** Once Glance holds data that others have uploaded, its format is fixed with it. Nothing was declared of an image that was observed. */
const holdsData =
  `!${observesInCel('oldSelf.spec')} && ` +
  "has(oldSelf.status) && has(oldSelf.status.image) && oldSelf.status.image.status in ['active', 'deactivated']";
const isRecordOnly = '!has(self.spec.content)';
const sameDiskFormat =
  'has(self.spec.image.diskFormat) == has(oldSelf.spec.image.diskFormat) && ' +
  '(!has(self.spec.image.diskFormat) || self.spec.image.diskFormat == oldSelf.spec.image.diskFormat)';
/** Writing the default down, or leaving it out again, is no change. */
const sameContainerFormat = ['self', 'oldSelf'].map((at) => containerFormatInCel(`${at}.spec.image`)).join(' == ');

const fixedWithoutContent = [
  { field: 'image.diskFormat', same: sameDiskFormat },
  { field: 'image.containerFormat', same: sameContainerFormat },
];

const documentation =
  'https://github.com/glance-image-operator/glance-image-operator/blob/main/docs/reference/glanceimage.md';
const annotations = Object.entries(annotationMeanings)
  .map(([name, meaning]) => `${name}: ${meaning}`)
  .join(' ')
  .replaceAll('`', '');

const fixings = fixedWithoutContent.map(({ field, same }) => ({
  rule: `!(${holdsData} && ${isRecordOnly}) || (${same})`,
  message: `${field} cannot change without content once the data is in Glance, which fixes it: declare content, or create another GlanceImage`,
  fieldPath: `.spec.${field}`,
}));

const resource = [...importTransitions, ...fixings]
  .reduce<z.ZodType>(transition, z.object({ spec: specSchema, status: statusSchema }))
  .meta({
    description:
      'An image in OpenStack Glance: spec says what it should be, status says what it is. ' +
      `Annotations: ${annotations} Documentation: ${documentation}`,
  });

const ready = (field: string) => `.status.conditions[?(@.type=="Ready")].${field}`;

/**
 * What `kubectl get` shows, and with priority 1 what only `-o wide` shows. No column has the message: it would make the lines
 * too long to read, and `kubectl describe` shows it.
 */
const printerColumns = [
  { name: 'Ready', type: 'string', jsonPath: ready('status') },
  { name: 'Reason', type: 'string', jsonPath: ready('reason') },
  { name: 'Cloud', type: 'string', jsonPath: '.spec.cloud.name' },
  { name: 'Size', type: 'string', jsonPath: '.status.size' },
  { name: 'Progress', type: 'string', jsonPath: '.status.progress' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Revision', type: 'integer', jsonPath: '.status.revisions[?(@.state=="Current")].number', priority: 1 },
  { name: 'Image ID', type: 'string', jsonPath: '.status.imageID', priority: 1 },
  { name: 'Image Name', type: 'string', jsonPath: '.status.image.name', priority: 1 },
  { name: 'Digest', type: 'string', jsonPath: '.status.content.shortDigest', priority: 1 },
];

/**
 * What `--field-selector` can select by, from Kubernetes 1.31. The API server allows eight, each a path of names to a text, number or
 * boolean; conditions are a list and cannot be among them.
 */
const selectableFields = [
  '.spec.cloud.name',
  '.spec.cloud.secretRef.name',
  '.spec.image.name',
  '.spec.image.visibility',
  '.spec.suspend',
  '.status.imageID',
].map((jsonPath) => ({ jsonPath }));

/**
 * `clusterctl move` discovers kinds by the first label, and by the second one moves all objects of the kind that are in the namespace.
 * See https://cluster-api.sigs.k8s.io/developer/providers/contracts/clusterctl#move.
 */
const clusterctlLabels = { 'clusterctl.cluster.x-k8s.io': '', 'clusterctl.cluster.x-k8s.io/move': '' };

/** The definition as an object for the API server. Throws where the schemas hold what it cannot enforce. */
export function customResourceDefinition() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: clusterctlLabels },
    spec: {
      group,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: ['gimg'],
        categories: ['openstack'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: structuralSchema(resource) },
          subresources: { status: {} },
          additionalPrinterColumns: printerColumns,
          selectableFields,
        },
      ],
    },
  };
}

/** The definition as the file in crds/. YAML 1.1, because kubectl reads an unquoted y, n, on or off as a boolean. */
export function crdYaml(): string {
  const yaml = stringify(customResourceDefinition(), { version: '1.1', lineWidth: 120, aliasDuplicateObjects: false });
  return `# Generated from src/api by "npm run generate". Do not edit.\n${yaml}`;
}

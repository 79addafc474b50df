/**
 * A manifest that takes over an image as it is: every field that Glance holds and that is not the documented default of creation.
 *
 * Invariants: pure; the manifest is admitted by the schema; a field that cannot be declared is left out with the reason, and the operator leaves
 * it alone.
 */
import * as z from 'zod';
import { usualContainer } from '../api/fields.ts';
import { parseGlanceImage } from '../api/glanceimage.ts';
import { apiVersion, kind } from '../api/group.ts';
import { imageDefaults } from '../api/spec.ts';
import type { Image } from '../glance/image.ts';
import { isPatchable, reservedPropertyReason } from '../glance/property-names.ts';
import { isUuid } from '../glance/ref.ts';
import { markProperties, ownerProperty } from '../image/model/identity.ts';
import type { JsonValue } from '../openstack/json.ts';
import { longestName, resourceName } from './manifest-text.ts';
import { unappliedUID } from './manifests.ts';

export interface ExportTarget {
  namespace: string | undefined;
  cloud: { secretRef: { name: string }; name: string; region?: string | undefined };
  deletionPolicy: 'Retain' | 'Delete';
}

export interface Exported {
  name: string;
  manifest: Record<string, unknown>;
  /** Fields that are not declared, each with the reason. */
  leftOut: string[];
}

/** Why there is no manifest for an image; undefined if there can be one. */
export function whyNotExported({ id, status, properties }: Image): string | undefined {
  if (!isUuid(id)) return 'its ID is not a UUID';
  const owner = properties[ownerProperty];
  if (owner !== undefined)
    return `it belongs to the GlanceImage ${String(owner).split('/').slice(0, 2).join('/')} already`;
  if (status !== 'active' && status !== 'deactivated') return `it is ${status}, and has no data`;
  return undefined;
}

/** `members`: IDs of projects; undefined where they cannot be read. `taken`: names of manifests before. */
export function exported(
  image: Image,
  members: readonly string[] | undefined,
  target: ExportTarget,
  taken: ReadonlySet<string>,
): Exported {
  const name = nameFor(image, taken);
  const leftOut: string[] = [];
  const fields = new Map<string, unknown>(Object.entries(fieldsOf(image, members)));
  const properties = new Map<string, JsonValue>();
  for (const [key, value] of Object.entries(image.properties)) {
    const why = whyUndeclarable(key);
    if (why === undefined) properties.set(key, value);
    else if (why !== '') leftOut.push(`image.properties.${key}: ${why}`);
  }
  const cloud = Object.fromEntries(Object.entries(target.cloud).filter(([, value]) => value !== undefined));
  const manifest = () => ({
    apiVersion,
    kind,
    metadata: { name, ...(target.namespace === undefined ? {} : { namespace: target.namespace }) },
    spec: {
      cloud,
      import: { id: image.id },
      deletionPolicy: target.deletionPolicy,
      image: Object.fromEntries([
        ...fields,
        ...(properties.size === 0 ? [] : [['properties', Object.fromEntries(properties)] as const]),
      ]),
    },
  });
  for (;;) {
    const problem = problemOf(manifest());
    if (problem === undefined) return { name, manifest: manifest(), leftOut };
    const [, , field = '', key = ''] = problem.path.map(String);
    const isProperty = field === 'properties' && properties.delete(key);
    const dropped = isProperty ? `image.properties.${key}` : `image.${field}`;
    if (!isProperty && field === 'properties') properties.clear();
    else if (!isProperty && !fields.delete(field))
      throw new Error(`image ${image.id} cannot be declared: ${problem.message}`);
    leftOut.push(`${dropped}: ${problem.message}`);
  }
}

function problemOf(manifest: { metadata: object }): z.core.$ZodIssue | undefined {
  const metadata = { namespace: 'x', ...manifest.metadata, uid: unappliedUID, generation: 1, resourceVersion: '0' };
  try {
    parseGlanceImage({ ...manifest, metadata: { ...metadata, creationTimestamp: '1970-01-01T00:00:00Z' }, status: {} });
    return undefined;
  } catch (error) {
    if (error instanceof z.ZodError) return error.issues[0];
    throw error;
  }
}

function fieldsOf(image: Image, members: readonly string[] | undefined): Record<string, unknown> {
  const { name, diskFormat, containerFormat, visibility, hidden, minDiskGiB, minRAMMiB, tags, status } = image;
  const isDefault = (field: keyof typeof imageDefaults) =>
    JSON.stringify(image[field as keyof Image]) === JSON.stringify(imageDefaults[field]);
  const usual = usualContainer(diskFormat ?? undefined);
  return {
    ...(name === null || name === '' ? {} : { name }),
    ...(diskFormat === null ? {} : { diskFormat }),
    ...(containerFormat === null || containerFormat === usual ? {} : { containerFormat }),
    ...(isDefault('visibility') ? {} : { visibility }),
    ...(isDefault('protected') ? {} : { protected: image.protected }),
    ...(isDefault('hidden') ? {} : { hidden }),
    ...(isDefault('minDiskGiB') ? {} : { minDiskGiB }),
    ...(isDefault('minRAMMiB') ? {} : { minRAMMiB }),
    ...(isDefault('tags') ? {} : { tags }),
    ...(visibility !== 'shared' || members === undefined || members.length === 0
      ? {}
      : { members: { projects: members.toSorted() } }),
    ...(status === 'deactivated' ? { state: 'Deactivated' } : {}),
  };
}

/** Empty for properties that Glance and the operator set themselves. */
function whyUndeclarable(key: string): string | undefined {
  if (markProperties.includes(key) || key.startsWith('os_glance')) return '';
  if (!isPatchable(key)) return 'Glance cannot change a property whose name begins or ends with white space';
  return reservedPropertyReason(key);
}

/** A name that Kubernetes admits, and that no manifest before has. */
function nameFor({ id, name }: Image, taken: ReadonlySet<string>): string {
  const own = resourceName(name ?? '');
  if (own !== '' && !taken.has(own)) return own;
  const whole = resourceName(id);
  const suffix = whole.slice(0, 8);
  const base = own === '' ? 'image' : own.slice(0, longestName - suffix.length - 1).replace(/[^a-z0-9]+$/, '');
  let free = `${base}-${suffix}`;
  for (let count = 1; taken.has(free); count++) free = count === 1 ? `${base}-${whole}` : `${base}-${whole}-${count}`;
  return free;
}

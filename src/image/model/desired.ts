/**
 * What Glance should hold, worked out from a declaration.
 *
 * Invariant: pure and complete: every field of the spec that is about the image appears here, or the declaration is rejected with
 * a sentence.
 */
import { withDefaults } from '../../api/defaults.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { dateOf, type Image } from '../../glance/image.ts';
import { isPatchable, reservedPropertyReason } from '../../glance/property-names.ts';
import type { WantedImage } from '../../glance/translation.ts';
import { OperatorError } from '../../lib/errors.ts';
import { isJson, type JsonValue } from '../../openstack/json.ts';
import { type Content, contentOf, type Stores, storesOf } from './content.ts';
import { bindingOf, contentMark, fingerprintOf } from './fingerprint.ts';
import { contentProperty, type Identity, markOf, markProperties } from './identity.ts';
import { type Memory, msSince } from './memory.ts';
import { type Retention, retentionOf } from './retention.ts';

const mayBeLeftAlone = [
  'name',
  'visibility',
  'protected',
  'hidden',
  'minDiskGiB',
  'minRAMMiB',
  'owner',
  'tags',
  'containerFormat',
] as const;
type LeftAlone = (typeof mayBeLeftAlone)[number];

export interface Desired {
  image: WantedImage & { name: string; hidden: boolean; visibility: string; owner: string };
  /** Set if another project than that of the credentials is to own the image. */
  declaredOwner?: string | undefined;
  /** ID of the image that existed before, and is taken over. */
  adopts?: string | undefined;
  /** Undeclared fields, which stay as that image has them. */
  leftAlone: readonly LeftAlone[];
  /** As they are declared, if they are. */
  formats: { diskFormat?: string | undefined; containerFormat?: string | undefined };
  /** Declared keys of properties, without the marks. */
  propertyKeys: string[];
  purge: boolean;
  /** Where the data comes from; undefined when it is not ours to bring. */
  content: Content | undefined;
  /** Of the content. */
  fingerprint: string | undefined;
  /** Hash of what a publisher was asked for the digest; undefined where it is declared itself. */
  declaration?: string | undefined;
  /** What a finding has to be for, to say something about the data: the fingerprint and, if there is one, the cloud of the source. */
  binding: string | undefined;
  /** The digest of the image to use, whatever the content says. */
  pin: string | undefined;
  /** Set where the pin names other data than the declared content does: whether an image has it. */
  hold?: { kind: 'found'; imageID: string } | { kind: 'missing' };
  /** How long replaced images stay, and what they look like. */
  retention: Retention;
  retired: { hidden: boolean; name: string };
  /** Where the data has to be, also if another client uploads it. */
  stores: Stores;
  /** IDs of the projects that are members; undefined where the members are left alone. */
  members: readonly string[] | undefined;
  /** Undefined where the state is left alone. */
  active: boolean | undefined;
  /** Name of the ConfigMap that shows the image to use. */
  configMap: string | undefined;
}

/**
 * `projectID` is the project of the credentials, which owns what names no other owner. `declaration`: for which a publisher provided
 * the digest.
 * Throws an OperatorError `InvalidSpec` for what the API server cannot check: the keys of properties.
 */
export function desire(
  resource: GlanceImage,
  identity: Identity,
  projectID: string,
  declaration: string | undefined,
): Desired {
  const { image, propertyPolicy, revisions } = withDefaults(resource.spec);
  const { name, diskFormat, containerFormat, visibility, hidden, minDiskGiB, minRAMMiB, owner, tags } = image;
  const properties = jsonObject(image.properties);
  for (const key of Object.keys(properties)) {
    const refusal = markProperties.includes(key) ? 'it is a mark of the operator' : problemOf(key);
    if (refusal !== undefined) throw invalid(`spec.image.properties cannot contain ${JSON.stringify(key)}: ${refusal}`);
  }
  const content = contentOf(resource);
  return {
    image: {
      name: name ?? resource.metadata.name,
      ...(diskFormat === undefined ? {} : { diskFormat }),
      containerFormat,
      visibility,
      protected: image.protected,
      hidden,
      minDiskGiB,
      minRAMMiB,
      owner: owner ?? projectID,
      tags,
      properties: { ...properties, ...markOf(identity) },
    },
    ...(owner === undefined || owner === projectID ? {} : { declaredOwner: owner }),
    ...adoptionOf(resource),
    formats: { diskFormat, containerFormat: resource.spec.image.containerFormat },
    propertyKeys: Object.keys(properties).sort(),
    purge: propertyPolicy === 'Purge',
    content,
    fingerprint: content && fingerprintOf(content),
    declaration,
    binding: content && bindingOf(content, resource.spec.cloud),
    pin: revisions.pin,
    retention: retentionOf(resource.spec),
    retired: revisions.retired,
    stores: storesOf(resource),
    members: image.members?.projects,
    active: image.state === undefined ? undefined : image.state === 'Active',
    configMap: resource.spec.publish?.configMapRef.name,
  };
}

function adoptionOf({ spec: { image, import: imported } }: GlanceImage): Pick<Desired, 'adopts' | 'leftAlone'> {
  if (imported?.id === undefined) return { leftAlone: [] };
  return { adopts: imported.id, leftAlone: mayBeLeftAlone.filter((field) => image[field] === undefined) };
}

/** A property that Glance could set once and never change is rejected, as is one that Glance would reject. */
function problemOf(key: string): string | undefined {
  if (key === '') return 'a property needs a name';
  if (key === 'id') return 'the operator chooses the ID of the image';
  if (!isPatchable(key)) return 'Glance strips white space from both ends of a name and cannot change such a property';
  return reservedPropertyReason(key);
}

/** `z.record` would drop the key `__proto__`. */
function jsonObject(map: Readonly<Record<string, unknown>>): Record<string, JsonValue> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, propertyValue(key, value)]));
}

/** Levels of lists and objects in a property. Nova and Cinder use three. */
const deepest = 32;

/** Glance keeps text, so an integer is exact as text, as long as the API server has not rounded it. */
function propertyValue(key: string, value: unknown): JsonValue {
  const problem = isRounded(value)
    ? 'is an integer beyond 2^63, which the API server rounds: put it in quotes'
    : problemIn(value);
  if (problem === undefined && typeof value === 'bigint') return String(value);
  if (problem !== undefined) throw invalid(`spec.image.properties: the value of ${JSON.stringify(key)} ${problem}`);
  if (!isJson(value)) throw invalid(`spec.image.properties: the value of ${JSON.stringify(key)} is not JSON`);
  return value;
}

/** The API server keeps an integer of 64 bits with its sign, and takes any other for a floating-point number. */
function isRounded(value: unknown): boolean {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) !== value;
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
}

/** What cannot be written to Glance in a value; level by level, because JSON of any depth is admitted. */
function problemIn(value: unknown): string | undefined {
  if (typeof value === 'bigint') return undefined;
  for (let level = [value], depth = 0; level.length > 0; depth++) {
    if (level.some((one) => typeof one === 'bigint' || isRounded(one)))
      return 'has an integer beyond 2^53 in a list or object, which readers of JSON round: put it in quotes';
    const containers = level.filter((one) => typeof one === 'object' && one !== null);
    if (depth === deepest && containers.length > 0) return `is nested more than ${deepest} levels deep`;
    level = containers.flatMap((one) => Object.values(one));
  }
  return undefined;
}

const longestName = 255;

/** The name of an image until it replaces another one. */
export function pendingName({ image }: Desired, imageID: string): string {
  return suffixed(image.name, pendingSuffix(imageID));
}

/** Whether the image has not been the one to use yet, by its name. */
export function isPending(image: Pick<Image, 'id' | 'name' | 'hidden'>): boolean {
  return image.hidden && hasPendingName(image);
}

/** It gets another name as soon as it is the image to use. */
export function hasPendingName({ id, name }: Pick<Image, 'id' | 'name'>): boolean {
  return name?.endsWith(pendingSuffix(id)) === true;
}

function pendingSuffix(imageID: string): string {
  return ` (pending ${imageID.slice(0, 8)})`;
}

/**
 * The name of an image that was replaced, by the declared template. The declared name in it is shortened where all does not fit, so
 * that what distinguishes the images stays. Only the image to use has the declared name itself.
 */
export function retiredName({ image: { name }, retired }: Desired, image: Image, number: number): string {
  const rest = retired.name
    .replaceAll('{date}', dateOf(image.createdAt).toISOString().slice(0, 10))
    .replaceAll('{number}', String(number));
  const places = rest.split('{name}');
  const room = longestName - lengthOf(places.join(''));
  const each = places.length === 1 ? 0 : Math.max(0, Math.floor(room / (places.length - 1)));
  const full = shortened(places.join(shortened(name, each)), longestName);
  return full === name ? suffixed(name, ` (replaced ${image.id.slice(0, 8)})`) : full;
}

/** Digits of the largest number that is exact. */
const numberPattern = '[0-9]{1,16}';

/**
 * The name of an image before it was replaced, where `name` is one that the declared template gives; undefined otherwise. All numbers in
 * it are the same, which also bounds the time: with a free number at each place there are too many ways to share out a row of digits.
 */
export function nameBefore({ retired }: Desired, { name, createdAt }: Image): string | undefined {
  if (retired.name.split('{name}').length !== 2) return undefined;
  const literal = (text: string) => text.replaceAll(/[^\p{L}\p{N} ]/gu, '\\$&');
  const [first = '', ...others] = retired.name
    .replaceAll('{date}', dateOf(createdAt).toISOString().slice(0, 10))
    .split('{number}')
    .map((text) => text.split('{name}').map(literal).join('(?<name>.+)'));
  const rest = others.length === 0 ? '' : `(?<number>${numberPattern})${others.join('\\k<number>')}`;
  return new RegExp(`^${first}${rest}$`, 's').exec(name ?? '')?.groups?.['name'];
}

function suffixed(name: string, suffix: string): string {
  return `${shortened(name, longestName - suffix.length)}${suffix}`;
}

/** Glance counts code points. */
function shortened(text: string, most: number): string {
  return [...text].slice(0, most).join('');
}

function lengthOf(text: string): number {
  return [...text].length;
}

/**
 * The record of an image until its data is verified. `replaces`: consumers may know another image, so this one is hidden and has
 * a name of its own. A file that Glance downloads by itself is active before it is verified, so its image is also private.
 */
export function imageBefore(desired: Desired, imageID: string, replaces: boolean): WantedImage {
  const { image, content } = desired;
  const isUnseen = content?.method === 'WebDownload';
  return {
    ...withFingerprint(desired),
    ...(replaces ? { name: pendingName(desired, imageID) } : {}),
    ...(replaces || isUnseen ? { hidden: true } : {}),
    visibility: isUnseen ? 'private' : image.visibility,
  };
}

/**
 * The record of an image with verified data. Formats are fixed by the data: Glance rejects a later change of them, and its import
 * plugins may have set others.
 */
export function imageAfter(desired: Desired): WantedImage {
  const { diskFormat: _, containerFormat: __, ...image } = withFingerprint(desired);
  return image;
}

function withFingerprint({ image, fingerprint, declaration }: Desired): WantedImage {
  if (fingerprint === undefined) return image;
  return { ...image, properties: { ...image.properties, [contentProperty]: contentMark(fingerprint, declaration) } };
}

/** How long a property that Glance did not let us remove is left alone. */
const unremovableMs = 24 * 3_600_000;

/** Whether a property that is in Glance and not declared is left alone. */
export function keepsProperty(
  { purge }: Pick<Desired, 'purge'>,
  { propertyKeys, injected = [], unremovable }: Memory,
  now: Date,
): (key: string) => boolean {
  const isRecent = unremovable !== undefined && msSince(unremovable.at, now) < unremovableMs;
  const kept = new Set([...markProperties, ...injected, ...(isRecent ? unremovable.keys : [])]);
  return (key) => kept.has(key) || (!purge && !propertyKeys.includes(key));
}

function invalid(message: string): OperatorError {
  return new OperatorError(message, { code: 'InvalidSpec' });
}

/**
 * An image that existed before its resource and is taken over: `import.id` with managementPolicy Manage.
 *
 * Invariants: pure. Attributes that are not declared stay as the image has them. Its data is compared, or read back, and never assumed.
 * An image with other data than the declared is reported, and is replaced only once another content is declared.
 */
import { maxProperties } from '../api/spec.ts';
import type { Image } from '../glance/image.ts';
import { diffImage } from '../glance/patch.ts';
import { isPatchable, reservedPrefix, reservedPropertyReason } from '../glance/property-names.ts';
import type { JsonValue } from '../openstack/json.ts';
import { type Desired, keepsProperty } from './desired.ts';
import { clusterProperty, markProperties, ownerProperty } from './identity.ts';
import { findingOf, type Memory } from './memory.ts';
import { type Observed, type Revision, stageOf } from './revisions.ts';
import { blocked, type Choice, followedBy, step } from './scene.ts';
import type { State } from './step.ts';
import { verify } from './verify.ts';

/** What prevents the adoption, or comes before everything else; undefined: the image is like one that the operator created. */
export function adoption(desired: Desired, state: State, now: Date): Choice | undefined {
  const { adopts } = desired;
  const { observed, memory } = state;
  if (adopts === undefined) return undefined;
  const others = observed.revisions.filter(({ image }) => image.id !== adopts);
  const revision = observed.revisions.find(({ image }) => image.id === adopts);
  // Another one has taken its place.
  if (revision === undefined && others.length > 0) return undefined;
  if (revision === undefined) return missing(adopts, memory);
  const { image, ownership } = revision;
  if (ownership.kind === 'foreign') {
    return memory.adopted === adopts ? undefined : blocked('NotAdoptable', notAdoptable(image, ownership.why));
  }
  if (others.length > 0) return undefined;
  if (image.status === 'queued' && desired.content === undefined) return withoutData(image);
  const problem = tooMany(desired, image, memory, now) ?? otherFormats(desired, image);
  if (problem !== undefined) return problem;
  const difference = otherContent(desired, image, memory, now);
  if (difference === undefined) return undefined;
  if (!isNewContent(desired, memory)) return difference;
  return isMarked(revision) ? undefined : claim(desired, image);
}

function isMarked({ ownership }: Revision): boolean {
  return ownership.kind === 'adopted' && ownership.isMarked;
}

function missing(id: string, memory: Memory): Choice {
  const isKnown = [memory.adopted, memory.observed].includes(id);
  return isKnown
    ? blocked('ImportVanished', `image ${id} does not exist in Glance any more, and no other is created in its place`)
    : blocked('ImportNotFound', `Glance knows no image ${id} that these credentials can read`);
}

/** How often to look at an image whose data another client brings. */
const dataPollMs = 30_000;

/** No server could boot from it, so it is not named as the image to use. */
function withoutData(image: Image): Choice {
  const why = 'it has no data, and spec.content is absent, so another client has to upload it';
  return followedBy({ kind: 'wait', image, phase: 'Waiting', why, ms: dataPollMs });
}

function notAdoptable({ id, owner, properties }: Image, why: 'project' | 'owner' | 'cluster' | 'id'): string {
  const is = `image ${id} cannot be taken over`;
  switch (why) {
    case 'project':
      return `${is}, because it belongs to project ${owner}, and the credentials are for another one`;
    case 'cluster':
      return `${is}, because it bears the mark of cluster ${JSON.stringify(properties[clusterProperty])}`;
    case 'owner':
    case 'id':
      return `${is}, because it bears the mark of ${JSON.stringify(properties[ownerProperty])}`;
  }
}

/** Glance would reject the marks, or a later property of its own. */
function tooMany(desired: Desired, image: Image, memory: Memory, now: Date): Choice | undefined {
  const keeps = keepsProperty(desired, memory, now);
  const isOwn = (key: string) => markProperties.includes(key) || key.startsWith(reservedPrefix);
  const kept = Object.keys(image.properties).filter((key) => !isOwn(key) && keeps(key));
  const all = new Set([...kept, ...desired.propertyKeys]);
  const has = (key: string) => image.properties[key] !== undefined;
  const isDone = has(ownerProperty) && desired.propertyKeys.every(has);
  if (isDone || all.size <= maxProperties) return undefined;
  return blocked(
    'TooManyProperties',
    `image ${image.id} would have ${all.size} properties, and at most ${maxProperties} leave room for the marks of the operator ` +
      'and the properties of Glance itself: nothing was changed',
  );
}

/** Glance never changes the formats of an image that has its data. With content, they are compared with it. */
function otherFormats({ content, formats }: Desired, image: Image): Choice | undefined {
  if (content !== undefined || image.status === 'queued') return undefined;
  const { diskFormat = image.diskFormat, containerFormat = image.containerFormat } = formats;
  if (diskFormat === image.diskFormat && containerFormat === image.containerFormat) return undefined;
  return blocked(
    'ContentDiffers',
    `image ${image.id} has the formats ${image.diskFormat} and ${image.containerFormat}, declared are ${diskFormat} and ${containerFormat}, ` +
      'and Glance changes neither once an image has its data',
  );
}

function otherContent(desired: Desired, image: Image, memory: Memory, now: Date): Choice | undefined {
  const stage = stageOf(image, desired, memory, now);
  if (stage.kind !== 'useless') return undefined;
  const { content, binding } = desired;
  const verdict = verify(content, binding, image, findingOf(memory, image.id, binding));
  const left = `image ${image.id} is left as it is: ${stage.why}`;
  return blocked(verdict.kind === 'unverifiable' ? 'NotVerifiable' : 'ContentDiffers', left);
}

/** The content that the image was compared with first is what people say that it has. */
function isNewContent({ fingerprint }: Desired, { adoptedContent }: Memory): boolean {
  return fingerprint !== undefined && adoptedContent !== undefined && adoptedContent !== fingerprint;
}

/** Without an image that is not ours, although others have taken its place: nothing is known of it, so it is left alone. */
export function considered({ revisions }: Observed): readonly Revision[] {
  if (revisions.length === 1) return revisions;
  return revisions.filter(({ ownership }) => ownership.kind !== 'adopted' || ownership.isTaken);
}

/** Writes the marks and nothing else. */
function claim({ image: { properties = {} } }: Desired, image: Image): Choice {
  const marks = Object.fromEntries(Object.entries(properties).filter(([key]) => markProperties.includes(key)));
  const operations = diffImage(image, { properties: marks }, { purge: false, keep: () => true });
  return step({ kind: 'patch', image, operations, keys: [], adopts: true });
}

/** What the operator remembers of the image that it takes over. */
export function withAdopted(memory: Memory, { revisions }: Observed, desired: Desired, now: Date): Memory {
  const revision = revisions.find(({ image }) => image.id === desired.adopts);
  if (revision?.ownership.kind !== 'adopted') return memory;
  const { image } = revision;
  const stage = stageOf(image, desired, memory, now).kind;
  const isCompared = stage === 'right' || stage === 'useless';
  const content = memory.adoptedContent ?? (isCompared ? desired.fingerprint : undefined);
  return {
    ...memory,
    ...(isMarked(revision) ? { adopted: image.id } : {}),
    ...(content === undefined ? {} : { adoptedContent: content }),
  };
}

/** Of an image that another one was to replace, or has replaced. */
const addition = / \((?:pending|replaced) [0-9a-f]{8}\)$/;

/** The declaration with each undeclared attribute as the image to use has it. */
export function withLeftAlone(desired: Desired, { observed: { revisions }, memory }: State): Desired {
  const named = (id: string | undefined) => revisions.find(({ image }) => image.id === id)?.image;
  const image = named(memory.promoted) ?? named(desired.adopts);
  if (desired.leftAlone.length === 0 || image === undefined) return desired;
  const name = image.name?.replace(addition, '') ?? desired.image.name;
  const containerFormat = image.containerFormat ?? desired.image.containerFormat;
  const { visibility, protected: isProtected, hidden, minDiskGiB, minRAMMiB, tags } = image;
  const present = { name, visibility, protected: isProtected, hidden, minDiskGiB, minRAMMiB, tags, containerFormat };
  const kept = Object.fromEntries(desired.leftAlone.map((field) => [field, present[field]]));
  return { ...desired, image: { ...desired.image, ...kept } };
}

/** Undeclared properties of a new image: those of the image before, which its users rely on. */
export function inherited(desired: Desired, { observed: { revisions }, memory }: State): Record<string, JsonValue> {
  const image = revisions.find(({ image: { id } }) => id === (memory.promoted ?? desired.adopts))?.image;
  if (desired.adopts === undefined || desired.purge || image === undefined) return {};
  const isCopied = (key: string) =>
    isPatchable(key) &&
    reservedPropertyReason(key) === undefined &&
    !markProperties.includes(key) &&
    !memory.propertyKeys.includes(key);
  return Object.fromEntries(Object.entries(image.properties).filter(([key]) => isCopied(key)));
}

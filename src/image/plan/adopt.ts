/**
 * An image that existed before its resource and is taken over: `import.id` with managementPolicy Manage.
 *
 * Invariants: pure. Attributes that are not declared stay as the image has them. Its data is compared, or read back, and never assumed.
 * An image with other data than the declared is reported, and is replaced only once another content is declared.
 */
import { maxProperties } from '../../api/spec.ts';
import type { Image } from '../../glance/image.ts';
import { diffImage } from '../../glance/patch.ts';
import { isPatchable, reservedPrefix, reservedPropertyReason } from '../../glance/property-names.ts';
import type { JsonValue } from '../../openstack/json.ts';
import { type Desired, keepsProperty, nameBefore } from '../model/desired.ts';
import { contentMark, fingerprintOn, isDeclaredAlike } from '../model/fingerprint.ts';
import { clusterProperty, contentProperty, markProperties, ownerProperty } from '../model/identity.ts';
import { type Memory, msSince } from '../model/memory.ts';
import { isOurs } from '../model/ownership.ts';
import { longestSavingMs, type Observed, type Revision, stageOf, verdictOn } from '../model/revisions.ts';
import type { State } from '../model/step.ts';
import type { Verdict } from '../model/verify.ts';
import { blocked, type Choice, compare, followedBy, step } from './scene.ts';
import { fromCluster, markOfTakeover } from './takeover.ts';

/** What prevents the adoption, or comes before everything else; undefined: the image is like one that the operator created. */
export function adoption(desired: Desired, state: State, now: Date): Choice | undefined {
  const { adopts } = desired;
  const { observed, memory } = state;
  if (adopts === undefined) return undefined;
  const others = observed.revisions.filter(({ image }) => image.id !== adopts);
  const revision = observed.revisions.find(({ image }) => image.id === adopts);
  // Another one has taken its place.
  if (revision === undefined && others.length > 0) return undefined;
  if (revision === undefined) return wasReplaced(desired, memory) ? undefined : missing(adopts, memory);
  const { image, ownership } = revision;
  if (ownership.kind === 'foreign') {
    return memory.adopted === adopts ? undefined : blocked('NotAdoptable', notAdoptable(image, ownership.why));
  }
  if (others.length > 0) return undefined;
  const many = tooMany(desired, image, memory, now);
  // Also an image with other data: the operator of the other cluster would go on with it.
  const marking = many === undefined ? markOfTakeover(desired, observed) : undefined;
  if (marking !== undefined) return step(marking);
  if (image.status === 'queued' && desired.content === undefined) return withoutData(image);
  const problem = many ?? otherFormats(desired, image);
  if (problem !== undefined) return problem;
  const difference = otherContent(desired, image, memory, now);
  if (difference === undefined) return undefined;
  if (difference.isFinal || !isNewContent(desired, memory)) return difference.choice;
  return isMarked(revision) ? undefined : claim(desired, image);
}

function isMarked({ ownership }: Revision): boolean {
  return ownership.kind === 'adopted' && ownership.isMarked;
}

/** By an image that the operator made, and makes again, because its attributes are declared or remembered. */
function wasReplaced(desired: Desired, memory: Memory): boolean {
  const isKnown = desired.leftAlone.length === 0 || memory.leftAlone !== undefined;
  return memory.adopted === desired.adopts && isNewContent(desired, memory) && isKnown;
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
    case 'project': {
      const whose = owner === null ? 'has no owner' : `belongs to project ${owner}`;
      return (
        `${is}, because it ${whose}, and only an image of the project of the credentials, or of the project that spec.image.owner names, ` +
        'can be taken over'
      );
    }
    case 'cluster':
      return `${is}, because it bears the mark of cluster ${JSON.stringify(properties[clusterProperty])}. ${fromCluster}`;
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
  const has = (key: string) => Object.hasOwn(image.properties, key);
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
    `image ${image.id} has the formats ${image.diskFormat} and ${image.containerFormat}, but ${diskFormat} and ${containerFormat} are declared, ` +
      'and Glance changes neither once an image has its data',
  );
}

/** `isFinal`: another content would not change it. */
type Difference = { choice: Choice; isFinal: boolean };

function otherContent(desired: Desired, image: Image, memory: Memory, now: Date): Difference | undefined {
  const stage = stageOf(image, desired, memory, now);
  if (stage.kind !== 'useless') return undefined;
  if (isMoving(image, memory, now)) {
    const why = `its data is being uploaded (${image.status}), and is compared after that`;
    return { choice: followedBy({ kind: 'wait', image, phase: 'Waiting', why, ms: dataPollMs }), isFinal: true };
  }
  const verdict = verdictOn(image, desired, memory);
  if (image.status === 'deactivated' && !isComparison(verdict)) return { choice: frozen(image), isFinal: true };
  const left = `image ${image.id} is left as it is: ${stage.why}`;
  const code = verdict.kind === 'unverifiable' ? 'NotVerifiable' : 'ContentDiffers';
  return { choice: blocked(code, left), isFinal: false };
}

/** Other data than the declared one comes into it. An upload of the operator itself that never ends counts as failed. */
function isMoving({ id, status, properties }: Image, { interrupted }: Memory, now: Date): boolean {
  if (!['saving', 'uploading', 'importing'].includes(status)) return false;
  const elapsedMs = interrupted?.imageID === id ? msSince(interrupted.at, now) : 0;
  return properties[contentProperty] === undefined || elapsedMs < longestSavingMs;
}

function isComparison({ kind }: Verdict): boolean {
  return kind === 'right' || kind === 'wrong' || kind === 'unverifiable';
}

function frozen({ id }: Image): Choice {
  const message =
    `image ${id} is deactivated in Glance, so its data cannot be read and compared with the declared content, and it is left as it is: ` +
    'an administrator of the cloud can reactivate it';
  return blocked('Deactivated', message);
}

/**
 * The content that the image was compared with first is what people say that it has. Another file of its publisher is no other content,
 * unless the image had what was declared.
 */
function isNewContent({ fingerprint, declaration }: Desired, { adoptedContent }: Memory): boolean {
  if (fingerprint === undefined || adoptedContent === undefined) return false;
  return !isDeclaredAlike(adoptedContent, fingerprint, declaration);
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
  // What the image bears at first may be of another resource.
  const before = memory.adoptedContent ?? (memory.adopted === undefined ? contentIn(revision) : undefined);
  const compared = comparedWith(image, desired, memory, now);
  const content = compared?.isRight === true ? compared.content : (before ?? compared?.content);
  return {
    ...memory,
    ...(isMarked(revision) ? { adopted: image.id } : {}),
    ...(content === undefined ? {} : { adoptedContent: content }),
  };
}

/** The content that the image was found to have, where the memory of it is lost. */
function contentIn(revision: Revision): string | undefined {
  return isMarked(revision) ? fingerprintOn(revision.image) : undefined;
}

/** `content`: of wrong data with the declaration of its publisher, who may have another file later. */
function comparedWith(
  image: Image,
  desired: Desired,
  memory: Memory,
  now: Date,
): { content: string; isRight: boolean } | undefined {
  const { fingerprint, declaration } = desired;
  const stage = stageOf(image, desired, memory, now);
  if (fingerprint === undefined) return undefined;
  if (stage.kind === 'right') return { content: fingerprint, isRight: true };
  if (stage.kind !== 'useless' || isMoving(image, memory, now)) return undefined;
  const verdict = verdictOn(image, desired, memory);
  const isCompared = image.status === 'killed' || isComparison(verdict);
  return isCompared ? { content: contentMark(fingerprint, declaration), isRight: false } : undefined;
}

/** Of an image that was to replace another one, or that another one has replaced. */
const addition = / \((pending|replaced) [0-9a-f]{8}\)$/;

/** The declaration with each undeclared attribute as the image to use has it. */
export function withLeftAlone(desired: Desired, { observed: { revisions }, memory }: State): Desired {
  const named = (id: string | undefined) => revisions.find(({ image }) => image.id === id)?.image;
  const promoted = named(memory.promoted);
  const image = promoted ?? mostPresentable(revisions) ?? named(desired.adopts);
  if (desired.leftAlone.length === 0 || image === undefined) return desired;
  const { visibility, name, hidden, tags } = {
    ...image,
    ...(promoted === undefined
      ? (memory.leftAlone ?? presentable(image, desired))
      : { name: promoted.name?.replace(addition, '') }),
  };
  const containerFormat = image.containerFormat ?? desired.image.containerFormat;
  const { protected: isProtected, minDiskGiB, minRAMMiB } = image;
  const present = {
    name: name ?? desired.image.name,
    visibility,
    protected: isProtected,
    hidden,
    minDiskGiB,
    minRAMMiB,
    owner: image.owner ?? desired.image.owner,
    tags,
    containerFormat,
  };
  const kept = Object.fromEntries(desired.leftAlone.map((field) => [field, present[field]]));
  return { ...desired, image: { ...desired.image, ...kept } };
}

/** The attributes of an image from before it was hidden and named as one that is pending, or that was replaced. */
function presentable(image: Image, desired: Desired): { name: string | undefined; hidden: boolean; tags: string[] } {
  const { hidden, tags } = image;
  const retired = hidden === desired.retired.hidden && tags.length === 0 ? nameBefore(desired, image) : undefined;
  const name = (retired ?? image.name)?.replace(addition, '');
  const isPending = addition.exec(image.name ?? '')?.[1] === 'pending';
  return { name, hidden: hidden && !isPending && retired === undefined, tags: [...tags] };
}

/** The image to use, where the memory of it is lost: one that is pending or was replaced is hidden, or has a longer name. */
function mostPresentable(revisions: readonly Revision[]): Image | undefined {
  const rank = ({ hidden, name }: Image) => [Number(hidden), Number(addition.test(name ?? '')), name?.length ?? 0];
  const [best] = revisions
    .flatMap(({ ownership, image }) => (isOurs(ownership) ? [image] : []))
    .sort((a, b) => compare(rank(a), rank(b)));
  return best;
}

/** The memory with what an image looks like that is about to be replaced. */
export function withRecord(memory: Memory, { adopts, leftAlone, image }: Desired): Memory {
  if (adopts === undefined || leftAlone.length === 0) return memory;
  const { name, hidden, tags = [], visibility } = image;
  return { ...memory, leftAlone: { name, hidden, tags: [...tags], visibility } };
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

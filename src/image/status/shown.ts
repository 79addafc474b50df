/**
 * What a status shows of the images of a resource: the one to use with its data and its members, and the revisions.
 *
 * Invariants: pure; everything that is shown of one image is of the image that `status.imageID` names, where there is one.
 */
import { rfc3339 } from '../../api/conditions.ts';
import type { GlanceImageStatus, SeenImage } from '../../api/status.ts';
import { dateOf } from '../../glance/image.ts';
import { compact } from '../../lib/compact.ts';
import { digestIn } from '../model/fingerprint.ts';
import { numberOf } from '../model/identity.ts';
import { isRetired, type Memory, verifiedAs } from '../model/memory.ts';
import type { Report } from '../model/report.ts';
import type { Observed, Revision } from '../model/revisions.ts';
import { hashOf } from '../model/verify.ts';
import { seen } from './seen.ts';

type Learned = Pick<Report, 'memory' | 'observed' | 'content'>;
type ShownRevision = NonNullable<GlanceImageStatus['revisions']>[number];
type Shown = Pick<GlanceImageStatus, 'imageID' | 'image' | 'content' | 'revisions' | 'members'>;

export function shownOf(learned: Learned, previous: GlanceImageStatus, now: Date): Shown {
  const { observed, memory } = learned;
  return {
    imageID: memory.promoted,
    image: imageOf(learned, previous, now),
    content: withShortDigest(shownContent(learned, previous)),
    revisions: observed === undefined ? withUnseen(previous.revisions, memory) : revisionsOf(observed, memory),
    members: membersOf(learned, previous),
  };
}

/** Twelve hex digits are enough to recognise a digest in a column. */
function withShortDigest(content: GlanceImageStatus['content']): GlanceImageStatus['content'] {
  if (content === undefined) return undefined;
  return { ...content, shortDigest: content.digest.slice(content.digest.indexOf(':') + 1).slice(0, 12) };
}

/** The verified data of an image of this resource. It does not outlive its image. */
export function shownContent({ content, memory }: Learned, previous: GlanceImageStatus): GlanceImageStatus['content'] {
  const known = [content, previous.content].filter((one) => one !== undefined && memory.images.includes(one.imageID));
  const { promoted } = memory;
  if (promoted === undefined || known.length === 0) return known[0];
  return known.find((one) => one?.imageID === promoted) ?? rolledBack(promoted, memory);
}

/** An earlier revision is the one to use again. Only its digests are known still. */
function rolledBack(imageID: string, memory: Memory): GlanceImageStatus['content'] {
  const found = verifiedAs(memory, imageID);
  const digest = found && (digestIn(found.fingerprint) ?? found.hash);
  return digest === undefined ? undefined : compact({ imageID, digest, imageDigest: found?.hash, size: found?.size });
}

/** The image to use; before there is one, the one that is to become it. */
function shownRevision({ revisions }: Observed, { promoted }: Memory): Revision | undefined {
  return revisions.find(({ image }) => image.id === promoted) ?? revisions.at(-1);
}

/** A foreign one is shown as it was before, unless the image before was another one, which was only observed. */
function imageOf({ observed, memory }: Learned, previous: GlanceImageStatus, now: Date): SeenImage | undefined {
  if (observed === undefined) return previous.image;
  const shown = shownRevision(observed, memory);
  if (shown === undefined) return undefined;
  if (shown.ownership.kind === 'foreign') return wasShown(shown.image.id, memory) ? previous.image : undefined;
  return seen(shown.image, previous.image, now);
}

function wasShown(id: string, { images, observed }: Memory): boolean {
  return observed === undefined || observed === id || images.includes(id);
}

/** Of the same image as `image`. */
function membersOf({ observed, memory }: Learned, previous: GlanceImageStatus): GlanceImageStatus['members'] {
  if (memory.members === undefined) return undefined;
  const shown = observed && shownRevision(observed, memory);
  if (shown === undefined) return previous.members;
  if (shown.image.visibility !== 'shared') return undefined;
  return shown.members?.map(({ project, status }) => ({ project, status })) ?? previous.members;
}

function revisionsOf({ revisions }: Observed, memory: Memory): GlanceImageStatus['revisions'] {
  const ours = revisions.filter(({ ownership }) => ownership.kind === 'created' || ownership.kind === 'adopted');
  if (ours.length === 0) return undefined;
  return ours.map(({ number, image }) => {
    const found = verifiedAs(memory, image.id);
    const digest = found && digestIn(found.fingerprint);
    const retired = memory.retired?.find(({ imageID }) => imageID === image.id);
    return compact({
      number,
      imageID: image.id,
      digest,
      hash: hashOf(image),
      state: revisionState(image.id, memory),
      createdAt: rfc3339(dateOf(image.createdAt)),
      retiredAt: retired && rfc3339(new Date(retired.at)),
    });
  });
}

/** An image whose transfer started a moment ago was not looked at since. */
function withUnseen(before: GlanceImageStatus['revisions'], memory: Memory): GlanceImageStatus['revisions'] {
  const shown = new Set(before?.map(({ imageID }) => imageID));
  const unseen = memory.images.filter((id) => !shown.has(id));
  const known = before?.map((one) => withKnownState(one, memory));
  if (unseen.length === 0) return known;
  return [
    ...(known ?? []),
    ...unseen.map((imageID) => ({
      number: numberOf(memory.uid, imageID, memory.next) ?? 0,
      imageID,
      state: revisionState(imageID, memory),
    })),
  ].slice(-64);
}

/** Which one is to be used is known without another look. */
function withKnownState(one: ShownRevision, memory: Memory): ShownRevision {
  const isCurrent = one.imageID === memory.promoted;
  return isCurrent === (one.state === 'Current') ? one : { ...one, state: revisionState(one.imageID, memory) };
}

function revisionState(id: string, memory: Memory) {
  const { promoted, published, inUse = [] } = memory;
  if (id === promoted) return 'Current' as const;
  if (inUse.some(({ imageID }) => imageID === id)) return 'InUse' as const;
  const isReplaced = isRetired(memory, id) || (published.includes(id) && promoted !== undefined);
  return isReplaced ? ('Retired' as const) : ('Pending' as const);
}

/**
 * The digest that was pinned before the status was lost: the image of the resource has it in its fingerprint.
 *
 * Invariant: only an image that was made for the present declaration counts, whose source included, and the one with the highest number
 * of several; its data is verified as that of every image without a memory. Without one, the publisher is read again. A younger image that
 * was not the one to use yet is that of a newer file, which goes on to be made.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { finalizer, identityAnnotation } from '../../api/group.ts';
import { contentOf } from '../model/content.ts';
import { isPending } from '../model/desired.ts';
import { declarationOn, digestIn, fingerprintOf, fingerprintOn } from '../model/fingerprint.ts';
import type { Revision } from '../model/revisions.ts';
import { observeAll } from '../observe/observe.ts';
import type { PinnedSource } from '../publishers/candidates.ts';
import { declarationOf, type Pinning, recovered, recoveredCandidate } from '../publishers/resolution.ts';
import { openCloud } from './open.ts';
import { isWorkedOn, type Pass, type ReconcileContext } from './pass.ts';
import { performContext } from './perform-context.ts';

/** Whether the images may have to be searched, because the status says nothing of a digest. */
export function mayBeLost({ metadata, status: { source, operation } }: GlanceImage): boolean {
  const wasGuarded = metadata.finalizers.includes(finalizer) || metadata.annotations[identityAnnotation] !== undefined;
  return source === undefined && operation === undefined && wasGuarded;
}

/** Whether what was pinned has to be found before anything else counts. */
export function isUnpinned(pass: Pass): boolean {
  const { pinning, resource, memory, newerVersion } = pass;
  const isIdle = resource.metadata.deletionTimestamp !== undefined || resource.spec.suspend;
  if (isIdle || newerVersion !== undefined) return false;
  // A memory that knows the image to use was not lost: that image is of a declaration before, which named another digest.
  const isKnown = memory.promoted !== undefined;
  return pinning.kind !== 'declared' && resource.status.source === undefined && !isKnown && isWorkedOn(pass);
}

/** What was pinned; undefined if no image has it. `again`: as from `openCloud`. Rejects if Glance does not respond. */
export async function recover(pass: Pass, context: ReconcileContext): Promise<Pinning | 'again' | undefined> {
  const { cloud: opened } = await openCloud(pass, context);
  if (!opened.ok) throw opened.error;
  if (opened.value === undefined) return 'again';
  const look = performContext(pass, undefined, opened.value, context);
  const { observed } = await observeAll(look, pass.memory, opened.value.place);
  const { candidates } = context.following;
  const found = pinningIn(pass, observed.revisions, candidates.current(pass.key), context.clock.now());
  // Where its image is not found, the newer file waits until the current one is verified.
  candidates.forget(pass.key);
  if (found?.kind === 'candidate') candidates.make(pass.key, found.source);
  return found;
}

/** `made`: the newer file whose image was being made, as far as this process knows. */
export function pinningIn(
  { pinning: { declared } }: Pick<Pass, 'pinning'>,
  revisions: readonly Revision[],
  made: PinnedSource | undefined,
  now: Date,
): Pinning | undefined {
  const newestFirst = revisions
    .filter(({ ownership, image }) => ownership.kind !== 'foreign' && image.status !== 'killed')
    .sort((a, b) => rankOf(b) - rankOf(a) || b.number - a.number);
  for (const revision of newestFirst) {
    const digest = digestOf(revision);
    const pinning = digest === undefined ? undefined : recovered(declared, digest, now);
    if (pinning === undefined || !isMadeFor(pinning, revision)) continue;
    const younger = newestFirst.find((one) => one.number > revision.number && isPending(one.image));
    const newer = younger && digestOf(younger);
    const candidate = newer === undefined ? undefined : recoveredCandidate(pinning, newer, made, now);
    const isOfOne = younger !== undefined && candidate !== undefined && isMadeFor(candidate, younger);
    return isOfOne && newer !== digest ? candidate : pinning;
  }
  return undefined;
}

function digestOf({ image }: Revision): string | undefined {
  const fingerprint = fingerprintOn(image);
  return fingerprint && digestIn(fingerprint);
}

function isMadeFor(pinning: Pinning, { image }: Revision): boolean {
  const content = contentOf(pinning.resource);
  if (content === undefined || declarationOn(image) !== declarationOf(pinning)) return false;
  return fingerprintOf(content) === fingerprintOn(image);
}

/** An image that may be in use, also if it is deactivated, rather than one that was to follow it. */
function rankOf({ image: { status, hidden } }: Revision): number {
  const hasData = status === 'active' || status === 'deactivated';
  return hasData && !hidden ? 2 : hasData ? 1 : 0;
}

/** Steps for the images that are not the one to use: they are deleted, or hidden and renamed while they are in use. */
import type { Image } from '../../glance/image.ts';
import { diffImage } from '../../glance/patch.ts';
import { compact } from '../../lib/compact.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { type Desired, retiredName } from '../model/desired.ts';
import { clusterProperty, ownerProperty } from '../model/identity.ts';
import { isRetired, msSince } from '../model/memory.ts';
import { expiredOf, inUseMs, wasVerified } from '../model/retention.ts';
import type { Next, PlanStep } from '../model/step.ts';
import { mayBeShown } from './publication.ts';
import { type Choice, isContested, type Judged, type Scene, step } from './scene.ts';

/** It is not needed, and no consumer knows it. */
export function isLeftover({ stage, isPublished }: Judged, chosen: Judged | undefined): boolean {
  return !isPublished && (stage.kind === 'useless' || stage.kind === 'empty' || chosen?.stage.kind === 'right');
}

export function removal({ desired }: Scene, { image, stage }: Judged, chosen: Judged | undefined): Choice {
  const why = stage.kind === 'useless' ? stage.why : 'another image takes its place';
  // One that is hidden, and that no status has named as the one to use, has no servers: they are made from verified images.
  const removed: PlanStep = {
    kind: 'delete',
    image,
    why,
    ...(isBootable(image) ? { unlessInUse: true as const } : {}),
  };
  if (stage.kind !== 'useless') return step(removed);
  if (!stage.byUs || chosen !== undefined) return step(removed);
  // Another one would get the same data, so the failure is reported first.
  return { ...step(removed), final: rejection(desired, image, stage.why, stage.code) };
}

function isBootable({ status, hidden }: Image): boolean {
  return !hidden && (status === 'active' || status === 'deactivated');
}

function rejection({ content }: Desired, { id }: Image, why: string, code: ErrorCode | undefined): Next {
  const isFetched = content?.method === 'WebDownload';
  const message = isFetched
    ? `Glance imported a file into image ${id}, and ${why}; the image was deleted`
    : `image ${id} was deleted, because ${why}`;
  return { kind: 'blocked', code: code ?? (isFetched ? 'DigestMismatch' : 'UploadMismatch'), message };
}

/** The next step for images that were replaced. One that goes and is in use looks like one that stays. */
export function retire(scene: Scene, others: readonly Judged[]): Choice | undefined {
  const { desired, state, now } = scene;
  const expired = expiredOf(others, desired.retention, state.memory, now);
  for (const other of others) {
    const decision = expired.includes(other) ? expire(scene, other) : withdraw(scene, other);
    if (decision !== undefined) return decision;
  }
  return undefined;
}

/** Deletes images that have been kept long enough, also while the next image is not complete. */
export function expireOld(scene: Scene, chosen: Judged | undefined): Choice | undefined {
  const { desired, state, judged, now } = scene;
  if (!judged.some(({ isInUse }) => isInUse)) return undefined;
  const old = judged.filter((one) => one !== chosen && isRetired(state.memory, one.image.id));
  const deletable = expiredOf(old, desired.retention, state.memory, now).find((one) => mayGo(scene, one));
  return deletable && deletion(deletable);
}

/**
 * How many images that are to be deleted may exist while another one is made. Next to them there is room for those that are kept, so that
 * `mostImages` is never reached.
 */
const mostHeld = 16;

/** Why no further image is made: those that were replaced cannot be deleted. */
export function heldUp({ desired, state, judged, now }: Scene): string | undefined {
  const old = judged.filter(({ image }) => isRetired(state.memory, image.id));
  const expired = expiredOf(old, desired.retention, state.memory, now);
  if (expired.length < mostHeld) return undefined;
  const ids = expired.map(({ image }) => image.id);
  const held = state.memory.inUse?.filter(({ imageID }) => ids.includes(imageID)) ?? [];
  const unknown = held.find(({ isUnknown }) => isUnknown === true);
  const [first] = held;
  const why =
    unknown !== undefined
      ? `it is not known whether servers use them (${unknown.imageID}: ${unknown.why}). Let the credentials list the servers of ` +
        'their project in Nova, and check that the catalog has an endpoint of Nova for the configured interface and region'
      : first !== undefined
        ? `they are in use (${first.imageID}: ${first.why}). Rebuild, or delete, the servers and volumes that were made from them`
        : 'the ConfigMap of this resource may still show them, and cannot be read. Give the operator the right to read it, or remove spec.publish';
  return (
    `${expired.length} revisions that were replaced could not be deleted, so no further one is made, and the current one stays: ${why}. ` +
    'The operator looks at each of them again every hour. One that you know to be unused can be deleted with `openstack image delete`; ' +
    'status.revisions names them'
  );
}

function expire(scene: Scene, one: Judged): Choice | undefined {
  return mayGo(scene, one) ? deletion(one) : withdraw(scene, one);
}

function mayGo(scene: Scene, one: Judged): boolean {
  return !isAskedLately(scene, one) && !mayBeShown(one.image.id, scene.state.observed);
}

function deletion({ image }: Judged): Choice {
  return step({
    kind: 'delete',
    image,
    why: 'another image with the declared data has replaced it',
    unlessInUse: true,
  });
}

function isAskedLately({ state, now }: Scene, { image }: Judged): boolean {
  const inUse = state.memory.inUse?.find(({ imageID }) => imageID === image.id);
  return inUse !== undefined && msSince(inUse.at, now) < inUseMs;
}

/** Each can be seen by more projects than the one before. */
const narrowestFirst = ['private', 'shared', 'community', 'public'];

/** No replaced image is visible to more projects than the declaration allows. */
function narrowed({ image: { visibility }, leftAlone }: Desired, image: Image): { visibility?: string } {
  if (leftAlone.includes('visibility')) return {};
  return narrowestFirst.indexOf(image.visibility) > narrowestFirst.indexOf(visibility) ? { visibility } : {};
}

/** Gives way to the image that has replaced it, and keeps its marks. Data that was never verified stays hidden. */
function withdraw({ desired, state, now }: Scene, { image, number }: Judged): Choice | undefined {
  const { memory } = state;
  const hidden = desired.retired.hidden || !wasVerified(image, memory);
  // Its protection is put back after a deletion that Glance rejected.
  const protection = desired.image.protected ? { protected: true } : {};
  const { [ownerProperty]: owner, [clusterProperty]: cluster } = desired.image.properties ?? {};
  const properties = isContested(memory, now) ? {} : compact({ [ownerProperty]: owner, [clusterProperty]: cluster });
  const name = retiredName(desired, image, number);
  const wanted = { name, hidden, tags: [], ...protection, ...narrowed(desired, image), properties };
  const operations = diffImage(image, wanted, { purge: false, keep: () => true });
  return operations.length === 0 ? undefined : step({ kind: 'patch', image, operations, keys: [] });
}

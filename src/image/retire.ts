/** Steps for the images that are not the one to use: they are deleted, or hidden and renamed while they are in use. */
import type { Image } from '../glance/image.ts';
import { diffImage } from '../glance/patch.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { type Desired, retiredName } from './desired.ts';
import { isRetired, msSince } from './memory.ts';
import { expiredOf, inUseMs, wasVerified } from './retention.ts';
import { type Choice, type Judged, type Scene, step } from './scene.ts';
import type { Next, PlanStep } from './step.ts';

/** It is not needed, and no consumer knows it. */
export function isLeftover({ stage, isPublished }: Judged, chosen: Judged | undefined): boolean {
  return !isPublished && (stage.kind === 'useless' || stage.kind === 'empty' || chosen?.stage.kind === 'right');
}

export function removal({ desired }: Scene, { image, stage }: Judged, chosen: Judged | undefined): Choice {
  if (stage.kind !== 'useless') return step({ kind: 'delete', image, why: 'another image takes its place' });
  const removed: PlanStep = { kind: 'delete', image, why: stage.why };
  if (!stage.byUs || chosen !== undefined) return step(removed);
  // Another one would get the same data, so the failure is reported first.
  return { ...step(removed), final: rejection(desired, image, stage.why, stage.code) };
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
  for (const one of expiredOf(old, desired.retention, state.memory, now)) {
    if (!isAskedLately(scene, one)) return deletion(one);
  }
  return undefined;
}

function expire(scene: Scene, one: Judged): Choice | undefined {
  return isAskedLately(scene, one) ? withdraw(scene, one) : deletion(one);
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

/** Gives way to the image that has replaced it. Data that was never verified stays hidden. */
function withdraw({ desired, state }: Scene, { image, number }: Judged): Choice | undefined {
  const hidden = desired.retired.hidden || !wasVerified(image, state.memory);
  const wanted = { name: retiredName(desired, image, number), hidden, tags: [] };
  const operations = diffImage(image, wanted, { purge: false, keep: () => true });
  return operations.length === 0 ? undefined : step({ kind: 'patch', image, operations, keys: [] });
}

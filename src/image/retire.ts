/** Steps for the images that are not the one to use: they are deleted, or hidden and renamed while they are in use. */
import type { Image } from '../glance/image.ts';
import { diffImage } from '../glance/patch.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { type Desired, retiredName } from './desired.ts';
import { msSince } from './memory.ts';
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

/** How long an image that is in use is left alone. */
const inUseMs = 3_600_000;

/** Deletes an image that was replaced; one that is in use is hidden and renamed. */
export function retire({ desired, state, now }: Scene, { image }: Judged): Choice | undefined {
  const inUse = state.memory.inUse?.find(({ imageID }) => imageID === image.id);
  if (inUse === undefined || msSince(inUse.at, now) >= inUseMs)
    return step({ kind: 'delete', image, why: 'another image with the declared data has replaced it' });
  const wanted = { name: retiredName(desired, image.id), hidden: true, tags: [] };
  const operations = diffImage(image, wanted, { purge: false, keep: () => true });
  return operations.length === 0 ? undefined : step({ kind: 'patch', image, operations, keys: [] });
}

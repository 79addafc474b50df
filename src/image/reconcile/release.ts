/**
 * Deletion of a resource: first its images, unless they are abandoned or retained, then its finalizer.
 *
 * Invariants: every image of the resource is deleted, also one whose creation was never recorded; nothing that is not ours is
 * touched, whatever protects our own.
 */
import { withDefaults } from '../../api/defaults.ts';
import { abandonAnnotation } from '../../api/group.ts';
import { OperatorError } from '../../lib/errors.ts';
import type { CloudPlace } from '../access/clouds.ts';
import { imageIDOf } from '../model/identity.ts';
import type { Memory } from '../model/memory.ts';
import { isOurs } from '../model/ownership.ts';
import type { Change, Report } from '../model/report.ts';
import type { State } from '../model/step.ts';
import { mayBeRequested, observeAll, onItsWayMs } from '../observe/observe.ts';
import { type PerformContext, perform } from '../perform/perform.ts';
import { useUpNext } from '../perform/use-up.ts';
import { changeOfForeign, deletionEvents } from '../status/events.ts';
import { openCloud } from './open.ts';
import { failed, newerOperator, outcome, type Pass, type Reached, type ReconcileContext, withReport } from './pass.ts';
import { performContext } from './perform-context.ts';
import { retain } from './retain.ts';

/** Deals with the images of a resource that is being deleted. */
export async function release(pass: Pass, context: ReconcileContext): Promise<Reached> {
  const { resource, memory } = pass;
  const { resources } = context;
  // A late cache may show an earlier deletionPolicy, another cloud, or an annotation that was removed. Nothing can be undone afterwards.
  const confirmation = await resources.confirm(resource, context.grace);
  if (confirmation === 'gone') return outcome({ kind: 'awaitChange' });
  if (confirmation === 'outdated') return outcome({ kind: 'requeue' });
  if (resource.metadata.annotations[abandonAnnotation] === 'true') {
    resources.event(
      resource,
      'Warning',
      'Abandoned',
      `abandoned by annotation; ${imagesOf(pass)} may still exist in Glance`,
    );
    return { kind: 'released' };
  }
  // Nothing of it is in Glance.
  if (resource.spec.managementPolicy === 'Observe') return { kind: 'released' };
  if (withDefaults(resource.spec).deletionPolicy === 'Retain') return retain(pass, context);
  if (pass.newerVersion !== undefined) return failed(pass, newerOperator(pass.newerVersion), context);
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok) return failed(pass, opened.error, context, { secret });
  const cloud = opened.value;
  if (cloud === undefined) return outcome({ kind: 'requeue' });
  const deleted = await deleteImages(memory, cloud.place, performContext(pass, undefined, cloud, context, true));
  const learned = { secret, memory: deleted.memory, changes: deleted.changes };
  if (deleted.doubtMs !== undefined) return waiting(learned, deleted.doubtMs);
  if (deleted.error !== undefined) return failed(pass, deleted.error, context, learned);
  for (const { type, reason, note } of deletionEvents(deleted.changes)) resources.event(resource, type, reason, note);
  return { kind: 'released' };
}

/** Once an image is deleted, the memory alone says which one may still appear. */
function waiting(learned: Omit<Report, 'end'>, ms: number): Reached {
  const { memory, changes } = learned;
  if (changes.length === 0) return outcome({ kind: 'requeueAfter', afterMs: ms });
  const why = 'an earlier request may have created it, and Glance may not show it yet';
  const imageID = imageIDOf(memory.uid, memory.next);
  return withReport({ ...learned, end: { kind: 'waiting', phase: 'Waiting', imageID, why, ms } });
}

interface Deleted {
  memory: Memory;
  changes: readonly Change[];
  /** Absent: no image of ours is left. */
  error?: unknown;
  /** One that may still appear, in ms. */
  doubtMs?: number;
}

/** An upload that is just being cut off may let an image appear late. */
const mostLooks = 4;

async function deleteImages(memory: Memory, here: CloudPlace, context: PerformContext): Promise<Deleted> {
  const changes: Change[] = [];
  let seen = await observeAll(context, memory, here);
  const isRequested = mayBeRequested(memory, seen);
  const kept = (now: Memory) => (isRequested ? { ...now, incomplete: true as const } : now);
  for (let looks = 1; looks <= mostLooks; looks++) {
    const ours = seen.observed.revisions.filter(({ ownership }) => isOurs(ownership));
    const doubtMs = Math.max(seen.doubtMs, onItsWayMs(context, seen.memory));
    // Once the others are deleted and forgotten, so would be the one that may still appear.
    if (doubtMs > 0) return { memory: kept(seen.memory), changes, doubtMs };
    let state: State = { observed: seen.observed, memory: seen.memory };
    for (const { image } of ours) {
      const performed = await perform(
        { kind: 'delete', image, why: 'its resource was deleted', mustGo: true },
        state,
        context,
      );
      if (performed.kind === 'gone' || performed.kind === 'outdated') throw alreadyConfirmed();
      state = performed.state;
      if (performed.kind === 'failed') return { memory: kept(state.memory), changes, error: performed.error };
      changes.push({ kind: 'deleted', id: image.id });
    }
    if (ours.length === 0) {
      const foreign = seen.observed.revisions.flatMap(changeOfForeign);
      const used = isRequested ? await useUpNext(state.memory, context) : ({ kind: 'done', ...state } as const);
      switch (used.kind) {
        case 'done':
          return { memory: used.memory, changes: [...changes, ...foreign] };
        case 'gone':
        case 'outdated':
          throw alreadyConfirmed();
        case 'inDoubt':
          return { memory: kept(state.memory), changes, doubtMs: used.ms };
        case 'failed':
          return { memory: kept(used.memory), changes, error: used.error };
      }
    }
    seen = await observeAll(context, state.memory, here);
  }
  const error = new OperatorError('Glance still lists the image after it was deleted', {
    code: 'Conflict',
  });
  return { memory: kept(seen.memory), changes, error };
}

/** The resource was confirmed before, for the whole reconcile. */
function alreadyConfirmed(): Error {
  return new Error('a deletion is confirmed before its first step');
}

function imagesOf({ memory: { images } }: Pass): string {
  return images.length === 0 ? 'no known image' : `image ${images.join(', ')}`;
}

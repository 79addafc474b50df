/**
 * Deletion of a resource whose images stay: they lose the mark of this cluster and keep that of their owner, so that a later resource
 * of the same namespace, name and identity takes them back, in any cluster. One that waits for its first data is deleted, because no
 * consumer can use it.
 *
 * Guarantees: the deletion succeeds, whatever becomes of the marks, and after ten minutes also if the next ID cannot be used up. An Event
 * says what stays in Glance, and which marks stay on it.
 */
import type { Outcome } from '../../controller/outcome.ts';
import { Conflict } from '../../glance/errors.ts';
import type { JsonPatchOperation } from '../../glance/patch.ts';
import { type Attempt, attempt } from '../../lib/errors.ts';
import { heldMs } from '../access/recent.ts';
import { clusterProperty } from '../model/identity.ts';
import { type Memory, msSince } from '../model/memory.ts';
import { isOurs } from '../model/ownership.ts';
import type { Change, Report } from '../model/report.ts';
import type { Revision } from '../model/revisions.ts';
import type { State } from '../model/step.ts';
import { mayArrive, mayBeRequested, observeAll, onItsWayMs } from '../observe/observe.ts';
import { type PerformContext, perform } from '../perform/perform.ts';
import { isOnlyForID, type UsedUp, useUpNext } from '../perform/use-up.ts';
import { patchable } from '../plan/takeover.ts';
import { changeOfForeign, deletionEvents } from '../status/events.ts';
import { openCloud } from './open.ts';
import { failed, newerOperator, outcome, type Pass, type Reached, type ReconcileContext } from './pass.ts';
import { performContext } from './perform-context.ts';

interface Removed {
  kind: 'removed';
  /** IDs of images without the mark. */
  kept: readonly string[];
  /** Images that have it still, and why. */
  marked: readonly { id: string; error: unknown }[];
  /** What else is reported: images that were deleted, and those of others. */
  changes: readonly Change[];
}

type Removal =
  | Removed
  /** Nothing was done. */
  | { kind: 'again'; reached: Reached };

export async function retain(pass: Pass, context: ReconcileContext): Promise<Reached> {
  const { resource, memory, identity } = pass;
  const { resources } = context;
  // A deadline must not keep the finalizer, or a cloud that is gone would keep it for good.
  const removed = await attempt(context.grace, () => removeMarks(pass, context));
  const removal: Removal = removed.ok
    ? removed.value
    : { kind: 'removed', kept: [], marked: memory.images.map((id) => ({ id, error: removed.error })), changes: [] };
  if (removal.kind === 'again') return removal.reached;
  const { kept, marked, changes } = removal;
  const inGlance = 'in Glance (deletionPolicy: Retain)';
  if (kept.length > 0) resources.event(resource, 'Normal', 'Retained', `${inWords(kept)} kept ${inGlance}`);
  if (marked.length > 0 || !removed.ok) {
    const why = removed.ok ? marked[0]?.error : removed.error;
    const note =
      `${inWords(marked.map(({ id }) => id))} kept ${inGlance} with the mark of this cluster (${identity.cluster}), which could not be ` +
      `removed: ${why instanceof Error ? why.message : String(why)}. A GlanceImage of the same name and identity takes it back in this ` +
      'cluster; in another one, --inherit-from has to name this cluster';
    resources.event(resource, 'Warning', 'Retained', note);
  }
  for (const { type, reason, note } of deletionEvents(changes)) resources.event(resource, type, reason, note);
  return { kind: 'released' };
}

async function removeMarks(pass: Pass, context: ReconcileContext): Promise<Removal> {
  if (pass.newerVersion !== undefined) throw newerOperator(pass.newerVersion);
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok) throw opened.error;
  if (opened.value === undefined) return again({ kind: 'requeue' });
  const performing = performContext(pass, undefined, opened.value, context, true);
  const { place } = opened.value;
  const looked = await attempt(context.grace, () => observeAll(performing, pass.memory, place));
  if (!looked.ok) {
    const isRequested = mayBeRequested(pass.memory, { gone: [] }) && mayArrive(performing, pass.memory);
    if (!isRequested || !isNew(pass, context)) throw looked.error;
    return { kind: 'again', reached: failed(pass, looked.error, context, { secret }) };
  }
  const seen = looked.value;
  const { observed, memory, doubtMs } = seen;
  const afterMs = Math.max(doubtMs, onItsWayMs(performing, memory));
  if (afterMs > 0) return again({ kind: 'requeueAfter', afterMs });
  if (mayBeRequested(pass.memory, seen)) {
    const used = await attempt(context.grace, () => useUpNext(memory, performing));
    if (used.ok && used.value.kind === 'inDoubt') return again({ kind: 'requeueAfter', afterMs: used.value.ms });
    const error = whyNotUsed(used);
    if (error !== undefined && isNew(pass, context)) {
      const kept = { ...memory, incomplete: true as const };
      return { kind: 'again', reached: failed(pass, error, context, { secret, memory: kept }) };
    }
  }
  return removeFrom({ observed, memory }, secret, performing, pass, context);
}

/** From the images as they were seen. */
async function removeFrom(
  state: State,
  secret: Report['secret'],
  performing: PerformContext,
  pass: Pass,
  context: ReconcileContext,
): Promise<Removal> {
  const { observed, memory } = state;
  const ours = observed.revisions.filter(({ ownership }) => isOurs(ownership));
  const kept: string[] = [];
  const marked: { id: string; error: unknown }[] = [];
  const deleted: Change[] = [];
  for (const revision of ours) {
    if (isWaiting(revision, pass, memory)) {
      const notDeleted = await remove(revision, state, performing);
      if (notDeleted === undefined) {
        deleted.push({ kind: 'deleted', id: revision.image.id });
        continue;
      }
      if (isOnlyForID(revision.image) && isNew(pass, context))
        return { kind: 'again', reached: failed(pass, notDeleted.error, context, { secret, memory }) };
    }
    const error = await removeMark(revision, state, performing);
    if (error === undefined) kept.push(revision.image.id);
    else marked.push({ id: revision.image.id, error });
  }
  const changes = [...deleted, ...observed.revisions.flatMap(changeOfForeign)];
  return { kind: 'removed', kept, marked, changes };
}

function again(one: Outcome): Removal {
  return { kind: 'again', reached: outcome(one) };
}

function whyNotUsed(used: Attempt<UsedUp>): unknown {
  if (!used.ok) return used.error;
  return used.value.kind === 'failed' ? used.value.error : undefined;
}

/** A request from before the deletion may still arrive. */
function isNew({ resource: { metadata } }: Pass, { clock }: Pick<ReconcileContext, 'clock'>): boolean {
  return msSince(metadata.deletionTimestamp ?? '', clock.now()) < heldMs;
}

/** The operator created it and has not filled it. Without a declared content, another client may be about to fill one with a name. */
function isWaiting({ image, ownership }: Revision, { resource }: Pass, { published, promoted }: Memory): boolean {
  const isKnown = published.includes(image.id) || promoted === image.id;
  const isForData = resource.spec.content !== undefined || isOnlyForID(image);
  return ownership.kind === 'created' && image.status === 'queued' && isForData && !isKnown;
}

/** Returns why it is still there. After some time, one that Glance does not delete is kept like the others. */
async function remove(
  { image }: Revision,
  state: State,
  context: PerformContext,
): Promise<{ error: unknown } | undefined> {
  const why = 'its resource was deleted before it had data';
  const removed = await perform({ kind: 'delete', image, why, mustGo: true }, state, context);
  if (removed.kind === 'done') return undefined;
  return { error: removed.kind === 'failed' ? removed.error : new Conflict(`image ${image.id} is still there`, {}) };
}

/** Returns why the mark is still there. */
async function removeMark({ image }: Revision, state: State, context: PerformContext): Promise<unknown> {
  if (image.properties[clusterProperty] === undefined) return undefined;
  if (!patchable.has(image.status)) return new Error(`Glance is storing its data (${image.status})`);
  const operations: JsonPatchOperation[] = [{ op: 'remove', path: `/${clusterProperty}` }];
  const performed = await perform({ kind: 'patch', image, operations, keys: [] }, state, context);
  return performed.kind === 'failed' ? performed.error : undefined;
}

function inWords(ids: readonly string[]): string {
  if (ids.length === 0) return 'its images, which are not known, are';
  return ids.length === 1 ? `image ${ids[0]} is` : `images ${ids.join(', ')} are`;
}

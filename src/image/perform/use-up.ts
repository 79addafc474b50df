/**
 * Uses up the ID of the next image, where a request to create it may still arrive from before: creates the image and deletes it. Glance
 * gives out no ID twice, so such a request creates nothing any more, however late it arrives.
 *
 * Guarantee: a process that ends between the two leaves an image with the marks of its resource, which the next reconcile finds.
 */
import type { Image } from '../../glance/image.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { OperatorError } from '../../lib/errors.ts';
import { imageIDOf, markOf } from '../model/identity.ts';
import type { Memory } from '../model/memory.ts';
import { isOurs } from '../model/ownership.ts';
import type { State } from '../model/step.ts';
import { mayArrive } from '../observe/observe.ts';
import { type PerformContext, perform } from './perform.ts';

export type UsedUp =
  /** No such request can create an image, as far as Glance lets us make sure of it. */
  | { kind: 'done'; memory: Memory }
  /** The ID is used, by an image that is there, or that a database which lags behind may not show yet: it is looked for again after this time. */
  | { kind: 'inDoubt'; ms: number }
  | { kind: 'failed'; memory: Memory; error: unknown }
  | { kind: 'gone' }
  | { kind: 'outdated' };

/** Whether it only keeps its ID. Images of a declaration have a name. */
export function isOnlyForID({ status, hidden, name }: Image): boolean {
  return status === 'queued' && hidden && (name ?? '') === '';
}

/** An earlier process may have found IDs used by others, and gone on behind them before it recorded that. */
const mostIDs = 8;
/** It is there, and a list may be of a database that lags behind. */
const inDoubt = { kind: 'inDoubt' as const, ms: 1_000 };

export async function useUpNext(known: Memory, context: PerformContext): Promise<UsedUp> {
  let memory = known;
  for (let tried = 0; tried < mostIDs && mayArrive(context, memory); tried++) {
    const number = memory.next;
    const imageID = imageIDOf(memory.uid, number);
    const image = { hidden: true, properties: markOf(context.owner) };
    const nothing = { observed: { revisions: [], listed: true }, memory };
    const made = await perform({ kind: 'create', imageID, number, image, keys: [] }, nothing, context);
    if (made.kind === 'gone' || made.kind === 'outdated') return made;
    const [revision] = made.state.observed.revisions;
    if (revision !== undefined && made.kind !== 'changed') return remove(revision.image, made.state, context);
    if (made.kind === 'failed') return whenFailed(made.error, imageID, made.state.memory);
    if (revision !== undefined && isOurs(revision.ownership)) return inDoubt;
    const ms = context.recent.usedMs(imageID);
    if (ms > 0) return { kind: 'inDoubt', ms };
    memory = { ...memory, next: number + 1 };
  }
  return done(memory);
}

async function remove(image: Image, state: State, context: PerformContext): Promise<UsedUp> {
  const why = 'it only kept its ID from a request that was sent before';
  const removed = await perform({ kind: 'delete', image, why, mustGo: true }, state, context);
  if (removed.kind === 'gone' || removed.kind === 'outdated') return removed;
  return removed.kind === 'done' ? done(removed.state.memory) : inDoubt;
}

function done({ incomplete: _, ...memory }: Memory): UsedUp {
  return { kind: 'done', memory };
}

/** Glance, or a proxy in front of it, rejects what was sent before for the same reason. Others say nothing of it. */
const rejections: ReadonlySet<ErrorCode> = new Set([
  'Forbidden',
  'InvalidRequest',
  'PropertyProtected',
  'ProxyRefused',
  'QuotaExceeded',
]);

function whenFailed(cause: unknown, imageID: string, memory: Memory): UsedUp {
  const code = cause instanceof OperatorError ? cause.code : 'GlanceUnavailable';
  if (code === 'ImageNotKnownYet') return inDoubt;
  if (rejections.has(code)) return done(memory);
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `an earlier request may still create image ${imageID}. To prevent that, the operator creates and deletes it itself, which failed: ${why}`;
  return { kind: 'failed', memory, error: new OperatorError(message, { code, cause }) };
}

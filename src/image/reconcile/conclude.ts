/**
 * The end of a reconcile: the status and the events that follow from its report, and when the resource is reconciled again.
 *
 * Invariant: nothing is written while nothing changes. A transfer that ended is forgotten only after the status says what came of it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { GlanceImageStatus } from '../../api/status.ts';
import type { Outcome } from '../../controller/outcome.ts';
import { compact } from '../../lib/compact.ts';
import { parseDuration } from '../../lib/duration.ts';
import { unreachable } from '../../lib/errors.ts';
import { keyOf } from '../../lib/key.ts';
import type { Resources } from '../access/resources.ts';
import { imageIDOf } from '../model/identity.ts';
import { msSince } from '../model/memory.ts';
import type { Report } from '../model/report.ts';
import { retentionDueMs } from '../model/retention.ts';
import { withAvailabilityOf } from '../status/available.ts';
import { eventsOf } from '../status/events.ts';
import { summarise } from '../status/status.ts';
import { momentOf } from './moment.ts';
import type { Pass, ReconcileContext } from './pass.ts';

/** A first transfer that ends within this time costs no status of its own. The scheduler reports its progress from then on. */
const quietRunMs = 2_000;
/** A first transfer that starts within this time costs no status that says that it waits for a slot. */
const quietQueueMs = 30_000;

/** No image is looked at more often because of its time, or because another one may still be created, and no timer is set for longer. */
const shortestRecheckMs = 60_000;
const longestRecheckMs = 24 * 3_600_000;

export async function conclude(pass: Pass, report: Report, context: ReconcileContext): Promise<Outcome> {
  const { resource, transfer, news, key } = pass;
  const { resources, transfers, grace } = context;
  const quietMs = quietStartMs(resource, report, context.clock.now());
  if (quietMs > 0) return { kind: 'requeueAfter', afterMs: quietMs };
  const { status: previous } = resource;
  const summary = summarise(report, previous, momentOf(pass, report, context));
  const status = pass.newerVersion === undefined ? summary : withNewerMemory(summary, previous);
  const written = isDeepStrictEqual(status, lastStatus(resource, resources))
    ? 'written'
    : await resources.writeStatus(resource, status, grace);
  if (written === 'gone') return { kind: 'awaitChange' };
  if (written === 'outdated') return { kind: 'requeue' };
  for (const { type, reason, note } of eventsOf(previous, status, report))
    resources.event(resource, type, reason, note);
  const isOpen =
    news.kind === 'failed' && news.looks && report.end.kind === 'failed' && report.end.error !== news.error;
  if (transfer !== undefined && !isOpen && report.end.kind !== 'resolving') transfers.forget(key, transfer);
  return outcomeOf(pass, report, status, context);
}

/** A step may have written another one than that with which the reconcile began. */
function lastStatus({ metadata, status }: GlanceImage, resources: Pick<Resources, 'get'>): GlanceImageStatus {
  const known = resources.get(keyOf(metadata.namespace, metadata.name));
  return known?.metadata.uid === metadata.uid ? known.status : status;
}

/** The memory of a later version is kept as it is, with what it says of the images. */
function withNewerMemory(summary: GlanceImageStatus, previous: GlanceImageStatus): GlanceImageStatus {
  const { imageID, image, content, revisions, operation } = previous;
  const conditions = withAvailabilityOf(previous, summary.conditions);
  return compact({ ...summary, conditions, imageID, image, content, revisions, operation });
}

/**
 * How long the first status of a new resource is not written yet, in ms. Most small images are complete soon after their transfer has
 * started, and one status is enough for them. The transfer names its image, so nothing else may have to be remembered.
 */
export function quietStartMs(
  { status, metadata }: Pick<GlanceImage, 'status' | 'metadata'>,
  { end, changes, memory }: Report,
  now: Date,
): number {
  const isNew = status.conditions === undefined && metadata.deletionTimestamp === undefined;
  const isOnly = memory.images.length === 1 && memory.images[0] === imageIDOf(metadata.uid, 0);
  if (!isNew || !isOnly || end.kind !== 'transferring' || changes.some(({ kind }) => kind !== 'created')) return 0;
  const { state } = end;
  return state.kind === 'queued'
    ? quietQueueMs - msSince(state.queuedAt, now)
    : quietRunMs - msSince(state.startedAt, now);
}

function outcomeOf(
  { key, resource, pinning, startedMs }: Pass,
  { end, memory }: Report,
  status: GlanceImageStatus,
  { drift, clock }: ReconcileContext,
): Outcome {
  switch (end.kind) {
    case 'converged': {
      const intervalMs = parseDuration(resource.spec.interval);
      const comparedMs = intervalMs === 0 ? undefined : drift.compared(key, startedMs, intervalMs);
      const retentionMs = retentionDueMs({ ...resource, status }, clock.now());
      const retiredMs = retentionMs === undefined ? undefined : Math.max(retentionMs, shortestRecheckMs);
      const unnamedMs = memory.incomplete === true ? shortestRecheckMs : undefined;
      return lookAgain(comparedMs, pinning.nextMs, retiredMs, unnamedMs);
    }
    case 'held':
      return { kind: 'requeue' };
    case 'waiting':
      return { kind: 'requeueAfter', afterMs: end.ms };
    case 'failed':
      return lookAgain(attemptMs(status, clock.now()));
    case 'resolving': {
      // A reading that has begun reports its end. Otherwise the next reconcile begins it.
      const isReading = pinning.kind === 'open' || (pinning.kind === 'pinned' && pinning.isRereading === true);
      return isReading ? { kind: 'awaitChange' } : { kind: 'requeue' };
    }
    case 'transferring': {
      const intervalMs = parseDuration(resource.spec.interval);
      const next = pinning.kind === 'candidate' ? drift.next(key, intervalMs) : undefined;
      return lookAgain(next?.kind === 'notDue' ? next.ms : undefined, attemptMs(status, clock.now()));
    }
    case 'suspended':
      return { kind: 'awaitChange' };
    default:
      return unreachable(end);
  }
}

function attemptMs({ nextAttemptTime: at }: GlanceImageStatus, now: Date): number | undefined {
  return at === undefined ? undefined : Math.max(0, Date.parse(at) - now.getTime());
}

/** `undefined`: not because of this. */
export function lookAgain(...waits: readonly (number | undefined)[]): Outcome {
  const afterMs = Math.min(...waits.map((ms) => ms ?? Number.POSITIVE_INFINITY));
  return Number.isFinite(afterMs)
    ? { kind: 'requeueAfter', afterMs: Math.min(afterMs, longestRecheckMs) }
    : { kind: 'awaitChange' };
}

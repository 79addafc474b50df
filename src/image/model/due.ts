/**
 * Whether a resource is due.
 *
 * Guarantees: a settled resource costs no call before its drift check is due, however often it is reconciled and however often the
 * operator restarts; a failed one is not tried before its time, unless its spec, its Secret or its annotation has changed.
 */
import { findCondition, isConvergedReason } from '../../api/conditions.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { abandonAnnotation, reconcileAtAnnotation } from '../../api/group.ts';
import { parseDuration } from '../../lib/duration.ts';
import { longestDelayMs } from '../../lib/error-codes.ts';
import { isIncompleteIn, newerVersionIn } from './memory.ts';
import { sanitise } from './sanitise.ts';

export type Due = { kind: 'now' } | { kind: 'notDue'; ms: number } | { kind: 'settled'; intervalMs: number };

/** No attempt is planned further ahead, the rounding of the time included. An operator whose clock was wrong has written a later one. */
const longestWaitMs = longestDelayMs + 1_000;

/** `secretVersions` are those of the content of its Secrets, as last read; undefined when none is known. */
export function dueOf(resource: GlanceImage, secretVersions: string | undefined, now: Date): Due {
  const { status, metadata, spec } = resource;
  if (status.observedGeneration !== metadata.generation || isRequested(resource)) return { kind: 'now' };
  if (secretVersions !== undefined && secretVersions !== status.secretVersion) return { kind: 'now' };
  if (metadata.deletionTimestamp !== undefined && metadata.annotations[abandonAnnotation] === 'true')
    return { kind: 'now' };
  // It was restored from a backup together with its status.
  const isOfOther = status.operation !== undefined && status.operation['uid'] !== metadata.uid;
  if (isOfOther) return { kind: 'now' };
  const reason = findCondition(status.conditions, 'Ready')?.reason;
  const isUnknown = resource.unknownField !== undefined || newerVersionIn(status) !== undefined;
  // Another version of the operator did not know it.
  if (reason === 'NewerOperator' && !isUnknown) return { kind: 'now' };
  if (status.nextAttemptTime !== undefined) {
    const ms = Date.parse(status.nextAttemptTime) - now.getTime();
    return ms > 0 && ms <= longestWaitMs ? { kind: 'notDue', ms } : { kind: 'now' };
  }
  if (!isConvergedReason(reason) || isUnknown || isIncompleteIn(status)) return { kind: 'now' };
  return { kind: 'settled', intervalMs: parseDuration(spec.interval) };
}

/** By an annotation that the status does not have yet. */
export function isRequested({ metadata, status }: GlanceImage): boolean {
  const annotation = metadata.annotations[reconcileAtAnnotation];
  const handled = annotation && sanitise({ lastHandledReconcileAt: annotation }).lastHandledReconcileAt;
  return status.lastHandledReconcileAt !== handled;
}

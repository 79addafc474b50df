/**
 * The events of a reconcile.
 *
 * Invariants: pure; an event reports a change, a new failure, or the goal, and never a repetition, so a settled or steadily failing
 * resource has none.
 */
import { type ConditionVerdict, findCondition, isConvergedReason } from '../../api/conditions.ts';
import type { Reason } from '../../api/reasons.ts';
import type { GlanceImageStatus } from '../../api/status.ts';
import { type OperatorError, unreachable } from '../../lib/errors.ts';
import { whyForeign } from '../model/ownership.ts';
import type { Change, Report } from '../model/report.ts';
import type { Revision } from '../model/revisions.ts';
import { reasonOf } from './failure.ts';

export interface ImageEvent {
  type: 'Normal' | 'Warning';
  reason: Reason;
  note: string;
}

export function eventsOf(previous: GlanceImageStatus, next: GlanceImageStatus, report: Report): ImageEvent[] {
  const [before, after] = [findCondition(previous.conditions, 'Ready'), findCondition(next.conditions, 'Ready')];
  // A declaration that failed at first is applied for the first time.
  const drift = previous.observedGeneration === next.observedGeneration && before?.status !== 'False';
  const error = failureIn(report);
  const changes = report.changes.filter(({ kind }) => kind !== 'vanished' || !isUnreplaced(error));
  const events = changes.flatMap((change) => fromChange(change, drift));
  if (after === undefined) return events;
  const { lastError } = next;
  if (error !== undefined && lastError !== undefined && previous.lastError?.reason !== lastError.reason) {
    events.push({ type: 'Warning', reason: reasonOf(error), note: noteOf(next, after) });
  }
  if (isConvergedReason(after.reason) && after.reason !== before?.reason) {
    events.push({ type: 'Normal', reason: after.reason, note: after.message });
  }
  return events;
}

function failureIn({ end, upkeep }: Report): OperatorError | undefined {
  if (upkeep?.kind === 'failed') return upkeep.error;
  return end.kind === 'failed' ? end.error : undefined;
}

/** A failure that says that no other image takes the place of one that has vanished. */
function isUnreplaced(error: OperatorError | undefined): boolean {
  return error?.code === 'ImportVanished' || error?.code === 'PinNotFound';
}

/** The failure of a newer file of a publisher is not that of the image to use. */
function noteOf({ conditions }: GlanceImageStatus, ready: Pick<ConditionVerdict, 'status' | 'message'>): string {
  return (ready.status === 'True' ? findCondition(conditions, 'Updating')?.message : undefined) ?? ready.message;
}

/** What a deletion leaves alone. */
export function changeOfForeign({ image, ownership }: Revision): Change[] {
  return ownership.kind === 'foreign' ? [{ kind: 'left', id: image.id, why: whyForeign(image, ownership.why) }] : [];
}

/** The events of a deletion. */
export function deletionEvents(changes: readonly Change[]): ImageEvent[] {
  return changes.flatMap((change) => fromChange(change, false));
}

/** A creation has no event, because the image becomes ready, or fails. */
function fromChange(change: Change, drift: boolean): ImageEvent[] {
  switch (change.kind) {
    case 'created':
      return [];
    case 'updated': {
      const what = change.what.join(', ');
      if (drift)
        return [
          {
            type: 'Normal',
            reason: 'DriftCorrected',
            note: `the image was changed in Glance by another client; corrected: ${what}`,
          },
        ];
      return [{ type: 'Normal', reason: 'Updated', note: `applied the new declaration: ${what}` }];
    }
    case 'published':
      return [{ type: 'Normal', reason: 'Published', note: `ConfigMap ${change.configMap} shows the image to use` }];
    case 'replaced':
      return [{ type: 'Warning', reason: 'Replaced', note: `image ${change.id} was deleted: ${change.why}` }];
    case 'vanished':
      return [
        {
          type: 'Warning',
          reason: 'Replaced',
          note: `image ${change.id} does not exist in Glance any more, and another one takes its place`,
        },
      ];
    case 'deleted':
      return [{ type: 'Normal', reason: 'Deleted', note: `image ${change.id} was deleted from Glance` }];
    case 'left': {
      const note = `image ${change.id} stays in Glance, because it ${change.why}`;
      return [{ type: 'Warning', reason: 'TakenOver', note }];
    }
    default:
      return unreachable(change);
  }
}

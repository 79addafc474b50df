/**
 * What is worth an event. Laws: pure; only turns of the story make one (a change made, a failure that is new, the goal
 * reached), never a repetition, so a settled or steadily failing resource is silent.
 */
import { findCondition, isConvergedReason } from '../api/conditions.ts';
import type { Reason } from '../api/reasons.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import { unreachable } from '../lib/errors.ts';
import type { Change, Facts } from './facts.ts';
import { reasonOf } from './failure.ts';

export interface Happening {
  type: 'Normal' | 'Warning';
  reason: Reason;
  note: string;
}

export function happenings(previous: GlanceImageStatus, next: GlanceImageStatus, facts: Facts): Happening[] {
  const [before, after] = [findCondition(previous.conditions, 'Ready'), findCondition(next.conditions, 'Ready')];
  // What this declaration has not brought about yet, because it failed at first, is nobody's doing.
  const drift = previous.observedGeneration === next.observedGeneration && before?.status !== 'False';
  const events = facts.changes.flatMap((change) => fromChange(change, drift));
  if (after === undefined) return events;
  const { lastError } = next;
  if (facts.end.kind === 'failed' && lastError !== undefined && previous.lastError?.reason !== lastError.reason) {
    events.push({ type: 'Warning', reason: reasonOf(facts.end.error), note: after.message });
  }
  if (isConvergedReason(after.reason) && after.reason !== before?.reason) {
    events.push({ type: 'Normal', reason: after.reason, note: after.message });
  }
  return events;
}

/** A creation is told by what follows it: the image becoming ready, or failing. */
function fromChange(change: Change, drift: boolean): Happening[] {
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
    case 'replaced':
      return [
        {
          type: 'Warning',
          reason: 'Replaced',
          note: `image ${change.id} was deleted and is created again: ${change.why}`,
        },
      ];
    case 'deleted':
      return [{ type: 'Normal', reason: 'Deleted', note: `image ${change.id} was deleted from Glance` }];
    case 'left': {
      const note = `image ${change.id} stays in Glance: it belongs to project ${change.owner ?? '(none)'} now`;
      return [{ type: 'Warning', reason: 'TakenOver', note }];
    }
    default:
      return unreachable(change);
  }
}

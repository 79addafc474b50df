/**
 * Keeps the image to use as declared while that of a publisher's newer file is made, which may take hours, or fail for days.
 *
 * Invariant: only the record, the members and the state of that one image are changed, and the ConfigMap that shows it. No image is made,
 * filled or deleted for it, and nothing is done because of a failure here that would end the other image.
 */
import { parseDuration } from '../../lib/duration.ts';
import { attempt } from '../../lib/errors.ts';
import type { Cloud } from '../access/clouds.ts';
import { type Desired, desire } from '../model/desired.ts';
import { dueOf, isRequested } from '../model/due.ts';
import { isOurs } from '../model/ownership.ts';
import type { Change, Report, Upkeep } from '../model/report.ts';
import { withRevision } from '../model/simulate.ts';
import type { State } from '../model/step.ts';
import { readConfigMaps } from '../perform/config-maps.ts';
import type { PerformContext } from '../perform/perform.ts';
import { pursue } from '../perform/pursue.ts';
import { configMapsOf } from '../plan/publication.ts';
import { declarationOf, withoutCandidate } from '../publishers/resolution.ts';
import { asFailure } from '../status/failure.ts';
import { pinningAfter } from '../status/updating.ts';
import { isUpkeepFailing } from '../status/upkeep.ts';
import { withoutWrong } from './follow.ts';
import { openCloud } from './open.ts';
import { isWorkedOn, type Pass, type ReconcileContext } from './pass.ts';
import { performContext } from './perform-context.ts';
import { seenState } from './seen.ts';

export type KeptUp =
  | { kind: 'gone' }
  | { kind: 'outdated' }
  /** `upkeep`: absent where no other image is made. */
  | { kind: 'done'; state: State; changes: readonly Change[]; upkeep?: Upkeep }
  | { kind: 'failed'; state: State; changes: readonly Change[]; error: unknown };

/**
 * Whether the image to use is looked at although the other one is being filled: after an edit, and when its drift check is due. After a
 * failure, as each failed resource.
 */
export function isKeepingUpDue(
  pass: Pass,
  { drift, resources, clock }: Pick<ReconcileContext, 'drift' | 'resources' | 'clock'>,
): boolean {
  const { key, resource, pinning, memory } = pass;
  const isMade = pinningAfter(pinning, memory).kind === 'candidate' && memory.promoted !== undefined;
  if (!isMade || isWorkedOn(pass)) return false;
  if (isUpkeepFailing(resource.status))
    return dueOf(resource, resources.secretVersions(resource), clock.now()).kind !== 'notDue';
  const intervalMs = parseDuration(resource.spec.interval);
  const isEdited = resource.status.observedGeneration !== resource.metadata.generation;
  return isEdited || isRequested(resource) || drift.next(key, intervalMs).kind !== 'notDue';
}

/** The declaration of the image to use; undefined where no other one is being made. */
function desiredBefore({ pinning, memory, identity }: Pass, { projectID }: Pick<Cloud, 'projectID'>) {
  const after = pinningAfter(pinning, memory);
  if (after.kind !== 'candidate' || memory.promoted === undefined) return undefined;
  const before = withoutCandidate(after);
  return desire(before.resource, identity, projectID, declarationOf(before));
}

/** Before the other image is worked on. */
export async function keepUpFirst(
  pass: Pass,
  state: State,
  perform: PerformContext,
  cloud: Pick<Cloud, 'projectID'>,
  { drift }: Pick<ReconcileContext, 'drift'>,
): Promise<KeptUp> {
  const { key, startedMs, resource } = pass;
  const kept = await keepUp(desiredBefore(pass, cloud), state, perform);
  const intervalMs = parseDuration(resource.spec.interval);
  const isCompared = kept.kind === 'done' && kept.upkeep !== undefined && kept.upkeep.kind !== 'notCompared';
  if (isCompared && intervalMs > 0) drift.compared(key, startedMs, intervalMs);
  return kept;
}

type Meanwhile =
  | { kind: 'gone' }
  | { kind: 'outdated' }
  /** An image may still appear: look again after this time. */
  | { kind: 'inDoubt'; ms: number }
  | { kind: 'done'; learned: Partial<Report> };

/** Keeps it up while the other image is being filled, which goes on whatever happens here. */
export async function keepUpMeanwhile(pass: Pass, context: ReconcileContext): Promise<Meanwhile> {
  const { key, resource, memory, startedMs } = pass;
  const { drift, configMaps, clock, signal } = context;
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok) return failing(opened.error, { secret });
  if (opened.value === undefined) return { kind: 'outdated' };
  const cloud = opened.value;
  const at = { secret, cloud: { projectID: cloud.projectID, region: cloud.region } };
  const seen = await attempt(signal, async () => {
    const desired = desiredBefore(pass, cloud);
    const perform = performContext(pass, desired, cloud, context);
    const shown = await readConfigMaps(configMapsOf(resource, memory), configMaps.of(resource), signal);
    return { desired, perform, ...(await seenState(pass, perform, cloud.place, shown)) };
  });
  if (!seen.ok) return failing(seen.error, at);
  const { desired, perform, state, changes, doubtMs } = seen.value;
  if (doubtMs > 0) return { kind: 'inDoubt', ms: doubtMs };
  const kept = await keepUp(desired, state, perform);
  if (kept.kind === 'gone' || kept.kind === 'outdated') return kept;
  const { observed, memory: known } = kept.state;
  const usable = desired === undefined ? known : withoutWrong(known, observed, desired, clock.now());
  const learned = { ...at, observed, memory: usable, changes: [...changes, ...kept.changes] };
  if (kept.kind === 'failed') return failing(kept.error, learned);
  const intervalMs = parseDuration(resource.spec.interval);
  if (intervalMs > 0) drift.compared(key, startedMs, intervalMs);
  return { kind: 'done', learned: { ...learned, upkeep: kept.upkeep } };
}

function failing(error: unknown, learned: Partial<Report>): Meanwhile {
  return { kind: 'done', learned: { ...learned, upkeep: { kind: 'failed', error: asFailure(error) } } };
}

/** `desired`: undefined where there is nothing to keep up. */
export async function keepUp(desired: Desired | undefined, start: State, context: PerformContext): Promise<KeptUp> {
  const { observed, memory } = start;
  const unchanged = { kind: 'done' as const, state: start, changes: [] };
  if (desired === undefined) return unchanged;
  const current = observed.revisions.find(({ image }) => image.id === memory.promoted);
  if (current === undefined || !isOurs(current.ownership)) return { ...unchanged, upkeep: { kind: 'differs' } };
  const others = observed.revisions.filter((one) => one !== current);
  const isNameTaken = others.some(({ image }) => image.name === desired.image.name);
  if (isNameTaken) return { ...unchanged, upkeep: { kind: 'notCompared' } };
  const held: Desired = {
    ...desired,
    hold: { kind: 'found', imageID: current.image.id },
    stores: { kind: 'default' },
  };
  const pursued = await pursue(held, { observed: { ...observed, revisions: [current] }, memory }, context);
  if (pursued.kind === 'gone' || pursued.kind === 'outdated') return pursued;
  const all = others.reduce(withRevision, pursued.state.observed);
  const state = { observed: all, memory: pursued.state.memory };
  const { changes } = pursued;
  if (pursued.kind === 'failed') return { kind: 'failed', error: pursued.error, state, changes };
  return { kind: 'done', state, changes, upkeep: { kind: pursued.next.kind === 'settled' ? 'asDeclared' : 'differs' } };
}

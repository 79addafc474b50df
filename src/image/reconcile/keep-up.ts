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
import { isRequested } from '../model/due.ts';
import { isOurs } from '../model/ownership.ts';
import type { Change, Report } from '../model/report.ts';
import { withRevision } from '../model/simulate.ts';
import type { State } from '../model/step.ts';
import { readConfigMaps } from '../perform/config-maps.ts';
import type { PerformContext } from '../perform/perform.ts';
import { pursue } from '../perform/pursue.ts';
import { configMapsOf } from '../plan/publication.ts';
import { declarationOf, withoutCandidate } from '../publishers/resolution.ts';
import { pinningAfter } from '../status/updating.ts';
import { withoutWrong } from './follow.ts';
import { openCloud } from './open.ts';
import { isWorkedOn, type Pass, type ReconcileContext } from './pass.ts';
import { performContext } from './perform-context.ts';
import { seenState } from './seen.ts';

export type KeptUp =
  | { kind: 'gone' }
  | { kind: 'outdated' }
  /** `isKeptUp`: absent where nothing shows it, and where no other image is made. */
  | { kind: 'done'; state: State; changes: readonly Change[]; isKeptUp?: boolean | undefined }
  | { kind: 'failed'; state: State; changes: readonly Change[]; error: unknown };

/** Whether the image to use is looked at although the other one is being filled: after an edit, and when its drift check is due. */
export function isKeepingUpDue(pass: Pass, { drift }: Pick<ReconcileContext, 'drift'>): boolean {
  const { key, resource, pinning, memory } = pass;
  const isMade = pinningAfter(pinning, memory).kind === 'candidate' && memory.promoted !== undefined;
  if (!isMade || isWorkedOn(pass)) return false;
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
  const isCompared = kept.kind === 'done' && kept.isKeptUp !== undefined;
  if (isCompared && intervalMs > 0) drift.compared(key, startedMs, intervalMs);
  return kept;
}

/** Keeps it up while the other image is being filled. A failure changes nothing, and the next drift check tries again. */
export async function keepUpMeanwhile(
  pass: Pass,
  context: ReconcileContext,
): Promise<{ kind: 'gone' } | { kind: 'outdated' } | { kind: 'done'; learned: Partial<Report> }> {
  const { key, resource, memory, startedMs } = pass;
  const { drift, configMaps, clock, signal } = context;
  const intervalMs = parseDuration(resource.spec.interval);
  if (intervalMs > 0) drift.compared(key, startedMs, intervalMs);
  const nothing = { kind: 'done' as const, learned: {} };
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok || opened.value === undefined) return nothing;
  const { projectID, region, place } = opened.value;
  const declared = await attempt(signal, async () => desiredBefore(pass, { projectID }));
  if (!declared.ok || declared.value === undefined) return nothing;
  const desired = declared.value;
  const perform = performContext(pass, desired, opened.value, context);
  const shown = await readConfigMaps(configMapsOf(resource, memory), configMaps.of(resource), signal);
  const seen = await attempt(signal, () => seenState(pass, perform, place, shown));
  if (!seen.ok || seen.value.doubtMs > 0) return nothing;
  const kept = await keepUp(desired, seen.value.state, perform);
  if (kept.kind === 'gone' || kept.kind === 'outdated') return kept;
  const { state, changes } = kept;
  const isKeptUp = kept.kind === 'done' ? kept.isKeptUp : undefined;
  const usable = withoutWrong(state.memory, state.observed, desired, clock.now());
  const vanished = seen.value.gone.map((id) => ({ kind: 'vanished' as const, id }));
  const at = { secret, cloud: { projectID, region } };
  const learned = { ...at, observed: state.observed, memory: usable, changes: [...vanished, ...changes], isKeptUp };
  return { kind: 'done', learned };
}

/** `desired`: undefined where there is nothing to keep up. */
export async function keepUp(desired: Desired | undefined, start: State, context: PerformContext): Promise<KeptUp> {
  const { observed, memory } = start;
  const unknown = { kind: 'done' as const, state: start, changes: [] };
  if (desired === undefined) return unknown;
  const current = observed.revisions.find(({ image }) => image.id === memory.promoted);
  if (current === undefined || !isOurs(current.ownership)) return { ...unknown, isKeptUp: false };
  const others = observed.revisions.filter((one) => one !== current);
  const isNameTaken = others.some(({ image }) => image.name === desired.image.name);
  if (isNameTaken) return unknown;
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
  return { kind: 'done', state, changes, isKeptUp: pursued.next.kind === 'settled' };
}

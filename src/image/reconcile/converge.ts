/**
 * From what is declared to what Glance holds: opens the cloud, observes, plans, performs, and follows the end of the plan.
 *
 * Guarantees: each way out is a report, or an outcome that asks for another reconcile.
 */
import type { ImportSpec } from '../../api/import.ts';
import type { Outcome } from '../../controller/outcome.ts';
import { attempt } from '../../lib/errors.ts';
import { type Desired, desire } from '../model/desired.ts';
import { imageIDOf } from '../model/identity.ts';
import type { Memory } from '../model/memory.ts';
import { isOurs } from '../model/ownership.ts';
import type { ActiveTransfer, Report } from '../model/report.ts';
import type { State } from '../model/step.ts';
import { isOfOtherCluster, observe } from '../observe/observe.ts';
import { readConfigMaps } from '../perform/config-maps.ts';
import type { PerformContext } from '../perform/perform.ts';
import { type Pursued, pursue } from '../perform/pursue.ts';
import { useUpNext } from '../perform/use-up.ts';
import { plan } from '../plan/plan.ts';
import { configMapsOf } from '../plan/publication.ts';
import { declarationOf, type Pinning } from '../publishers/resolution.ts';
import { follow, remembered, withoutWrong } from './follow.ts';
import { glimpse } from './glimpse.ts';
import { isKeepingUpDue, keepUpFirst, keepUpMeanwhile } from './keep-up.ts';
import { mirror, type ReadableCloud } from './observed-import.ts';
import { openCloud } from './open.ts';
import {
  failed,
  isWorkedOn,
  keptMemory,
  outcome,
  type Pass,
  type Reached,
  type ReconcileContext,
  withReport,
} from './pass.ts';
import { performContext } from './perform-context.ts';
import { publishObserved } from './publish-observed.ts';
import { seenState } from './seen.ts';

export async function converge(pass: Pass, context: ReconcileContext): Promise<Reached> {
  const { resource, identity, memory, news, pinning } = pass;
  if (pinning.kind === 'open') return unresolved(pass, pinning, context);
  if (news.kind === 'active') return whileTransferring(pass, news.state, context);
  if (news.kind === 'failed' && !news.looks && !isWorkedOn(pass))
    return failed(pass, news.error, context, await whatElseToShow(pass, context));
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok) return failed(pass, opened.error, context, { secret });
  const cloud = opened.value;
  if (cloud === undefined) return outcome({ kind: 'requeue' });
  const at = { secret, cloud: { projectID: cloud.projectID, region: cloud.region } };
  const { managementPolicy, import: imported } = resource.spec;
  if (managementPolicy === 'Observe' && imported !== undefined)
    return observeImport(imported, pass, cloud, at, context);
  const desired = desire(resource, identity, cloud.projectID, declarationOf(pinning));
  const perform = performContext(pass, desired, cloud, context);
  const configMaps = await readConfigMaps(configMapsOf(resource, memory), perform.configMaps, context.signal);
  const glimpsed = glimpse(pass, desired, cloud, perform, configMaps);
  if (glimpsed.kind === 'refreshing') return outcome({ kind: 'requeueAfter', afterMs: glimpsed.ms });
  if (glimpsed.kind === 'settled') return withReport({ ...at, ...glimpsed.report });
  const seen = await attempt(context.signal, () => seenState(pass, perform, cloud.place, configMaps));
  if (!seen.ok) return failed(pass, seen.error, context, at);
  const { doubtMs } = seen.value;
  if (doubtMs > 0) return outcome({ kind: 'requeueAfter', afterMs: doubtMs });
  const start = await withoutUnneeded(pass, desired, seen.value.state, perform);
  if ('kind' in start) return outcome(start);
  const kept = await keepUpFirst(pass, start, perform, cloud, context);
  const pursued = kept.kind === 'done' ? await pursue(desired, kept.state, perform) : kept;
  if (pursued.kind === 'gone') return outcome({ kind: 'awaitChange' });
  if (pursued.kind === 'outdated') return outcome({ kind: 'requeue' });
  const { state } = pursued;
  const confirmation = await confirmed(pursued, perform);
  if (confirmation === 'gone') return outcome({ kind: 'awaitChange' });
  if (confirmation === 'outdated') return outcome({ kind: 'requeue' });
  const place = state.memory.images.length === 0 ? {} : { place: cloud.place };
  const { upkeep, changes: before } = kept.kind === 'done' ? kept : { upkeep: undefined, changes: [] };
  const changes = [...seen.value.changes, ...before, ...pursued.changes];
  const learned = { ...at, observed: state.observed, changes, upkeep };
  const withPlace = { ...state.memory, ...place };
  if (pursued.kind === 'failed') {
    const usable = withoutWrong(withPlace, state.observed, desired, context.clock.now());
    return failed(pass, pursued.error, context, { ...learned, memory: usable });
  }
  const remember = remembered(withPlace, pursued.next, state.observed, desired, context.clock.now());
  const content = pursued.content ?? (news.kind === 'verified' ? news.content : undefined);
  return withReport({ ...learned, content, memory: remember, end: await follow(pursued.next, pass, cloud, context) });
}

/** Before data goes to an image. Images that were taken over and need no change get the finalizer. */
async function confirmed(pursued: Exclude<Pursued, { kind: 'gone' | 'outdated' }>, perform: PerformContext) {
  const { next } = pursued.kind === 'next' ? pursued : {};
  if (next?.kind === 'transfer' && next.purpose === 'fill') return perform.confirm();
  const isOwner = pursued.state.observed.revisions.some(({ ownership }) => isOurs(ownership));
  return isOwner && !(await perform.guard()) ? 'gone' : 'current';
}

/**
 * An image that was requested before, and that the plan does not need any more, must not appear later. Next to an image of another cluster,
 * nothing is made: all images are listed each time until that one is gone, and the memory has to ask for it.
 */
async function withoutUnneeded(
  pass: Pass,
  desired: Desired,
  state: State,
  perform: PerformContext,
): Promise<State | Extract<Outcome, { kind: 'requeue' | 'requeueAfter' | 'awaitChange' }>> {
  const isEnough = state.observed.revisions.some(({ ownership }) => isOurs(ownership));
  const isContested = state.observed.revisions.some(isOfOtherCluster);
  if (!isEnough || isContested || !isRequested(pass, state.memory, perform)) return state;
  const { steps } = plan(desired, state, perform.clock.now());
  if (steps.some(({ kind }) => kind === 'create')) return state;
  const used = await useUpNext(state.memory, perform);
  switch (used.kind) {
    case 'done':
      return { ...state, memory: used.memory };
    case 'inDoubt':
      return { kind: 'requeueAfter', afterMs: used.ms };
    // A later reconcile tries it again.
    case 'failed':
      return { ...state, memory: { ...used.memory, incomplete: true } };
    case 'gone':
      return { kind: 'awaitChange' };
    case 'outdated':
      return { kind: 'requeue' };
  }
}

/** Whether a next image was requested. Without a memory, this process knows of its own requests. */
function isRequested({ memory, isLost }: Pass, { uid, next }: Memory, { recent }: PerformContext): boolean {
  return isLost ? recent.isSent(imageIDOf(uid, next)) : memory.incomplete === true && memory.next === next;
}

/** The image to use is looked at only where another one is filled for a publisher's newer file. */
async function whileTransferring(pass: Pass, state: ActiveTransfer, context: ReconcileContext): Promise<Reached> {
  const transferring = { end: { kind: 'transferring' as const, state }, memory: keptMemory(pass), changes: [] };
  const kept = isKeepingUpDue(pass, context) ? await keepUpMeanwhile(pass, context) : undefined;
  if (kept?.kind === 'gone') return outcome({ kind: 'awaitChange' });
  if (kept?.kind === 'outdated') return outcome({ kind: 'requeue' });
  if (kept?.kind === 'inDoubt') return outcome({ kind: 'requeueAfter', afterMs: kept.ms });
  return withReport({ ...transferring, ...kept?.learned });
}

/** No digest is known. */
function unresolved(
  pass: Pass,
  { url, error }: Extract<Pinning, { kind: 'open' }>,
  context: ReconcileContext,
): Reached {
  const at = { secret: { version: context.resources.secretVersions(pass.resource) } };
  if (error !== undefined) return failed(pass, error, context, at);
  return withReport({ ...at, end: { kind: 'resolving', url }, memory: keptMemory(pass), changes: [] });
}

/** Nothing that leads to a writer of images is passed on. */
async function observeImport(
  imported: ImportSpec,
  pass: Pass,
  cloud: ReadableCloud,
  at: Pick<Report, 'secret' | 'cloud'>,
  context: ReconcileContext,
): Promise<Reached> {
  const { signal } = context;
  const mirrored = await attempt(signal, () => mirror(imported, pass.memory, cloud, pass.turn, signal));
  if (!mirrored.ok) return failed(pass, mirrored.error, context, at);
  const { value } = mirrored;
  if (value.kind === 'refreshing') return outcome({ kind: 'requeueAfter', afterMs: value.ms });
  return publishObserved({ ...at, ...value.report }, pass, context);
}

/**
 * What is shown in addition to the failure of a transfer. It is one of the Secrets with which the transfer started, which the status names:
 * with others it may succeed. A status that names none has not shown the cloud and the image either.
 */
async function whatElseToShow(pass: Pass, context: ReconcileContext): Promise<Partial<Report>> {
  const { resource, memory } = pass;
  const { secretVersion: version } = resource.status;
  if (version !== undefined) return { secret: { version } };
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok || opened.value === undefined) return { secret };
  const { projectID, region, place } = opened.value;
  const at = { secret, cloud: { projectID, region } };
  const look = performContext(pass, undefined, opened.value, context);
  const seen = await attempt(context.signal, () => observe(look, memory, place));
  // An image that may still appear must not be forgotten.
  if (!seen.ok || seen.value.doubtMs > 0) return at;
  return { ...at, observed: seen.value.observed, memory: { ...seen.value.memory, place } };
}

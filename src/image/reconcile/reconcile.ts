/**
 * One reconcile of one resource, from top to bottom: gone? being moved? due? its transfer? deleting? suspended? Otherwise open the
 * cloud, observe, plan, perform, follow the end of the plan, and summarise.
 *
 * Guarantees: a reconcile never streams data and never waits for what others do. However it ends, the status says how.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { finalizer } from '../../api/group.ts';
import type { ImportSpec } from '../../api/import.ts';
import type { Outcome } from '../../controller/outcome.ts';
import { addToContext } from '../../lib/context.ts';
import { attempt, type OperatorError, unreachable } from '../../lib/errors.ts';
import type { Key } from '../../lib/key.ts';
import { desire } from '../model/desired.ts';
import { withCandidate } from '../model/memory.ts';
import { isOurs } from '../model/ownership.ts';
import type { Report } from '../model/report.ts';
import { observe } from '../observe/observe.ts';
import { readConfigMaps } from '../perform/config-maps.ts';
import { pursue } from '../perform/pursue.ts';
import { configMapsOf } from '../plan/publication.ts';
import { isMismatch, isPassing, type PinnedSource } from '../publishers/candidates.ts';
import { declarationOf, isOfFirstUse, ofFirstUse, type Pinning, pin } from '../publishers/resolution.ts';
import { pinningAfter } from '../status/updating.ts';
import { conclude, lookAgain } from './conclude.ts';
import { follow, remembered, withoutWrong } from './follow.ts';
import { glimpse } from './glimpse.ts';
import { beingMoved, isBeingMoved, isUnguarded } from './guard.ts';
import { mirror, type ReadableCloud } from './observed-import.ts';
import { openCloud } from './open.ts';
import {
  begin,
  failed,
  isWorkedOn,
  keptMemory,
  newerOperator,
  outcome,
  type Pass,
  type Reached,
  type ReconcileContext,
  type ReconcilerOptions,
  turnOf,
  withReport,
} from './pass.ts';
import { performContext } from './perform-context.ts';
import { publishObserved } from './publish-observed.ts';
import { isUnpinned, mayBeLost, recover } from './recover.ts';
import { release } from './release.ts';

type Reconcile = (key: Key, signal: AbortSignal, grace: AbortSignal) => Promise<Outcome>;

export function createReconciler(options: ReconcilerOptions): Reconcile {
  return (key, signal, grace) => reconcile(key, { ...options, signal, grace });
}

export async function reconcile(key: Key, context: ReconcileContext): Promise<Outcome> {
  const { resources, transfers, drift, stripped, following } = context;
  const declared = resources.get(key);
  if (declared === undefined || isReleased(declared)) {
    drift.forget(key);
    stripped.forget(key);
    following.publishers.forget(key);
    following.candidates.forget(key);
    await transfers.cancel(key);
    return { kind: 'awaitChange' };
  }
  const waitMs = stripped.waitMs(key, declared);
  if (waitMs > 0) return { kind: 'requeueAfter', afterMs: waitMs };
  addToContext({ generation: declared.metadata.generation });
  if (isIdle(declared)) await transfers.cancel(key);
  const isUnsearched = mayBeLost(declared);
  const pinning = pin(key, declared, following, context.clock.now(), !isUnsearched);
  const turn = turnOf(key, pinning, context);
  if (turn.kind === 'notDue') return lookAgain(turn.ms, pinning.nextMs);
  const begun = begin(key, pinning, turn, context);
  const found = isUnpinned(begun) ? await attempt(context.grace, () => recover(begun, context)) : undefined;
  if (found?.ok === false) return end(begun, failed(begun, found.error, context), context);
  if (found?.value === 'again') return { kind: 'requeue' };
  const known = found?.value ?? (isUnsearched ? pin(key, declared, following, context.clock.now()) : undefined);
  const pass = known === undefined ? begun : begin(key, known, turn, context);
  if (pass.news.kind === 'obsolete') await transfers.cancel(key);
  const reached = await attempt(context.grace, () => reach(pass, context));
  return end(pass, reached.ok ? reached.value : failed(pass, reached.error, context), context);
}

async function end(pass: Pass, reached: Reached, context: ReconcileContext): Promise<Outcome> {
  switch (reached.kind) {
    case 'report':
      return conclude(pass, followed(pass, reached.report, context), context);
    case 'released':
      await context.resources.removeFinalizer(pass.resource, context.grace);
      context.drift.forget(pass.key);
      return { kind: 'awaitChange' };
    case 'outcome':
      return reached.outcome;
    default:
      return unreachable(reached);
  }
}

/**
 * A file that differs from its list may be newer than the list, so that is read again before the failure counts. When a candidate
 * fails, its image waits for the next attempt if the cause may pass; otherwise the image that is pinned goes on without it.
 */
function followed(pass: Pass, report: Report, { following: { candidates } }: ReconcileContext): Report {
  const { key } = pass;
  const { end, memory } = report;
  const pinning = pinningAfter(pass.pinning, memory);
  if (pinning.kind !== 'pinned' && pinning.kind !== 'candidate') return report;
  const { digest } = pinning.source;
  if (end.kind === 'converged') {
    candidates.settle(key, digest);
    return { ...report, memory: withCandidate(memory, undefined) };
  }
  if (end.kind !== 'failed') return report;
  if (pinning.kind === 'candidate') {
    if (isPassing(end.error)) return report;
    candidates.reject(key, digest, end.error);
    return { ...report, end: { kind: 'held', error: end.error } };
  }
  if (!isMismatch(end.error) && !isOfUnreadList(pass, pinning, end.error)) return report;
  if (isOfFirstUse(pinning)) return { ...report, end: { kind: 'failed', error: ofFirstUse(end.error, digest) } };
  if (pinning.resource.status.imageID !== undefined) return report;
  const isRead = candidates.get(key)?.digest === digest && pinning.isRereading !== true;
  if (isRead) return report;
  if (pinning.isRereading !== true) candidates.reject(key, digest, end.error);
  return { ...report, end: { kind: 'resolving', url: pinning.url } };
}

/** After a lost status, and no image is left that has the digest: where its file is, and whether there is one still, is not known. */
function isOfUnreadList(
  { news, transfer }: Pass,
  { kind, source }: Pinning & { source: PinnedSource },
  error: OperatorError,
): boolean {
  if (kind !== 'pinned' || source.url !== undefined || isPassing(error)) return false;
  return news.kind === 'failed' && news.error === error && transfer?.plan.method !== 'Verify';
}

async function reach(pass: Pass, context: ReconcileContext): Promise<Reached> {
  const { resource, memory, newerVersion } = pass;
  if (isDeleting(resource)) return release(pass, context);
  const held = await restoreGuard(pass, context);
  if (held !== undefined) return held;
  if (resource.spec.suspend) return withReport({ end: { kind: 'suspended' }, memory, changes: [] });
  if (newerVersion !== undefined) return failed(pass, newerOperator(newerVersion), context);
  return converge(pass, context);
}

/** Puts back what keeps the resource until its images are dealt with. Returns how the reconcile ends, if it does not go on. */
async function restoreGuard(pass: Pass, context: ReconcileContext): Promise<Reached | undefined> {
  const { resource, identity } = pass;
  if (isBeingMoved(resource)) return failed(pass, beingMoved(), context);
  if (!isUnguarded(resource)) return undefined;
  const isGuarded = await context.resources.addFinalizer(resource, identity.value, context.signal);
  return isGuarded ? undefined : outcome({ kind: 'awaitChange' });
}

/** From what is declared to what Glance holds. */
async function converge(pass: Pass, context: ReconcileContext): Promise<Reached> {
  const { resource, identity, memory, news, pinning } = pass;
  if (pinning.kind === 'open') return unresolved(pass, pinning, context);
  if (news.kind === 'active')
    return withReport({ end: { kind: 'transferring', state: news.state }, memory: keptMemory(pass), changes: [] });
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
  const seen = await attempt(context.signal, () => observe(perform, memory, isWorkedOn(pass), cloud.place));
  if (!seen.ok) return failed(pass, seen.error, context, at);
  const { gone, doubtMs } = seen.value;
  if (doubtMs > 0) return outcome({ kind: 'requeueAfter', afterMs: doubtMs });
  const observed = configMaps === undefined ? seen.value.observed : { ...seen.value.observed, configMaps };
  const replaceable = gone.filter((id) => id !== desired.adopts);
  const vanished = replaceable.map((id) => ({ kind: 'vanished' as const, id }));
  const pursued = await pursue(desired, { observed, memory: seen.value.memory }, perform);
  if (pursued.kind === 'gone') return outcome({ kind: 'awaitChange' });
  if (pursued.kind === 'outdated') return outcome({ kind: 'requeue' });
  const { state } = pursued;
  // Images that were taken over and need no change.
  const isOwner = state.observed.revisions.some(({ ownership }) => isOurs(ownership));
  if (isOwner && !(await perform.guard())) return outcome({ kind: 'awaitChange' });
  const place = state.memory.images.length === 0 ? {} : { place: cloud.place };
  const learned = { ...at, observed: state.observed, changes: [...vanished, ...pursued.changes] };
  const withPlace = { ...state.memory, ...place };
  if (pursued.kind === 'failed') {
    const usable = withoutWrong(withPlace, state.observed, desired, context.clock.now());
    return failed(pass, pursued.error, context, { ...learned, memory: usable });
  }
  const remember = remembered(withPlace, pursued.next, state.observed, desired, context.clock.now());
  const content = pursued.content ?? (news.kind === 'verified' ? news.content : undefined);
  return withReport({ ...learned, content, memory: remember, end: await follow(pursued.next, pass, cloud, context) });
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
 * What the first status of a resource shows in addition to the failure of its transfer. Without the version of the Secret, the Secret
 * would count as changed, and the transfer would start again at once.
 */
async function whatElseToShow(pass: Pass, context: ReconcileContext): Promise<Partial<Report>> {
  const { resource, memory } = pass;
  if (resource.status.conditions !== undefined) return {};
  const { cloud: opened, secret } = await openCloud(pass, context);
  if (!opened.ok || opened.value === undefined) return { secret };
  const { projectID, region, place } = opened.value;
  const at = { secret, cloud: { projectID, region } };
  const look = performContext(pass, undefined, opened.value, context);
  const seen = await attempt(context.signal, () => observe(look, memory, false, place));
  return seen.ok ? { ...at, observed: seen.value.observed, memory: { ...seen.value.memory, place } } : at;
}

function isDeleting({ metadata }: GlanceImage): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function isReleased(resource: GlanceImage): boolean {
  return isDeleting(resource) && !resource.metadata.finalizers.includes(finalizer);
}

/** Nothing is transferred for it. */
function isIdle(resource: GlanceImage): boolean {
  return isDeleting(resource) || resource.spec.suspend;
}

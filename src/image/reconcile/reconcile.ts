/**
 * One reconcile of one resource, from top to bottom: gone? being moved? due? its transfer? deleting? suspended? Otherwise converge, and
 * summarise.
 *
 * Guarantees: a reconcile never streams data and never waits for what others do. However it ends, the status says how.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { finalizer } from '../../api/group.ts';
import type { Outcome } from '../../controller/outcome.ts';
import { addToContext } from '../../lib/context.ts';
import { attempt, unreachable } from '../../lib/errors.ts';
import type { Key } from '../../lib/key.ts';
import { pin, pinBeforeSearch } from '../publishers/resolution.ts';
import { afterFile } from './after-file.ts';
import { conclude, lookAgain } from './conclude.ts';
import { converge } from './converge.ts';
import { beingMoved, isBeingMoved, isUnguarded } from './guard.ts';
import { withHome } from './open.ts';
import {
  begin,
  failed,
  newerOperator,
  outcome,
  type Pass,
  type Reached,
  type ReconcileContext,
  type ReconcilerOptions,
  turnOf,
  unknownField,
  withReport,
} from './pass.ts';
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
  const transfer = transfers.get(key);
  if (isIdle(declared)) await transfers.cancel(key);
  const isUnsearched = mayBeLost(declared);
  const pinNow = isUnsearched ? pinBeforeSearch : pin;
  const pinning = pinNow(key, declared, following, context.clock.now());
  const turn = turnOf(key, pinning, context);
  if (turn.kind === 'notDue') return lookAgain(turn.ms, pinning.nextMs);
  const begun = withHome(begin(key, pinning, turn, context), transfer, context);
  const found = isUnpinned(begun) ? await attempt(context.grace, () => recover(begun, context)) : undefined;
  if (found?.ok === false) return end(begun, failed(begun, found.error, context), context);
  if (found?.value === 'again') return { kind: 'requeue' };
  const known = found?.value ?? (isUnsearched ? pin(key, declared, following, context.clock.now()) : undefined);
  const pass = known === undefined ? begun : withHome(begin(key, known, turn, context), transfer, context);
  if (pass.news.kind === 'obsolete') await transfers.cancel(key);
  const reached = await attempt(context.grace, () => reach(pass, context));
  return end(pass, reached.ok ? reached.value : failed(pass, reached.error, context), context);
}

async function end(pass: Pass, reached: Reached, context: ReconcileContext): Promise<Outcome> {
  switch (reached.kind) {
    case 'report':
      return conclude(pass, afterFile(pass, reached.report, context), context);
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

async function reach(pass: Pass, context: ReconcileContext): Promise<Reached> {
  const { resource, memory, newerVersion } = pass;
  if (isDeleting(resource)) return release(pass, context);
  const held = await restoreGuard(pass, context);
  if (held !== undefined) return held;
  if (resource.spec.suspend) return withReport({ end: { kind: 'suspended' }, memory, changes: [] });
  if (newerVersion !== undefined) return failed(pass, newerOperator(newerVersion), context);
  if (resource.unknownField !== undefined) return failed(pass, unknownField(resource.unknownField), context);
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

/**
 * What follows from the end of a plan: a transfer starts, or the reconcile ends settled, waiting or failed.
 *
 * Invariant: a transfer that has just failed is not started again before its time.
 */
import type { Image } from '../../glance/image.ts';
import { whyImportFailed } from '../../glance/import-state.ts';
import { compact } from '../../lib/compact.ts';
import { attempt, OperatorError } from '../../lib/errors.ts';
import type { Cloud } from '../access/clouds.ts';
import type { Desired } from '../model/desired.ts';
import { findingOf, type Memory, mostKeys, withFinding, withPromoted } from '../model/memory.ts';
import type { ActiveTransfer, End } from '../model/report.ts';
import type { Observed } from '../model/revisions.ts';
import { isUsable, lockOf } from '../model/revisions.ts';
import type { Next } from '../model/step.ts';
import { fillPlan, verifyPlan } from '../model/transfer.ts';
import { hashOf } from '../model/verify.ts';
import { withAdopted } from '../plan/adopt.ts';
import { obeyPin } from '../plan/pin.ts';
import { withMembers } from '../plan/sharing.ts';
import type { Pass, ReconcileContext } from './pass.ts';

export async function follow(next: Next, pass: Pass, cloud: Cloud, context: ReconcileContext): Promise<End> {
  switch (next.kind) {
    case 'settled':
      return { kind: 'converged' };
    case 'wait':
      return { kind: 'waiting', phase: next.phase, imageID: next.image.id, why: next.why, ms: next.ms };
    case 'transfer':
      return transferring(next, pass, cloud, context);
    case 'importFailed':
      return { kind: 'failed', error: await importFailure(next, cloud, context) };
    case 'blocked':
      return { kind: 'failed', error: new OperatorError(next.message, { code: next.code }) };
    case 'inspect':
    case 'readMembers':
      throw new Error('it is a part of the plan');
  }
}

function transferring(
  { image, content, purpose }: Extract<Next, { kind: 'transfer' }>,
  { key, resource, news, transfer }: Pass,
  { address }: Cloud,
  { transfers, limits }: ReconcileContext,
): End {
  // An image that could not be read back because it is gone has no part in the filling of another one.
  const isOfFill = purpose === 'fill' && transfer?.plan.method !== 'Verify';
  if (news.kind === 'failed' && news.error instanceof OperatorError && isOfFill)
    return { kind: 'failed', error: news.error };
  const plan = purpose === 'fill' ? fillPlan : verifyPlan;
  transfers.start(key, plan(resource, image.id, content, { address, limits }));
  const started = transfers.get(key);
  return isActive(started) ? { kind: 'transferring', state: started } : stopping(image.id);
}

function isActive(state: { kind: string } | undefined): state is ActiveTransfer {
  return state?.kind === 'queued' || state?.kind === 'running';
}

/** The scheduler starts nothing while the process stops. */
function stopping(imageID: string): End {
  return { kind: 'waiting', phase: 'Waiting', imageID, why: 'the operator is stopping', ms: 1_000 };
}

/** Glance's message is in the last task of the image, if anywhere. */
async function importFailure(
  { image, what }: Extract<Next, { kind: 'importFailed' }>,
  { images }: Cloud,
  { signal }: ReconcileContext,
): Promise<OperatorError> {
  // The cause may be forbidden to read, or be unavailable. The import has failed nevertheless.
  const tasks = await attempt(signal, () => images.tasks(image.id, signal));
  const why = whyImportFailed(tasks.ok ? tasks.value : []);
  return new OperatorError(`Glance could not import ${what} of image ${image.id}: ${why}`, {
    code: 'ImportFailed',
  });
}

/** What the operator remembers when it has followed `next`. */
export function remembered(memory: Memory, next: Next, observed: Observed, declared: Desired, now: Date): Memory {
  const desired = obeyPin(declared, { observed, memory }, now);
  const kept = withAdopted(withoutWrong(memory, observed, desired, now), observed, desired, now);
  const at = now.toISOString();
  switch (next.kind) {
    case 'settled': {
      const {
        interrupted: _,
        owners: __,
        ...promoted
      } = withPromoted(withoutEnded(kept, observed, now), next.image.id, [], now);
      const others = observed.revisions.flatMap(({ image: { owner } }) => (owner === null ? [] : [owner]));
      const owners = [...new Set(others)].filter((one) => one !== desired.image.owner).sort();
      const applied = {
        ...promoted,
        owner: desired.image.owner,
        ...(owners.length === 0 ? {} : { owners }),
        propertyKeys: keysLeft(desired, promoted),
      };
      return withRight(withMembers(applied, desired.members, observed.revisions), next.image, desired);
    }
    case 'wait': {
      const imageID = next.image.id;
      if (next.phase === 'Importing' && kept.import?.imageID !== imageID)
        return { ...kept, import: { imageID, kind: 'found', at } };
      if (next.phase === 'Waiting' && desired.content !== undefined && kept.interrupted?.imageID !== imageID)
        return { ...kept, interrupted: { imageID, at, isCut: false } };
      return kept;
    }
    // An earlier interruption does not matter to the next upload.
    case 'transfer':
    case 'importFailed': {
      const { interrupted, ...rest } = withoutEnded(kept, observed, now);
      return interrupted === undefined || interrupted.imageID === next.image.id ? rest : { ...rest, interrupted };
    }
    case 'blocked':
    case 'inspect':
    case 'readMembers':
      return kept;
  }
}

/** A key that was declared, and that Glance does not let us remove yet, is removed later. */
function keysLeft({ propertyKeys }: Desired, memory: Memory): string[] {
  const stuck = memory.unremovable?.keys.filter((key) => memory.propertyKeys.includes(key)) ?? [];
  return [...new Set([...propertyKeys, ...stuck])].slice(0, mostKeys).sort();
}

/** An import whose lock is on its image still is remembered, because Glance keeps the lock of one whose worker has died. */
function withoutEnded(memory: Memory, { revisions }: Observed, now: Date): Memory {
  const { import: running, ...rest } = memory;
  const image = revisions.find((one) => one.image.id === running?.imageID)?.image;
  return image === undefined || lockOf(image, memory, now).kind === 'none' ? rest : memory;
}

/** An image that is right by its hash has a finding too, so that it stays known as verified when another content is declared. */
function withRight(memory: Memory, image: Image, { binding: fingerprint }: Desired): Memory {
  const isKnown = findingOf(memory, image.id, fingerprint) !== undefined;
  if (fingerprint === undefined || isKnown) return memory;
  const found = { imageID: image.id, fingerprint, verdict: 'right' as const, hash: hashOf(image) };
  return withFinding(memory, compact({ ...found, size: image.size ?? undefined }));
}

/**
 * An image that is found to be wrong, or gone, is not the one to use. One that was verified for an earlier declaration is, until
 * another one is promoted.
 */
export function withoutWrong(memory: Memory, { revisions }: Observed, desired: Desired, now: Date): Memory {
  const { promoted, ...rest } = memory;
  if (promoted === undefined) return memory;
  const image = revisions.find((one) => one.image.id === promoted)?.image;
  return image !== undefined && isUsable(image, desired, memory, now) ? memory : rest;
}

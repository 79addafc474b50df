/**
 * What follows from the end of a plan: a transfer starts, or the reconcile ends settled, waiting or failed.
 *
 * Invariant: a transfer that has just failed is not started again before its time.
 */
import { whyImportFailed } from '../glance/import-state.ts';
import { OperatorError } from '../lib/errors.ts';
import type { Cloud } from './clouds.ts';
import type { Desired } from './desired.ts';
import { type Memory, withImage } from './memory.ts';
import type { Pass, ReconcileContext } from './pass.ts';
import type { Next } from './plan.ts';
import type { ActiveTransfer, End } from './report.ts';
import type { Observed } from './revisions.ts';
import { stageOf } from './revisions.ts';
import { fillPlan, verifyPlan } from './transfer.ts';

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
      throw new Error('an inspection is a part of the plan');
  }
}

function transferring(
  { image, content, purpose }: Extract<Next, { kind: 'transfer' }>,
  { key, resource, news }: Pass,
  { address }: Cloud,
  { transfers, limits }: ReconcileContext,
): End {
  if (news.kind === 'failed' && news.error instanceof OperatorError && purpose === 'fill')
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
  const why = whyImportFailed(await images.tasks(image.id, signal));
  return new OperatorError(`Glance could not import ${what} of image ${image.id}: ${why}`, {
    code: 'ImportFailed',
  });
}

/** What the operator remembers when it has followed `next`. */
export function remembered(memory: Memory, next: Next, observed: Observed, desired: Desired, now: Date): Memory {
  const kept = withoutWrong(memory, observed, desired, now);
  const at = now.toISOString();
  switch (next.kind) {
    case 'settled': {
      const { import: _, interrupted: __, ...rest } = withImage(kept, next.image.id, true);
      const ids = new Set(rest.images);
      return {
        ...rest,
        promoted: next.image.id,
        owner: desired.image.owner,
        propertyKeys: desired.propertyKeys,
        findings: rest.findings.filter(({ imageID }) => ids.has(imageID)),
      };
    }
    case 'wait': {
      const imageID = next.image.id;
      if (next.phase === 'Importing' && kept.import?.imageID !== imageID)
        return { ...kept, import: { imageID, kind: 'found', at } };
      if (next.phase === 'Waiting' && desired.content !== undefined && kept.interrupted?.imageID !== imageID)
        return { ...kept, interrupted: { imageID, at, isCut: false } };
      return kept;
    }
    case 'transfer':
    case 'importFailed': {
      const { import: _, ...rest } = kept;
      return rest;
    }
    case 'blocked':
    case 'inspect':
      return kept;
  }
}

/** An image that is found to be wrong, or gone, is not the one to use. */
function withoutWrong(memory: Memory, { revisions }: Observed, desired: Desired, now: Date): Memory {
  const { promoted, ...rest } = memory;
  if (promoted === undefined) return memory;
  const image = revisions.find((one) => one.image.id === promoted)?.image;
  const isWrong = image === undefined || stageOf(image, desired, memory, now).kind === 'useless';
  return isWrong ? rest : memory;
}

/**
 * Fills an image by way of Glance's staging area, so that its import plugins run.
 *
 * Guarantees: an import starts only after all of the data is known to be staged, which is awaited for hours as long as Glance is
 * storing it;
 * the result is compared with the data that was sent only if no plugin has changed it.
 */
import { Conflict } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { importState, whyImportFailed } from '../glance/import-state.ts';
import { OperatorError } from '../lib/errors.ts';
import {
  asTransferError,
  contentMismatch,
  type Delivery,
  isOutcomeUnknown,
  longestFinish,
  pollImage,
  requireActive,
  staleAfter,
  staleMs,
  verifiedOf,
  verifyUpload,
} from './delivery.ts';
import { type Pipeline, throwIfFailed, type Verified } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** A slower import has failed: its worker in Glance may have died, which Glance does not detect. */
const importMs = 600_000;
const importBytesPerMs = 4096;

/** Resolves with the image after the import. */
export async function stageImage(plan: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Image> {
  const verified = await stage(plan, pipeline, delivery);
  await requestImport(plan, delivery);
  const image = await waitForImport(plan, verified, delivery);
  requireActive(image);
  const unchanged = image.size === verified.bytes && image.diskFormat === plan.diskFormat;
  if (unchanged) verifyUpload(image, plan, verified);
  return image;
}

/** Resolves when all of the data is in the staging area. */
async function stage({ imageID }: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Verified> {
  const { images, signal } = delivery;
  let cause: unknown;
  try {
    await images.stage(imageID, pipeline.body, {
      ...(pipeline.size === undefined ? {} : { size: pipeline.size }),
      isQueued: true,
      onSent: pipeline.sent,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    throwIfFailed(pipeline);
    if (!isOutcomeUnknown(error) || pipeline.state().kind !== 'verified') throw asTransferError(error, imageID);
    cause = error;
  }
  const verified = verifiedOf(pipeline);
  const settled = (image: Image, elapsedMs: number) => stagedIn(image, elapsedMs, verified, cause);
  return pollImage(imageID, delivery, settled, { cause });
}

/** The data, if all of it is staged; undefined while Glance may store the rest. `cause` as in upload.ts. */
function stagedIn(
  { id, status, size }: Image,
  elapsedMs: number,
  verified: Verified,
  cause: unknown,
): Verified | undefined {
  if (status === 'uploading' && size === verified.bytes) return verified;
  const isStoring = cause !== undefined && status === 'uploading' && size === null;
  const isStale = status === 'queued' || (status === 'uploading' && cause === undefined);
  if (elapsedMs < (isStoring ? longestFinish(verified.bytes) : isStale ? staleAfter(cause) : 0)) return undefined;
  if (cause !== undefined) throw cause;
  throw contentMismatch(`image ${id} is ${status} with ${size ?? 'no'} staged bytes, sent were ${verified.bytes}`);
}

async function requestImport({ imageID, stores }: TransferPlan, delivery: Delivery): Promise<void> {
  const { images, signal } = delivery;
  const where = stores.kind === 'some' ? { stores: stores.names } : stores.kind === 'all' ? { allStores: true } : {};
  try {
    await images.importImage(imageID, { method: { name: 'glance-direct' }, ...where }, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!isOutcomeUnknown(error) && !(error instanceof Conflict)) throw error;
    // The first of two attempts may have succeeded although its response was lost.
    const image = await pollImage(imageID, delivery, (found) => found, { cause: error });
    if (image.status === 'uploading' && importState(image).kind !== 'running') throw error;
  }
}

/** Resolves when the import has succeeded. */
async function waitForImport({ imageID }: TransferPlan, { bytes }: Verified, delivery: Delivery): Promise<Image> {
  const { image, state } = await pollImage(imageID, delivery, (found, elapsedMs) => {
    const now = importState(found);
    const isStale = now.kind === 'failed' && found.status === 'uploading' && now.failedStores.length === 0;
    const waitMs = now.kind === 'running' ? importMs + bytes / importBytesPerMs : isStale ? staleMs : 0;
    return elapsedMs < waitMs ? undefined : { image: found, state: now };
  });
  switch (state.kind) {
    case 'succeeded':
      return image;
    case 'running':
      throw importFailed(imageID, 'it does not finish');
    case 'partial':
      throw importFailed(imageID, `it did not reach ${state.failedStores.join(', ')}`);
    case 'failed':
    case 'stuck':
      throw importFailed(imageID, await messageOfTask(imageID, delivery));
  }
}

/** The cause of a failed import, if Glance reports one. */
async function messageOfTask(imageID: string, { images, signal }: Delivery): Promise<string> {
  try {
    return whyImportFailed(await images.tasks(imageID, signal));
  } catch {
    // Report the failed import, not that its cause is unknown.
    signal.throwIfAborted();
    return whyImportFailed([]);
  }
}

function importFailed(imageID: string, why: string): OperatorError {
  const message = `the import of image ${imageID} failed: ${why}`;
  return new OperatorError(message, { code: 'ImportFailed' });
}

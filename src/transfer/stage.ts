/**
 * A verified body into an image by way of Glance's staging area, so that its import plugins run. Laws: nothing is imported
 * that is not known to lie there completely; and what a plugin makes of it is Glance's, so that only an image that no plugin
 * has changed is held against what was sent.
 */
import { Conflict } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { importState, whyImportFailed } from '../glance/import-state.ts';
import { backoff } from '../lib/backoff.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { contentMismatch, expectActive, expectArrival, verifiedOf } from './arrival.ts';
import { type Pipeline, throwIfFailed, type Verified } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';
import { type Delivery, inTransferTerms, leavesOpen, look } from './target.ts';

const pollGrowth = { firstMs: 250, maxMs: 5_000 };
/** An import that is slower than this is given up: the worker that did it may have died, which Glance never notices. */
const importMs = 600_000;
const importBytesPerMs = 4096;

/** Resolves with the image as Glance has made it. */
export async function stageImage(plan: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Image> {
  const verified = await stage(plan, pipeline, delivery);
  await requestImport(plan, delivery);
  const image = await imported(plan, verified, delivery);
  expectActive(image);
  const unchanged = image.size === verified.bytes && image.diskFormat === plan.diskFormat;
  if (unchanged) expectArrival(image, plan, verified);
  return image;
}

/** Resolves when all of the data lies in the staging area. */
async function stage({ imageID }: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Verified> {
  const { images, signal } = delivery;
  let cause: unknown;
  try {
    await images.stage(imageID, pipeline.body, {
      ...(pipeline.size === undefined ? {} : { size: pipeline.size }),
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    throwIfFailed(pipeline);
    if (!leavesOpen(error) || pipeline.state().kind !== 'verified') throw inTransferTerms(error, imageID);
    cause = error;
  }
  const verified = verifiedOf(pipeline);
  const { status, size } = await look(imageID, delivery, cause);
  if (status === 'uploading' && size === verified.bytes) return verified;
  if (cause !== undefined) throw cause;
  throw contentMismatch(`image ${imageID} is ${status} with ${size ?? 'no'} staged bytes, sent were ${verified.bytes}`);
}

async function requestImport({ imageID, stores }: TransferPlan, delivery: Delivery): Promise<void> {
  const { images, signal } = delivery;
  const where = stores.kind === 'some' ? { stores: stores.names } : stores.kind === 'all' ? { allStores: true } : {};
  try {
    await images.importImage(imageID, { method: { name: 'glance-direct' }, ...where }, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!leavesOpen(error) && !(error instanceof Conflict)) throw error;
    // The first of two tries may have been taken although its answer was lost.
    const image = await look(imageID, delivery, error);
    if (image.status === 'uploading' && importState(image).kind !== 'running') throw error;
  }
}

/** Resolves when the import is over and went well. */
async function imported({ imageID }: TransferPlan, { bytes }: Verified, delivery: Delivery): Promise<Image> {
  const { clock, signal } = delivery;
  const end = clock.monotonic() + importMs + bytes / importBytesPerMs;
  for (let polls = 0; ; polls++) {
    const image = await look(imageID, delivery);
    const state = importState(image);
    switch (state.kind) {
      case 'succeeded':
        return image;
      case 'running':
        if (clock.monotonic() >= end) throw importFailed(imageID, 'it does not come to an end');
        await clock.sleep(backoff(pollGrowth, polls), signal);
        break;
      case 'partial':
        throw importFailed(imageID, `it did not reach ${state.failedStores.join(', ')}`);
      case 'failed':
      case 'stuck':
        throw importFailed(imageID, await wordsOfTask(imageID, delivery));
    }
  }
}

/** Why it failed, as far as Glance tells. */
async function wordsOfTask(imageID: string, { images, signal }: Delivery): Promise<string> {
  try {
    return whyImportFailed(await images.tasks(imageID, signal));
  } catch {
    // The failure is the news, and not that nobody can tell the cause.
    signal.throwIfAborted();
    return whyImportFailed([]);
  }
}

function importFailed(imageID: string, why: string): OperatorError {
  const message = `the import of image ${imageID} failed: ${why}`;
  return new OperatorError(message, { code: 'ImportFailed', retry: retry.backoff });
}

/**
 * Fills an image with one PUT, after which it is active.
 *
 * Guarantees: the body is sent at most once; an error is the first cause, not its effect on the other side.
 */
import type { Image } from '../glance/image.ts';
import {
  asTransferError,
  contentMismatch,
  type Delivery,
  fetchImage,
  isOutcomeUnknown,
  verifiedOf,
  verifyUpload,
} from './delivery.ts';
import { type Pipeline, throwIfFailed } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** How long Glance may take to finish after the connection broke, if it had received all of the data. */
const settleMs = 600_000;
const pollMs = 1_000;

/** Resolves with the image as Glance reports it, after verification. */
export async function uploadImage(plan: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Image> {
  const { imageID, stores } = plan;
  const { images, signal } = delivery;
  const store = stores.kind === 'some' ? stores.names[0] : undefined;
  try {
    await images.upload(imageID, pipeline.body, {
      ...(pipeline.size === undefined ? {} : { size: pipeline.size }),
      ...(store === undefined ? {} : { store }),
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    throwIfFailed(pipeline);
    if (!isOutcomeUnknown(error)) throw asTransferError(error, imageID);
    return resolveOutcome(error, plan, pipeline, delivery);
  }
  const verified = verifiedOf(pipeline);
  const image = await fetchImage(imageID, delivery);
  verifyUpload(image, plan, verified);
  return image;
}

/** Finds out whether an upload with unknown outcome succeeded. Resolves if it did, and throws `error` otherwise. */
async function resolveOutcome(
  error: unknown,
  plan: TransferPlan,
  pipeline: Pipeline,
  delivery: Delivery,
): Promise<Image> {
  const { clock, signal } = delivery;
  const state = pipeline.state();
  const end = clock.monotonic() + settleMs;
  for (;;) {
    const image = await fetchImage(plan.imageID, delivery, error);
    if (image.status === 'active') {
      if (state.kind !== 'verified')
        throw contentMismatch(`image ${image.id} is active with a part of its data`, error);
      verifyUpload(image, plan, state);
      return image;
    }
    // The response was lost, but Glance may still be storing the data.
    const mayFinish = state.kind === 'verified' && image.status === 'saving';
    if (!mayFinish || clock.monotonic() >= end) throw error;
    await clock.sleep(pollMs, signal);
  }
}

/**
 * Fills an image with one PUT, after which it is active.
 *
 * Guarantees: the body is sent at most once; an error is the first cause, not its effect on the other side; after the last byte the
 * outcome is awaited for hours as long as Glance is storing the data, whatever a proxy between does.
 */
import type { Image } from '../glance/image.ts';
import {
  asTransferError,
  contentMismatch,
  type Delivery,
  isOutcomeUnknown,
  longestFinish,
  pollImage,
  staleAfter,
  verifiedOf,
  verifyUpload,
} from './delivery.ts';
import { type Pipeline, throwIfFailed } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** Resolves with the image as Glance reports it, after verification. */
export async function uploadImage(plan: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Image> {
  const { imageID, stores } = plan;
  const { images, signal } = delivery;
  const store = stores.kind === 'some' ? stores.names[0] : undefined;
  let cause: unknown;
  try {
    await images.upload(imageID, pipeline.body, {
      ...(pipeline.size === undefined ? {} : { size: pipeline.size }),
      ...(store === undefined ? {} : { store }),
      isQueued: true,
      onSent: pipeline.sent,
      signal,
    });
    verifiedOf(pipeline);
  } catch (error) {
    signal.throwIfAborted();
    throwIfFailed(pipeline);
    if (!isOutcomeUnknown(error)) throw asTransferError(error, imageID);
    cause = error;
  }
  const settled = (image: Image, elapsedMs: number) => outcomeOf(image, elapsedMs, plan, pipeline, cause);
  const isComplete = pipeline.state().kind === 'verified';
  return pollImage(imageID, delivery, settled, { cause, ...(isComplete ? {} : { patienceMs: 0 }) });
}

/**
 * The image, if it has all of the data; undefined while Glance may finish it. `cause` is the error of an upload that may have
 * succeeded nevertheless: proxies close connections to a Glance that is still storing the data.
 */
function outcomeOf(
  image: Image,
  elapsedMs: number,
  plan: TransferPlan,
  pipeline: Pipeline,
  cause: unknown,
): Image | undefined {
  const state = pipeline.state();
  if (state.kind !== 'verified') {
    if (image.status === 'active') throw contentMismatch(`image ${image.id} is active with a part of its data`, cause);
    throw cause;
  }
  const isStale = image.status === 'queued' && elapsedMs < staleAfter(cause);
  if (isStale || (image.status === 'saving' && elapsedMs < longestFinish(state.bytes))) return undefined;
  if (image.status !== 'active' && cause !== undefined) throw cause;
  verifyUpload(image, plan, state);
  return image;
}

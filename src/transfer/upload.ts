/**
 * A verified body into an image by one PUT, after which it is active. Laws: the body is sent once and never again, and what
 * went wrong is the first cause, not what it brought about at the other end.
 */
import type { Image } from '../glance/image.ts';
import { contentMismatch, expectArrival, verifiedOf } from './arrival.ts';
import { type Pipeline, throwIfFailed } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';
import { type Delivery, inTransferTerms, leavesOpen, look } from './target.ts';

/** How long Glance may go on by itself after the connection broke, when it had all of the data. */
const settleMs = 60_000;
const pollMs = 1_000;

/** Resolves with the image as Glance reports it, which is what was sent. */
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
    if (!leavesOpen(error)) throw inTransferTerms(error, imageID);
    return lookAfter(error, plan, pipeline, delivery);
  }
  const verified = verifiedOf(pipeline);
  const image = await look(imageID, delivery);
  expectArrival(image, plan, verified);
  return image;
}

/** Whether the data arrived, nobody said: resolves if it did, and throws `error` if not. */
async function lookAfter(error: unknown, plan: TransferPlan, pipeline: Pipeline, delivery: Delivery): Promise<Image> {
  const { clock, signal } = delivery;
  const state = pipeline.state();
  const end = clock.monotonic() + settleMs;
  for (;;) {
    const image = await look(plan.imageID, delivery, error);
    if (image.status === 'active') {
      if (state.kind !== 'verified')
        throw contentMismatch(`image ${image.id} is active with a part of its data`, error);
      expectArrival(image, plan, state);
      return image;
    }
    // An answer that was lost on its way may still come true.
    const mayArrive = state.kind === 'verified' && image.status === 'saving';
    if (!mayArrive || clock.monotonic() >= end) throw error;
    await clock.sleep(pollMs, signal);
  }
}

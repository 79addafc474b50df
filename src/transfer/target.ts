/**
 * The image that is being filled, as Glance reports it. Law: where a connection leaves open what Glance did, Glance is asked,
 * and nothing is sent again for the sake of an answer.
 */
import type { ImageClient } from '../glance/client/index.ts';
import { GlanceConnectionFailed, GlanceUnavailable, ImageNotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';

/** Where the image waits. */
export interface Target {
  readonly images: Pick<ImageClient, 'get' | 'upload' | 'stage' | 'importImage' | 'tasks'>;
  /** The algorithm by which this Glance was seen to hash images. Learnt from every image that arrives. */
  hashAlgorithm: string | undefined;
}

export interface Delivery {
  images: Target['images'];
  clock: Clock;
  signal: AbortSignal;
}

/** Whether `error` leaves open what Glance did with what it was sent. */
export function leavesOpen(error: unknown): boolean {
  return error instanceof GlanceConnectionFailed || error instanceof GlanceUnavailable;
}

/** The image as it is now. Where that cannot be found out, `cause` is what went wrong. */
export async function look(id: string, { images, signal }: Delivery, cause?: unknown): Promise<Image> {
  try {
    return await images.get(id, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof ImageNotFound ? imageGone(id, error) : (cause ?? error);
  }
}

/** What `error` means for somebody who fills the image. */
export function inTransferTerms(error: unknown, id: string): unknown {
  return error instanceof ImageNotFound ? imageGone(id, error) : error;
}

function imageGone(id: string, cause: ImageNotFound): OperatorError {
  return new OperatorError(`image ${id} is gone: ${cause.message}`, {
    code: 'ImageGone',
    retry: retry.backoff,
    cause,
    ...(cause.httpStatus === undefined ? {} : { httpStatus: cause.httpStatus }),
    ...(cause.requestId === undefined ? {} : { requestId: cause.requestId }),
  });
}

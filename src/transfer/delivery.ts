/**
 * What the two ways to fill an image (upload and stage) have in common: the image as Glance reports it, and the verification that
 * it holds the data that was sent.
 *
 * Guarantees: an image counts as filled only if Glance reports it as active, with the size, digest and format that were sent; if a
 * failed connection leaves the outcome unknown, the image is fetched, and nothing is sent again to find out.
 */
import type { ImageClient } from '../glance/client/index.ts';
import { GlanceConnectionFailed, GlanceUnavailable, ImageNotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { formatDigest } from '../source/digest.ts';
import type { Pipeline, Verified } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** The Glance with the queued image. */
export interface Target {
  readonly images: Pick<ImageClient, 'get' | 'upload' | 'stage' | 'importImage' | 'tasks'>;
  /** The algorithm in which this Glance hashes images. Known after the first transfer. */
  hashAlgorithm: string | undefined;
}

export interface Delivery {
  images: Target['images'];
  clock: Clock;
  signal: AbortSignal;
}

/** Whether it is unknown what Glance did with the request that failed. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof GlanceConnectionFailed || error instanceof GlanceUnavailable;
}

/** The image at this moment. If it cannot be fetched, throws `cause`, the reason for fetching it. */
export async function fetchImage(id: string, { images, signal }: Delivery, cause?: unknown): Promise<Image> {
  try {
    return await images.get(id, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof ImageNotFound ? imageGone(id, error) : (cause ?? error);
  }
}

/** Translates a missing image into ImageGone. */
export function asTransferError(error: unknown, id: string): unknown {
  return error instanceof ImageNotFound ? imageGone(id, error) : error;
}

function imageGone(id: string, cause: ImageNotFound): OperatorError {
  return new OperatorError(`image ${id} does not exist any more: ${cause.message}`, {
    code: 'ImageGone',
    retry: retry.backoff,
    cause,
    ...(cause.httpStatus === undefined ? {} : { httpStatus: cause.httpStatus }),
    ...(cause.requestId === undefined ? {} : { requestId: cause.requestId }),
  });
}

/** The verified properties of the data that was sent. Throws the error of the data, or that it was not read to its end. */
export function verifiedOf(pipeline: Pipeline): Verified {
  const state = pipeline.state();
  switch (state.kind) {
    case 'verified':
      return state;
    case 'failed':
      throw state.error;
    case 'open':
      throw contentMismatch('Glance accepted the request before it had all of the data, so the image is not complete');
  }
}

/** Throws ContentMismatch unless the image is active and holds the data that was sent. */
export function verifyUpload(image: Image, plan: TransferPlan, verified: Verified): void {
  requireActive(image);
  const problem = differenceOf(image, plan, verified);
  if (problem !== undefined) throw contentMismatch(`image ${image.id} ${problem}`);
}

export function requireActive(image: Image): void {
  if (image.status !== 'active')
    throw contentMismatch(`Glance accepted all of the data, but image ${image.id} is ${image.status}`);
}

/** How the image differs from the data that was sent, as the end of a sentence. Unreported fields are not compared. */
function differenceOf(
  image: Image,
  { diskFormat }: TransferPlan,
  { bytes, imageDigest }: Verified,
): string | undefined {
  const { size, hash } = image;
  if (size !== null && size !== bytes) return `has ${size} bytes, sent were ${bytes}`;
  // A digest in another algorithm cannot be compared.
  if (hash?.algorithm === imageDigest.algorithm && hash.value.toLowerCase() !== imageDigest.hex)
    return `has the digest ${hash.algorithm}:${hash.value}, sent was ${formatDigest(imageDigest)}`;
  if (image.diskFormat !== null && image.diskFormat !== diskFormat)
    return `has the disk format ${image.diskFormat}, sent was ${diskFormat}`;
  return undefined;
}

/** The image holds, or may hold, other data than what was verified: it must be replaced. */
export function contentMismatch(problem: string, cause?: unknown): OperatorError {
  return new OperatorError(`${problem}; it is not used and will be created again`, {
    code: 'ContentMismatch',
    retry: retry.backoff,
    cause,
  });
}

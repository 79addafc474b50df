/**
 * What the methods of a transfer have in common: the image as Glance reports it, and its comparison with the data that was sent or
 * read.
 *
 * Guarantees: an image counts as filled only if Glance reports it as active, with the size, digest and format that were sent; if a
 * failed connection leaves the outcome unknown, the image is fetched, and nothing is sent again to find out; one response that a
 * database of Glance has not caught up with decides nothing.
 */
import type { ImageClient } from '../glance/client/index.ts';
import { GlanceConnectionFailed, GlanceUnavailable, ImageNotFound } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { backoff } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError } from '../lib/errors.ts';
import { formatDigest } from '../source/digest.ts';
import type { Pipeline, Verified } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** The Glance with the image. */
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

/** Resolves with the image after the method. Throws the first cause. */
export type Deliver = (plan: TransferPlan, pipeline: Pipeline, delivery: Delivery) => Promise<Image>;

/** How long Glance may report an image as it was before a request that succeeded: its databases are replicated. */
export const staleMs = 15_000;
/**
 * How long an image may be as it was before a request with this error. Glance may still be getting what a proxy has taken before it
 * gave up, unless the response is that of Glance.
 */
export function staleAfter(cause: unknown): number {
  const isOfGlance = cause instanceof GlanceUnavailable && cause.requestId !== undefined;
  return isOfGlance ? 0 : staleMs;
}
/** How long Glance may take after the last byte, while it reports that it is storing the data. */
const finishMs = 2 * 3_600_000;
const finishBytesPerMs = 4096;
export function longestFinish(bytes: number): number {
  return finishMs + bytes / finishBytesPerMs;
}

const pollGrowth = { firstMs: 250, maxMs: 5_000 };

export interface Polling {
  /** Why the image is fetched. It is thrown if the image cannot be fetched. */
  cause?: unknown;
  /** How long it may not be possible to fetch the image. Default: ten minutes. */
  patienceMs?: number;
}

/** Fetches the image until `settled` returns a result, or throws. */
export async function pollImage<T>(
  id: string,
  delivery: Delivery,
  settled: (image: Image, elapsedMs: number) => T | undefined,
  { cause, patienceMs = 600_000 }: Polling = {},
): Promise<T> {
  const { clock, signal } = delivery;
  const start = clock.monotonic();
  let readAt = start;
  for (let polls = 0; ; polls++) {
    const isPatient = clock.monotonic() - readAt < patienceMs;
    const image = await fetchImage(id, delivery, cause, isPatient);
    const now = clock.monotonic();
    if (image !== undefined) {
      readAt = now;
      const result = settled(image, now - start);
      if (result !== undefined) return result;
    }
    await clock.sleep(backoff(pollGrowth, polls), signal);
  }
}

/** Undefined if it cannot be fetched now and `isPatient`. */
async function fetchImage(
  id: string,
  { images, signal }: Delivery,
  cause: unknown,
  isPatient: boolean,
): Promise<Image | undefined> {
  try {
    return await images.get(id, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ImageNotFound) throw imageGone(id, error);
    if (isPatient && isOutcomeUnknown(error)) return undefined;
    throw cause ?? error;
  }
}

/** Translates a missing image into ImageGone. */
export function asTransferError(error: unknown, id: string): unknown {
  return error instanceof ImageNotFound ? imageGone(id, error) : error;
}

function imageGone(id: string, cause: ImageNotFound): OperatorError {
  return new OperatorError(`image ${id} does not exist any more: ${cause.message}`, {
    code: 'ImageGone',
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

/** Throws UploadMismatch unless the image is active and holds the data that was sent. */
export function verifyUpload(image: Image, plan: TransferPlan, verified: Verified): void {
  requireActive(image);
  const difference = differenceOf(image, verified, 'sent');
  if (difference !== undefined) throw contentMismatch(`image ${image.id} ${difference}`);
  if (image.diskFormat !== null && image.diskFormat !== plan.diskFormat)
    throw contentMismatch(`image ${image.id} has the disk format ${image.diskFormat}, sent was ${plan.diskFormat}`);
}

export function requireActive(image: Image): void {
  if (image.status !== 'active')
    throw contentMismatch(`Glance accepted all of the data, but image ${image.id} is ${image.status}`);
}

/** How the image differs from the data, as the end of a sentence. Unreported fields are not compared. */
export function differenceOf(
  { size, hash }: Image,
  { bytes, imageDigest }: Verified,
  participle: 'sent' | 'read',
): string | undefined {
  if (size !== null && size !== bytes) return `has ${size} bytes, ${participle} were ${bytes}`;
  // A digest in another algorithm cannot be compared.
  if (hash?.algorithm === imageDigest.algorithm && hash.value.toLowerCase() !== imageDigest.hex)
    return `has the digest ${hash.algorithm}:${hash.value}, ${participle} was ${formatDigest(imageDigest)}`;
  return undefined;
}

/** The image holds, or may hold, other data than what was verified: it must be replaced. */
export function contentMismatch(problem: string, cause?: unknown): OperatorError {
  return new OperatorError(`${problem}; it is not used and will be created again`, {
    code: 'UploadMismatch',
    cause,
  });
}

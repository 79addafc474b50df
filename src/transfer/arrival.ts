/**
 * Whether an image holds what was sent. Law: only what Glance itself reports counts as arrived: active, of the size and
 * digest that were sent, in the format that it was sent as.
 */
import type { Image } from '../glance/image.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { formatDigest } from '../source/digest.ts';
import type { Pipeline, Verified } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** What was verified of the data that went into the body. Throws what is wrong with it, or that not all of it was read. */
export function verifiedOf(pipeline: Pipeline): Verified {
  const state = pipeline.state();
  switch (state.kind) {
    case 'verified':
      return state;
    case 'failed':
      throw state.error;
    case 'open':
      throw contentMismatch('Glance was content with a part of the data, so that the image is not complete');
  }
}

/** Throws ContentMismatch unless the image is active with what was sent. */
export function expectArrival(image: Image, plan: TransferPlan, verified: Verified): void {
  expectActive(image);
  const problem = difference(image, plan, verified);
  if (problem !== undefined) throw contentMismatch(`image ${image.id} ${problem}`);
}

export function expectActive(image: Image): void {
  if (image.status !== 'active')
    throw contentMismatch(`Glance accepted all of the data, yet image ${image.id} is ${image.status}`);
}

/** In what the image is not what was sent, as the end of a sentence. What Glance does not tell cannot differ. */
function difference(image: Image, { diskFormat }: TransferPlan, { bytes, imageDigest }: Verified): string | undefined {
  const { size, hash } = image;
  if (size !== null && size !== bytes) return `has ${size} bytes, sent were ${bytes}`;
  // A digest in another algorithm cannot be compared.
  if (hash?.algorithm === imageDigest.algorithm && hash.value.toLowerCase() !== imageDigest.hex)
    return `has the digest ${hash.algorithm}:${hash.value}, sent was ${formatDigest(imageDigest)}`;
  if (image.diskFormat !== null && image.diskFormat !== diskFormat)
    return `has the disk format ${image.diskFormat}, sent was ${diskFormat}`;
  return undefined;
}

/** The image holds, or may come to hold, something else than what was verified: the record has to be replaced. */
export function contentMismatch(problem: string, cause?: unknown): OperatorError {
  return new OperatorError(`${problem}; it is not used but made again`, {
    code: 'ContentMismatch',
    retry: retry.backoff,
    cause,
  });
}

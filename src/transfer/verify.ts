/**
 * Verifies an image that exists: reads its data back and compares it with the plan. Nothing is written to Glance.
 *
 * Guarantees: it resolves only if all bytes have the digest and the format of the plan, and the image has the same data after the
 * last byte as before the first one. Otherwise the code of the error has the result:
 *
 * | result | codes |
 * |---|---|
 * | wrong | DigestMismatch, FormatMismatch and UnsafeImage, each if its `retry` is `change`; EmptySource |
 * | beyond a limit of the plan | MinDiskTooSmall, VirtualSizeExceeded, SourceTooLong |
 * | not verifiable | NotVerifiable: no digest is declared, and Glance has none |
 * | not readable | SourceForbidden (by a policy) |
 * | deactivated | SourceDeactivated |
 * | gone | SourceNotFound (before the read, or deleted), ImageGone (during the read) |
 * | transient | all others, such as SourceChanged, SourceUnavailable, SourceStalled, GlanceUnavailable, AuthenticationFailed |
 */
import type { Image } from '../glance/image.ts';
import { OperatorError } from '../lib/errors.ts';
import { digestInRecord } from '../source/glance.ts';
import { imageItself } from '../source/registry.ts';
import { type Delivery, differenceOf, pollImage, verifiedOf } from './delivery.ts';
import type { Pipeline } from './pipeline.ts';
import type { TransferPlan } from './plan.ts';

/** The plan to verify the image that `plan` fills. `digest` is that of its bytes; without it only the digest of Glance is compared. */
export function verificationOf(plan: TransferPlan, digest: string | undefined): TransferPlan {
  const { digest: _, member: __, convert: ___, ...rest } = plan;
  return {
    ...rest,
    ...(digest === undefined ? {} : { digest }),
    source: imageItself(plan.imageID, plan.cloud),
    digestOf: 'Image',
    decompress: 'None',
    method: 'Verify',
  };
}

/** Resolves with the image as Glance reports it after the last byte. */
export async function verifyImage(
  { imageID, digest }: TransferPlan,
  pipeline: Pipeline,
  delivery: Delivery,
): Promise<Image> {
  for await (const _ of pipeline.body);
  const verified = verifiedOf(pipeline);
  const image = await pollImage(imageID, delivery, (found) => found);
  if (digest === undefined && digestInRecord(image) === undefined)
    throw new OperatorError(
      `the data of image ${imageID} cannot be verified: no digest is declared, and Glance has none`,
      { code: 'NotVerifiable' },
    );
  const difference = differenceOf(image, verified, 'read');
  if (image.id === imageID && difference === undefined) return image;
  throw new OperatorError(
    `image ${imageID} changed while it was read: it ${difference ?? `is ${image.id}`}; the operator reads it again`,
    { code: 'SourceChanged' },
  );
}

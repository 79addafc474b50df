/** The transfer that a resource asks for, as a plan in plain JSON, and what its end means for the resource. */
import { isDeepStrictEqual } from 'node:util';
import type { GlanceImage } from '../api/glanceimage.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import type { ImageClient } from '../glance/client/index.ts';
import { compact } from '../lib/compact.ts';
import { OperatorError } from '../lib/errors.ts';
import { printable } from '../lib/text.ts';
import type { TransferPlan, TransferResult } from '../transfer/plan.ts';
import type { TransferState } from '../transfer/scheduler.ts';
import { removeUnprotected } from './act.ts';
import type { CloudRef } from './clouds.ts';
import { type Content, contentOf, storesOf } from './content.ts';
import type { Facts, Transferred } from './facts.ts';
import { type Claim, isOurs } from './identity.ts';
import { find } from './observe.ts';

export function cloudRefOf(resource: GlanceImage): CloudRef {
  return { namespace: resource.metadata.namespace, ...resource.spec.cloud };
}

/** `address` is the origin of the image endpoint. */
export function transferPlan(
  resource: GlanceImage,
  imageID: string,
  content: Content,
  { address, limits }: { address: string; limits: TransferPlan['limits'] },
): TransferPlan {
  const { source, digest, digestOf, decompress, diskFormat, containerFormat, minDiskGiB, method } = content;
  return compact({
    imageID,
    cloud: compact({ ...cloudRefOf(resource), address }),
    source,
    digest,
    digestOf,
    decompress,
    diskFormat,
    containerFormat,
    minDiskGiB,
    method: method === 'Stage' ? ('Stage' as const) : ('Upload' as const),
    stores: storesOf(resource),
    limits,
  });
}

/** Whether a transfer does what is declared now. A lower bound on the disk, which only refuses, does not start it anew. */
export function isStillWanted(plan: TransferPlan, resource: GlanceImage): boolean {
  const content = contentOf(resource);
  if (content === undefined || content.method === 'WebDownload') return false;
  const wanted = transferPlan(resource, plan.imageID, content, { address: plan.cloud.address, limits: plan.limits });
  return isDeepStrictEqual({ ...wanted, minDiskGiB: 0 }, { ...plan, minDiskGiB: 0 });
}

/** How long the word of a transfer is as good as a look at Glance. */
const freshMs = 30_000;

/** The resource's image as the transfer left it, unless that was a while ago. */
export function imageLeftBy({ image, startedAt, durationMs }: TransferResult, status: GlanceImageStatus, now: Date) {
  const ageMs = now.getTime() - Date.parse(startedAt) - durationMs;
  return image.id === status.imageID && ageMs < freshMs ? image : undefined;
}

export function sentBy(result: TransferResult): Transferred {
  const { url, digest, imageDigest, bytes, compression, virtualSize, warnings } = result;
  const content = compact({
    url,
    digest,
    imageDigest,
    size: bytes,
    compression,
    virtualSize,
    warnings: warnings?.map((text) => printable(text, 1000)),
  });
  return { imageID: result.image.id, content };
}

/**
 * What follows from a failed transfer, beside being told. `remove`: Glance has activated something else than was sent.
 * `look`: the image was not waiting for data; an earlier upload of ours may be in its last breath, and then there is nothing
 * to tell.
 */
export function consequenceOf(error: unknown): 'tell' | 'remove' | 'look' {
  if (!(error instanceof OperatorError)) return 'tell';
  if (error.code === 'UploadMismatch') return 'remove';
  return error.code === 'Conflict' ? 'look' : 'tell';
}

/**
 * Whether nothing follows from this transfer any more, once the facts are written down. Of a failure with a consequence, what
 * kept it from being drawn may pass, and it is drawn then.
 */
export function isSettled(transfer: TransferState, { end }: Facts): boolean {
  if (transfer.kind !== 'failed' || consequenceOf(transfer.error) === 'tell') return true;
  return end.kind !== 'failed' || end.error === transfer.error;
}

export async function removeTransferred(
  facts: Facts,
  imageID: string,
  images: ImageClient,
  claim: Claim,
  signal: AbortSignal,
): Promise<void> {
  const image = await find(images, imageID, signal);
  if (image === undefined || !isOurs(image, claim, imageID)) return;
  await removeUnprotected(images, image, signal);
  facts.image = 'gone';
  facts.changes.push({ kind: 'replaced', id: imageID, why: 'the data in Glance differs from the data that was sent' });
}

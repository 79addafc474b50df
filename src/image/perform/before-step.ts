/**
 * Questions to the cloud before a step that could do harm or be in vain: do servers use an image that is to be deleted, and has the
 * project room for another revision?
 *
 * Invariant: an image whose use cannot be determined counts as in use. A quota that cannot be read prevents nothing, because Glance
 * enforces it anyway.
 */
import type { ImageClient, QuotaUsage } from '../../glance/client/index.ts';
import { attempt, OperatorError } from '../../lib/errors.ts';
import type { Cloud } from '../access/clouds.ts';
import { asFailure } from '../status/failure.ts';

/** Why an image counts as in use. `isUnknown`: because Nova did not say. */
export interface Use {
  why: string;
  isUnknown: boolean;
}

/**
 * Servers of the project, by Nova. Glance itself rejects the deletion of an image of which its store holds clones. Undefined if it is
 * not in use.
 */
export async function useOf(
  imageID: string,
  { servers }: Pick<Cloud, 'servers'>,
  signal: AbortSignal,
): Promise<Use | undefined> {
  const use = await attempt(signal, () => servers(imageID, signal));
  if (!use.ok) return { why: asFailure(use.error).message, isUnknown: true };
  return use.value === 'used' ? { why: 'Nova lists servers that use it', isUnknown: false } : undefined;
}

/** Why Glance would accept no further image, or no data. Undefined if it would, or does not say. */
export async function whyNoRoom(
  images: Pick<ImageClient, 'usage'>,
  signal: AbortSignal,
): Promise<OperatorError | undefined> {
  const read = await attempt(signal, () => images.usage(signal));
  if (!read.ok) return undefined;
  const { image_count_total: count, image_size_total: size } = read.value;
  if (isOver(count, 1)) return noRoom('image_count_total', `${count?.usage} of ${count?.limit} images exist`);
  // Glance accepts data as long as the limit is not exceeded before, however much there is.
  if (isOver(size, 0)) return noRoom('image_size_total', `${size?.usage} of ${size?.limit} MiB are used`);
  return undefined;
}

/** A negative limit is none. */
function isOver(quota: QuotaUsage | undefined, added: number): boolean {
  return quota !== undefined && quota.limit >= 0 && quota.usage + added > quota.limit;
}

function noRoom(name: string, what: string): OperatorError {
  return new OperatorError(
    `the project has no room for another revision next to the current one, by its quota ${name}: ${what}. Nothing was downloaded, and ` +
      'the current revision stays. Have the quota raised, delete images that are not needed any more, or keep fewer retired revisions by ' +
      'spec.revisions.keep and keepFor',
    { code: 'NoRoomForRevision' },
  );
}

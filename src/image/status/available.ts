/**
 * The condition Available: whether there is an image to use, which is the one that `status.imageID` names.
 *
 * Invariant: pure. It says nothing about the present declaration: while another revision is on its way, or has failed, the current one
 * is available.
 */

import type { ConditionVerdict } from '../../api/conditions.ts';
import { findCondition } from '../../api/conditions.ts';
import type { Condition, GlanceImageStatus, SeenImage } from '../../api/status.ts';

/** `image`: the one to use, as last seen. `isCompared`: its data was compared with a declared content. */
export function availabilityOf(
  imageID: string | undefined,
  image: SeenImage | undefined,
  isCompared: boolean,
): ConditionVerdict {
  if (imageID === undefined)
    return { status: 'False', reason: 'NoImage', message: 'there is no image to use: status.imageID is absent' };
  if (image === undefined)
    return { status: 'Unknown', reason: 'NoImage', message: `image ${imageID} was not seen in Glance yet` };
  if (image.status !== 'active')
    return { status: 'False', reason: 'NoImage', message: `image ${imageID} is ${image.status} in Glance` };
  const compared = isCompared ? 'its data was verified' : 'its data was not compared with a declared content';
  return { status: 'True', reason: 'Available', message: `image ${imageID} is active, and ${compared}` };
}

/** The conditions, but that of the image to use as it was before. */
export function withAvailabilityOf(
  previous: GlanceImageStatus,
  conditions: readonly Condition[] | undefined,
): Condition[] | undefined {
  const before = findCondition(previous.conditions, 'Available');
  return conditions?.flatMap((one) => (one.type === 'Available' ? (before ?? []) : one));
}

/**
 * The mark of this cluster on images that come from elsewhere: from a cluster that is inherited, or from an earlier resource that
 * retained them.
 *
 * Invariant: each image of the resource gets the mark, before anything else is done with it, so that the operator of the other cluster
 * leaves it alone from then on.
 */
import { diffImage } from '../../glance/patch.ts';
import type { Desired } from '../model/desired.ts';
import { clusterProperty } from '../model/identity.ts';
import { isOurs } from '../model/ownership.ts';
import type { Observed, Revision } from '../model/revisions.ts';
import type { PlanStep } from '../model/step.ts';

/** In other states Glance may lose the change when the data is complete. */
export const patchable: ReadonlySet<string> = new Set(['queued', 'active', 'deactivated']);

/** Its mark is that of another cluster, whose operator may work on the same resource still. */
export function isInMove({ image: { status, properties }, ownership }: Revision, cluster: string): boolean {
  const other = properties[clusterProperty];
  return isOurs(ownership) && other !== undefined && other !== cluster && patchable.has(status);
}

export function markOfTakeover({ image: { properties } }: Desired, { revisions }: Observed): PlanStep | undefined {
  const cluster = properties?.[clusterProperty];
  if (cluster === undefined) return undefined;
  const isFromElsewhere = ({ image, ownership }: Revision) =>
    (ownership.kind === 'created' || ownership.kind === 'adopted') &&
    ownership.isMarked &&
    image.properties[clusterProperty] !== cluster;
  const image = revisions.find((one) => isFromElsewhere(one) && patchable.has(one.image.status))?.image;
  if (image === undefined) return undefined;
  const operations = diffImage(
    image,
    { properties: { [clusterProperty]: cluster } },
    { purge: false, keep: () => true },
  );
  return { kind: 'patch', image, operations, keys: [] };
}

/** What to do about the mark of another cluster. */
export const fromCluster =
  'If this GlanceImage was moved here from that cluster, or this cluster had that name, the administrator of the operator can add the ' +
  'name to --inherit-from, and the image is taken over';

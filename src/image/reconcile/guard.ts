/**
 * When the finalizer and the identity of a resource that owns images are put back, if another client has removed them.
 *
 * `clusterctl move` creates the object in the target, replaces its annotations in the source by one of its own, removes the finalizers
 * and deletes it, while the operator of the source runs (`deleteSourceObject` in cmd/clusterctl/client/cluster/mover.go of Cluster API).
 * A finalizer that is put back in between would make the deletion one of the image.
 *
 * Invariant: while a finalizer may be missing because its object is being moved, it is not put back, and nothing is changed in Glance.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { finalizer, identityAnnotation } from '../../api/group.ts';
import type { Clock } from '../../lib/clock.ts';
import { OperatorError } from '../../lib/errors.ts';
import type { Key } from '../../lib/key.ts';
import { originalIdentity } from '../model/identity.ts';
import { recall } from '../model/memory.ts';

/** Set by clusterctl before it removes the finalizers. */
export const moveAnnotation = 'clusterctl.cluster.x-k8s.io/delete-for-move';

/** A move deletes the object within seconds. */
const moveMs = 60_000;

/** When each finalizer was found missing. */
export interface Stripped {
  /** How long a resource is left alone. */
  waitMs(key: Key, resource: GlanceImage): number;
  forget(key: Key): void;
}

export function createStripped(clock: Clock): Stripped {
  const seen = new Map<Key, { uid: string; at: number }>();
  return {
    waitMs(key, resource) {
      if (hasFinalizer(resource) || !isUnguarded(resource)) {
        seen.delete(key);
        return 0;
      }
      const { uid } = resource.metadata;
      const before = seen.get(key);
      const at = before?.uid === uid ? before.at : clock.monotonic();
      seen.set(key, { uid, at });
      return Math.max(0, at + moveMs - clock.monotonic());
    },
    forget: (key) => void seen.delete(key),
  };
}

/** It owns images, and lacks its finalizer or its identity. One that has its own identity had the finalizer, whatever its status says. */
export function isUnguarded(resource: GlanceImage): boolean {
  const { annotations, deletionTimestamp, uid } = resource.metadata;
  if (deletionTimestamp !== undefined) return false;
  const identity = annotations[identityAnnotation];
  if (hasFinalizer(resource) && identity !== undefined) return false;
  if (identity === originalIdentity(uid)) return true;
  const recollection = recall(resource);
  if (recollection.kind !== 'memory') return false;
  const { images, adopted } = recollection.memory;
  // An image that is to be taken over is not owned before that.
  return images.some((id) => id !== resource.spec.import?.id || id === adopted);
}

function hasFinalizer({ metadata: { finalizers } }: GlanceImage): boolean {
  return finalizers.includes(finalizer);
}

/** clusterctl has begun to move it, and may delete it at any moment; or has made it from such a one, without its identity. */
export function isBeingMoved(resource: GlanceImage): boolean {
  const { metadata, spec } = resource;
  return (
    spec.managementPolicy !== 'Observe' && !hasFinalizer(resource) && metadata.annotations[moveAnnotation] !== undefined
  );
}

export function beingMoved(): OperatorError {
  return new OperatorError(
    `clusterctl has begun to move this GlanceImage (annotation ${moveAnnotation}, and no finalizer), so it is left as it is: run ` +
      '`clusterctl move` again. If it stays here, remove the annotation',
    { code: 'BeingMoved' },
  );
}

/**
 * What happens to an image with the declared data: its record becomes as declared, it becomes the image to use, and the others are
 * retired.
 *
 * Invariant: the order is (1) make it visible, (2) record it as the image to use, (3) retire the one before, (4) give it its name.
 */
import type { WantedImage } from '../glance/translation.ts';
import { imageAfter, imageBefore, pendingName } from './desired.ts';
import { withImage } from './memory.ts';
import { retire } from './retire.ts';
import { importing, lockOf } from './revisions.ts';
import { blocked, type Choice, followedBy, type Judged, patchTo, type Scene, step } from './scene.ts';
import { storeChange } from './stores.ts';

export function whenRight(scene: Scene, chosen: Judged): Choice {
  const { desired, state, judged, now } = scene;
  const { memory, observed } = state;
  const { image } = chosen;
  const others = judged.filter((one) => one !== chosen);
  const patch = patchTo(scene, chosen, wantedOf(scene, chosen));
  if (patch !== undefined) return patch;
  const promotion: Choice = step({
    kind: 'record',
    memory: { ...withImage(memory, image.id, true), promoted: image.id },
  });
  const isPromoted = memory.promoted === image.id;
  if (others.length > 0 && !isPromoted) return promotion;
  for (const other of others) {
    const retirement = retire(scene, other);
    if (retirement !== undefined) return retirement;
  }
  const lock = lockOf(image, memory, now);
  if (lock.kind === 'held' && !isPromoted) return promotion;
  if (lock.kind === 'held') return followedBy({ ...importing(image, lock.elapsedMs), kind: 'wait', image });
  const asked = memory.import?.imageID === image.id && memory.import.kind === 'copy' ? memory.import.stores : undefined;
  const change = image.status === 'active' ? storeChange(desired.stores, image, observed.storeNames, asked) : none;
  if (change.kind !== 'none' && !isPromoted) return promotion;
  switch (change.kind) {
    case 'none':
      return followedBy({ kind: 'settled', image });
    case 'copy':
      return step({ kind: 'import', image, request: { method: { name: 'copy-image' }, stores: change.stores } });
    case 'remove':
      return step({ kind: 'removeFromStore', image, store: change.store });
    case 'failed':
      return followedBy({ kind: 'importFailed', image, what: `a copy in store ${change.stores.join(', ')}` });
    case 'impossible':
      return blocked('InvalidSpec', change.message);
  }
}

/** The record of an image that has its data. It gets the declared name once no other image bears that. */
export function wantedOf({ desired, judged }: Scene, { image }: Judged): WantedImage {
  const { name } = desired.image;
  const isTaken = judged.some((one) => one.image.id !== image.id && one.image.name === name);
  const wanted = image.status === 'queued' ? imageBefore(desired, image.id, false) : imageAfter(desired);
  return isTaken && image.name !== name ? { ...wanted, name: pendingName(desired, image.id) } : wanted;
}

const none = { kind: 'none' } as const;

/**
 * What happens to an image with the declared data: its record becomes as declared, it becomes the image to use, and the others are
 * retired.
 *
 * Invariant: the order is (0) add its members, (1) make it visible, (2) record it as the image to use and publish it, (3) retire
 * the one before, (4) give it its name. Where the ConfigMap cannot be written, all of the rest is done. It is deactivated last,
 * because the data of a deactivated image can be neither read back nor copied.
 */
import type { Image } from '../../glance/image.ts';
import type { WantedImage } from '../../glance/translation.ts';
import { type Desired, hasPendingName, imageAfter, imageBefore, pendingName } from '../model/desired.ts';
import { findingOf, isRetired, type Memory, withFinding, withPromoted } from '../model/memory.ts';
import { importing, lockOf } from '../model/revisions.ts';
import { storeChange } from '../model/stores.ts';
import { withRecord } from './adopt.ts';
import { publication } from './publication.ts';
import { retire } from './retire.ts';
import { blocked, type Choice, followedBy, type Judged, patchTo, type Scene, step } from './scene.ts';
import { admission } from './sharing.ts';

export function whenRight(scene: Scene, chosen: Judged): Choice {
  const { judged, now } = scene;
  const { memory } = scene.state;
  const { image } = chosen;
  // An image that is not shared yet is so after the change of its record.
  const change = admission(scene, chosen) ?? patchTo(scene, chosen, wantedOf(scene, chosen));
  if (change !== undefined) return change;
  const others = judged.filter((one) => one !== chosen);
  const rest = afterwards(scene, image, others);
  const isSettled = rest.kind === 'next' && rest.next.kind === 'settled';
  const isPromoted = memory.promoted === image.id && others.every((one) => isRetired(memory, one.image.id));
  if (isSettled || isPromoted) return rest;
  const ids = others.map((one) => one.image.id);
  const unused = others.filter((one) => isUnused(one, memory)).map((one) => one.image.id);
  const promoted = withPromoted(withWrong(memory, others, scene.desired), image.id, ids, now, unused);
  return step({ kind: 'record', memory: ids.length === 0 ? promoted : withRecord(promoted, scene.desired) });
}

/** Its making was cut off, and another declaration came before it took its place. A lost memory says of no image that it was not used. */
function isUnused({ image }: Judged, { promoted }: Memory): boolean {
  return promoted !== undefined && promoted !== image.id && hasPendingName(image);
}

/** A ConfigMap that cannot be written keeps the image neither from its name nor from its stores, and is reported in the end. */
function afterwards(scene: Scene, image: Image, others: readonly Judged[]): Choice {
  const published = publication(scene, image);
  if (published?.kind === 'step') return published;
  const rest = retire(scene, others) ?? completion(scene, image);
  const isSettled = rest.kind === 'next' && rest.next.kind === 'settled';
  return isSettled ? (published ?? rest) : rest;
}

/** Data that is wrong by a comparison has no finding, and would look like that of an image to keep once another content is declared. */
function withWrong(memory: Memory, others: readonly Judged[], { binding: fingerprint }: Desired): Memory {
  if (fingerprint === undefined) return memory;
  return others.reduce((next, { image: { id: imageID }, stage }) => {
    const isWrong = stage.kind === 'useless' && stage.byUs && findingOf(memory, imageID, fingerprint) === undefined;
    if (!isWrong) return next;
    const { why, code } = stage;
    return withFinding(next, { imageID, fingerprint, verdict: 'wrong', why, ...(code === undefined ? {} : { code }) });
  }, memory);
}

/** Brings the data to the declared stores, and deactivates it last. */
function completion({ desired, state, now }: Scene, image: Image): Choice {
  const { memory, observed } = state;
  const lock = lockOf(image, memory, now);
  if (lock.kind === 'held') return followedBy({ ...importing(image, lock.elapsedMs), kind: 'wait', image });
  const isDeactivated = image.status === 'deactivated';
  const asked = memory.import?.imageID === image.id && memory.import.kind === 'copy' ? memory.import.stores : undefined;
  const change =
    image.status === 'active' || isDeactivated ? storeChange(desired.stores, image, observed.storeNames, asked) : none;
  switch (change.kind) {
    case 'none':
      if (desired.active === false && image.status === 'active') return step({ kind: 'deactivate', image });
      return followedBy({ kind: 'settled', image });
    case 'impossible':
      return blocked('InvalidSpec', change.message);
    case 'failed':
      if (isDeactivated) return blocked('InvalidSpec', frozenStores);
      return followedBy({ kind: 'importFailed', image, what: `a copy in store ${change.stores.join(', ')}` });
    case 'copy':
      if (isDeactivated) return blocked('InvalidSpec', frozenStores);
      return step({ kind: 'import', image, request: { method: { name: 'copy-image' }, stores: change.stores } });
    case 'remove':
      if (isDeactivated) return blocked('InvalidSpec', frozenStores);
      return step({ kind: 'removeFromStore', image, store: change.store });
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

const frozenStores =
  'Glance neither copies nor moves the data of a deactivated image, and spec.image.stores asks for that: declare spec.image.state: Active ' +
  'until status.image.stores is as declared';

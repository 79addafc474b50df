/**
 * The steps that lead from the state of Glance to the declared state, and what follows them.
 *
 * Invariants: pure; nothing to do means no step, and planning again after the steps gives none. A record is not patched while its
 * data is `saving`, because Glance loses such a change. Another image is made and verified before one that consumers may know is
 * deleted. At most one image bears the declared name, and an image that is hidden stays hidden until its data is verified.
 */
import { identityAnnotation } from '../../api/group.ts';
import type { ImportRequest } from '../../glance/client/index.ts';
import { sourceOf } from '../../source/registry.ts';
import { type Desired, imageBefore } from '../model/desired.ts';
import { imageIDOf, ownerProperty } from '../model/identity.ts';
import { mostImages } from '../model/memory.ts';
import { whyForeign } from '../model/ownership.ts';
import { isUsable, type Revision, type Stage, stageOf } from '../model/revisions.ts';
import { simulate } from '../model/simulate.ts';
import type { Plan, PlanStep, State } from '../model/step.ts';
import { adoption, considered, inherited, withLeftAlone, withRecord } from './adopt.ts';
import { obeyPin } from './pin.ts';
import { wantedOf, whenRight } from './promote.ts';
import { retraction } from './publication.ts';
import { expireOld, heldUp, isLeftover, removal } from './retire.ts';
import {
  blocked,
  type Choice,
  compare,
  declaredContent,
  followedBy,
  type Judged,
  patchTo,
  type Scene,
  step,
  withKeys,
} from './scene.ts';
import { revocation, unreadMembers } from './sharing.ts';
import { fromCluster, markOfTakeover } from './takeover.ts';

/** More than any plan needs: each image takes a few, and one for each of its members. */
const mostSteps = 300 * mostImages;

export function plan(declared: Desired, state: State, now: Date): Plan {
  const desired = obeyPin(declared, state, now);
  const steps: PlanStep[] = [];
  for (let at = state; steps.length < mostSteps; ) {
    const decision = decide(desired, at, now);
    if (decision.kind === 'next') return { steps, next: decision.next };
    steps.push(decision.step);
    if (decision.final !== undefined) return { steps, next: decision.final };
    at = simulate(at, decision.step, now);
  }
  throw new Error('a plan does not end');
}

function decide(declared: Desired, state: State, now: Date): Choice {
  const { observed, memory } = state;
  const desired = withLeftAlone(declared, state);
  const adopting = adoption(desired, state, now);
  if (adopting !== undefined) return adopting;
  const foreign = observed.revisions.find(({ ownership }) => ownership.kind === 'foreign');
  if (foreign !== undefined) return blocked('TakenOver', takenOver(declared, foreign));
  const marking = markOfTakeover(desired, observed);
  if (marking !== undefined) return step(marking);
  const judged = considered(observed).map((revision) => {
    const { image } = revision;
    const stage = stageOf(image, desired, memory, now);
    return {
      ...revision,
      stage,
      isPublished: memory.published.includes(image.id) || revision.ownership.kind === 'adopted' || isInSight(image),
      isInUse: memory.promoted === image.id && isUsable(image, desired, memory, now),
    };
  });
  const scene = { desired, state, judged, now };
  const unread = unreadMembers(scene);
  if (unread.length > 0) return followedBy({ kind: 'readMembers', images: unread });
  const revoked = revocation(scene);
  if (revoked !== undefined) return revoked;
  if (desired.hold?.kind === 'missing') return blocked('PinNotFound', pinNotFound(desired));
  const chosen = choose(judged, desired);
  const leftover = judged.find((one) => one !== chosen && isLeftover(one, chosen));
  if (leftover !== undefined) return removal(scene, leftover, chosen);
  const expiry = chosen?.stage.kind === 'right' ? undefined : expireOld(scene, chosen);
  if (expiry !== undefined) return expiry;
  const retracted = chosen?.stage.kind === 'right' ? undefined : retraction(scene);
  if (retracted !== undefined) return retracted;
  if (chosen === undefined) return creation(scene);
  switch (chosen.stage.kind) {
    case 'right':
      return whenRight(scene, chosen);
    case 'unread':
      return followedBy({ kind: 'transfer', image: chosen.image, content: declaredContent(scene), purpose: 'verify' });
    case 'uninspected':
      return followedBy({ kind: 'inspect', image: chosen.image, content: declaredContent(scene) });
    case 'deactivated':
      return whenDeactivated(scene, chosen, chosen.stage.isRight);
    case 'empty':
      return whenEmpty(scene, chosen);
    case 'moving':
      return followedBy({ ...chosen.stage, kind: 'wait', image: chosen.image });
    case 'importFailed':
      return followedBy({ kind: 'importFailed', image: chosen.image, what: 'the data' });
    case 'useless':
      throw new Error('a useless image is never chosen');
  }
}

/**
 * Lists of images show it with data, so consumers may use it although no status names it. That its data was found to be wrong does not
 * change that: another image is made first.
 */
function isInSight({ status, hidden }: Revision['image']): boolean {
  return !hidden && (status === 'active' || status === 'deactivated');
}

/** The lower, the nearer to what is declared. */
const ranks: Readonly<Record<Exclude<Stage['kind'], 'useless'>, number>> = {
  right: 0,
  unread: 1,
  uninspected: 1,
  deactivated: 2,
  moving: 3,
  importFailed: 4,
  empty: 5,
};

/** The image that becomes, or stays, the one to use. Of equal ones the one in use, then one with data, then the newest. */
function choose(judged: readonly Judged[], { hold }: Desired): Judged | undefined {
  const isAllowed = ({ image }: Judged) => hold?.kind !== 'found' || image.id === hold.imageID;
  const rank = ({ stage, image, isPublished, isInUse, number }: Judged) => [
    stage.kind === 'useless' ? Number.POSITIVE_INFINITY : ranks[stage.kind],
    isInUse ? 0 : 1,
    isPublished ? 0 : 1,
    image.status === 'active' ? 0 : 1,
    -number,
  ];
  const [best] = judged
    .filter((one) => one.stage.kind !== 'useless' && isAllowed(one))
    .sort((a, b) => compare(rank(a), rank(b)));
  return best;
}

function creation(scene: Scene): Choice {
  const { desired, state, judged } = scene;
  const { memory } = state;
  if (desired.hold !== undefined) return blocked('PinNotFound', pinNotFound(desired));
  const held = heldUp(scene) ?? (judged.length >= mostImages ? tooMany : undefined);
  if (held !== undefined) return blocked('RevisionsInUse', held);
  // The first image is found by its mark after a crash. Next to others, a list is read only if this says that it is necessary.
  if (judged.length > 0 && memory.incomplete !== true)
    return step({ kind: 'record', memory: withRecord({ ...memory, incomplete: true }, desired) });
  const number = memory.next;
  const imageID = imageIDOf(memory.uid, number);
  const declared = imageBefore(desired, imageID, judged.length > 0);
  const image = { ...declared, properties: { ...inherited(desired, state), ...declared.properties } };
  return withKeys(scene, { kind: 'create', imageID, number, image, keys: desired.propertyKeys });
}

function pinNotFound({ pin }: Desired): string {
  return (
    `no revision has the digest ${pin} that spec.revisions.pin names, and spec.content declares another one: nothing is changed. Name a ` +
    'digest of status.revisions, declare this digest in spec.content, or remove the pin'
  );
}

const tooMany =
  `${mostImages} images of this resource exist, which is the limit, so the operator creates no other one. status.revisions names them: ` +
  'delete those that nothing uses with `openstack image delete`';

function whenEmpty(scene: Scene, chosen: Judged): Choice {
  const { desired, judged } = scene;
  if (desired.hold !== undefined) return blocked('PinNotFound', pinNotFound(desired));
  const isOtherPublished = (one: Judged) => one !== chosen && one.isPublished;
  const patch = patchTo(scene, chosen, imageBefore(desired, chosen.image.id, judged.some(isOtherPublished)));
  if (patch !== undefined) return patch;
  const content = declaredContent(scene);
  const { webDownloadURL } = sourceOf(content.source);
  if (content.method !== 'WebDownload' || webDownloadURL === undefined)
    return followedBy({ kind: 'transfer', image: chosen.image, content, purpose: 'fill' });
  const { stores } = desired;
  const request: ImportRequest = {
    method: { name: 'web-download', uri: webDownloadURL },
    ...(stores.kind === 'some' ? { stores: stores.names } : {}),
    ...(stores.kind === 'all' ? { allStores: true } : {}),
  };
  return step({ kind: 'import', image: chosen.image, request });
}

function whenDeactivated(scene: Scene, chosen: Judged, isRight: boolean): Choice {
  const { id } = chosen.image;
  // Data that was never verified must neither become visible nor usable, also where the state Active is declared.
  if (isRight && scene.desired.active === true) return step({ kind: 'reactivate', image: chosen.image });
  const patch = isRight ? patchTo(scene, chosen, wantedOf(scene, chosen)) : undefined;
  if (patch !== undefined) return patch;
  const remedy = 'an administrator of the cloud can reactivate it';
  if (isRight)
    return blocked(
      'Deactivated',
      `image ${id} is deactivated in Glance: ${remedy}. spec.image.state says whether it should be: Active or Deactivated`,
    );
  // An image is visible only with verified data, so only the memory of that is lost.
  return chosen.image.hidden
    ? blocked('NotVerifiable', `image ${id} is deactivated, so its data cannot be read and verified; ${remedy}`)
    : blocked(
        'Deactivated',
        `image ${id} is deactivated in Glance. By its mark it was made for the declared data, and nothing else is known of its data, which ` +
          `cannot be read until the image is active: ${remedy}. It is then verified, and the operator continues`,
      );
}

function takenOver({ image: { owner, properties } }: Desired, { image, ownership }: Revision): string {
  const why = ownership.kind === 'foreign' ? ownership.why : 'project';
  const left = `image ${image.id} ${whyForeign(image, why)}, and is left as it is`;
  const again = 'To get another image, delete this GlanceImage and create it again';
  if (why === 'cluster') return `${left}. ${fromCluster}. ${again} without the annotation ${identityAnnotation}`;
  if (why !== 'project' && image.properties[ownerProperty] === undefined)
    return (
      `${left}. If it is still the image of this GlanceImage, put the mark back: ` +
      `\`openstack image set --property ${ownerProperty}=${String(properties?.[ownerProperty])} ${image.id}\`. ${again}`
    );
  if (why !== 'project') return `${left}. ${again}`;
  const keep = image.owner === null ? '' : `To keep it there, declare spec.image.owner: ${image.owner}. `;
  return (
    `${left}. To take it back, run ` +
    `\`openstack image set --project ${owner} ${image.id}\` as an administrator of the cloud. ${keep}${again}`
  );
}

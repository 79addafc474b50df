/**
 * The steps that lead from the state of Glance to the declared state, and what follows them.
 *
 * Invariants: pure; nothing to do means no step, and planning again after the steps gives none. A record is not patched while its
 * data is `saving`, because Glance loses such a change. Another image is made and verified before one that consumers may know is
 * deleted. At most one image bears the declared name, and an image that is hidden stays hidden until its data is verified.
 */
import type { ImportRequest } from '../glance/client/index.ts';
import type { Image } from '../glance/image.ts';
import { diffImage } from '../glance/patch.ts';
import type { WantedImage } from '../glance/translation.ts';
import type { ErrorCode } from '../lib/error-codes.ts';
import { sourceOf } from '../source/registry.ts';
import type { Content } from './content.ts';
import { type Desired, imageAfter, imageBefore, keepsProperty, pendingName, retiredName } from './desired.ts';
import { imageIDOf } from './identity.ts';
import { mostImages, msSince, withImage, withPropertyKeys } from './memory.ts';
import { whyForeign } from './ownership.ts';
import { importing, isUsable, lockOf, type Revision, type Stage, stageOf } from './revisions.ts';
import { contestMs, simulate } from './simulate.ts';
import type { PlanStep, State } from './step.ts';
import { storeChange } from './stores.ts';

/** What happens after the steps. */
export type Next =
  | { kind: 'settled'; image: Image }
  | { kind: 'wait'; image: Image; phase: 'Importing' | 'Waiting'; why: string; ms: number }
  /** fill: the image gets its data. verify: its data is read back and compared. */
  | { kind: 'transfer'; image: Image; content: Content; purpose: 'fill' | 'verify' }
  | { kind: 'inspect'; image: Image; content: Content }
  | { kind: 'importFailed'; image: Image; what: string }
  | { kind: 'blocked'; code: ErrorCode; message: string };

export interface Plan {
  steps: readonly PlanStep[];
  next: Next;
}

/** More than any plan needs: each image takes a few. */
const mostSteps = 200;

export function plan(desired: Desired, state: State, now: Date): Plan {
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

type Decision =
  | { kind: 'next'; next: Next }
  /** `final`: what follows at once, without another look. */
  | { kind: 'step'; step: PlanStep; final?: Next };

interface Judged extends Revision {
  stage: Stage;
  /** Consumers may know it: it is not deleted before another image is promoted. */
  isPublished: boolean;
  /** It is the image to use, and may stay that. */
  isInUse: boolean;
}

interface Scene {
  desired: Desired;
  state: State;
  judged: readonly Judged[];
  now: Date;
}

function decide(desired: Desired, state: State, now: Date): Decision {
  const { observed, memory } = state;
  const foreign = observed.revisions.find(({ ownership }) => ownership.kind === 'foreign');
  if (foreign !== undefined) return blocked('TakenOver', takenOver(desired, foreign));
  const judged = observed.revisions.map((revision) => ({
    ...revision,
    stage: stageOf(revision.image, desired, memory, now),
    isPublished: memory.published.includes(revision.image.id),
    isInUse: memory.promoted === revision.image.id && isUsable(revision.image, desired, memory, now),
  }));
  const scene = { desired, state, judged, now };
  const chosen = choose(judged);
  const leftover = judged.find((one) => one !== chosen && isLeftover(one, chosen));
  if (leftover !== undefined) return removal(scene, leftover, chosen);
  if (chosen === undefined) return creation(scene);
  switch (chosen.stage.kind) {
    case 'right':
      return whenRight(scene, chosen);
    case 'unread':
      return next({ kind: 'transfer', image: chosen.image, content: contentOf(scene), purpose: 'verify' });
    case 'uninspected':
      return next({ kind: 'inspect', image: chosen.image, content: contentOf(scene) });
    case 'deactivated':
      return whenDeactivated(scene, chosen, chosen.stage.isRight);
    case 'empty':
      return whenEmpty(scene, chosen);
    case 'moving':
      return next({ ...chosen.stage, kind: 'wait', image: chosen.image });
    case 'importFailed':
      return next({ kind: 'importFailed', image: chosen.image, what: 'the data' });
    case 'useless':
      throw new Error('a useless image is never chosen');
  }
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
function choose(judged: readonly Judged[]): Judged | undefined {
  const rank = ({ stage, image, isPublished, isInUse, number }: Judged) => [
    stage.kind === 'useless' ? Number.POSITIVE_INFINITY : ranks[stage.kind],
    isInUse ? 0 : 1,
    isPublished ? 0 : 1,
    image.status === 'active' ? 0 : 1,
    -number,
  ];
  const [best] = judged.filter(({ stage }) => stage.kind !== 'useless').sort((a, b) => compare(rank(a), rank(b)));
  return best;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value - other;
  }
  return 0;
}

/** It is not needed, and no consumer knows it. */
function isLeftover({ stage, isPublished }: Judged, chosen: Judged | undefined): boolean {
  return !isPublished && (stage.kind === 'useless' || stage.kind === 'empty' || chosen?.stage.kind === 'right');
}

function removal({ desired }: Scene, { image, stage }: Judged, chosen: Judged | undefined): Decision {
  if (stage.kind !== 'useless') return step({ kind: 'delete', image, why: 'another image takes its place' });
  const removed: PlanStep = { kind: 'delete', image, why: stage.why };
  if (!stage.byUs || chosen !== undefined) return step(removed);
  // Another one would get the same data, so the failure is reported first.
  return { ...step(removed), final: rejection(desired, image, stage.why, stage.code) };
}

function rejection({ content }: Desired, { id }: Image, why: string, code: ErrorCode | undefined): Next {
  const isFetched = content?.method === 'WebDownload';
  const message = isFetched
    ? `Glance imported a file into image ${id}, and ${why}; the image was deleted`
    : `image ${id} was deleted, because ${why}`;
  return { kind: 'blocked', code: code ?? (isFetched ? 'DigestMismatch' : 'UploadMismatch'), message };
}

function creation(scene: Scene): Decision {
  const { desired, state, judged } = scene;
  const { memory } = state;
  if (judged.length >= mostImages) return blocked('Conflict', tooMany);
  // The first image is found by its mark after a crash. Next to others, a list is read only if this says that it is necessary.
  if (judged.length > 0 && memory.incomplete !== true)
    return step({ kind: 'record', memory: { ...memory, incomplete: true } });
  const number = memory.next;
  const imageID = imageIDOf(memory.uid, number);
  const image = imageBefore(desired, imageID, judged.length > 0);
  return withKeys(scene, { kind: 'create', imageID, number, image, keys: desired.propertyKeys });
}

const tooMany =
  `${mostImages} images of this resource exist, and Glance deletes none of them because they are in use: delete servers or volumes ` +
  'that were made from them';

function whenEmpty(scene: Scene, chosen: Judged): Decision {
  const { desired, judged } = scene;
  const isOtherPublished = (one: Judged) => one !== chosen && one.isPublished;
  const patch = patchTo(scene, chosen, imageBefore(desired, chosen.image.id, judged.some(isOtherPublished)));
  if (patch !== undefined) return patch;
  const content = contentOf(scene);
  const { webDownloadURL } = sourceOf(content.source);
  if (content.method !== 'WebDownload' || webDownloadURL === undefined)
    return next({ kind: 'transfer', image: chosen.image, content, purpose: 'fill' });
  const { stores } = desired;
  const request: ImportRequest = {
    method: { name: 'web-download', uri: webDownloadURL },
    ...(stores.kind === 'some' ? { stores: stores.names } : {}),
    ...(stores.kind === 'all' ? { allStores: true } : {}),
  };
  return step({ kind: 'import', image: chosen.image, request });
}

/** (1) make it visible, (2) record it as the image to use, (3) retire the one before, (4) give it its name. */
function whenRight(scene: Scene, chosen: Judged): Decision {
  const { desired, state, judged, now } = scene;
  const { memory, observed } = state;
  const { image } = chosen;
  const others = judged.filter((one) => one !== chosen);
  const patch = patchTo(scene, chosen, wantedOf(scene, chosen));
  if (patch !== undefined) return patch;
  const promotion: Decision = step({
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
  if (lock.kind === 'held') return next({ ...importing(image, lock.elapsedMs), kind: 'wait', image });
  const asked = memory.import?.imageID === image.id && memory.import.kind === 'copy' ? memory.import.stores : undefined;
  const change = image.status === 'active' ? storeChange(desired.stores, image, observed.storeNames, asked) : none;
  if (change.kind !== 'none' && !isPromoted) return promotion;
  switch (change.kind) {
    case 'none':
      return next({ kind: 'settled', image });
    case 'copy':
      return step({ kind: 'import', image, request: { method: { name: 'copy-image' }, stores: change.stores } });
    case 'remove':
      return step({ kind: 'removeFromStore', image, store: change.store });
    case 'failed':
      return next({ kind: 'importFailed', image, what: `a copy in store ${change.stores.join(', ')}` });
    case 'impossible':
      return blocked('InvalidSpec', change.message);
  }
}

/** The record of an image that has its data. It gets the declared name once no other image bears that. */
function wantedOf({ desired, judged }: Scene, { image }: Judged): WantedImage {
  const { name } = desired.image;
  const isTaken = judged.some((one) => one.image.id !== image.id && one.image.name === name);
  const wanted = image.status === 'queued' ? imageBefore(desired, image.id, false) : imageAfter(desired);
  return isTaken && image.name !== name ? { ...wanted, name: pendingName(desired, image.id) } : wanted;
}

const none = { kind: 'none' } as const;

/** How long an image that is in use is left alone. */
const inUseMs = 3_600_000;

/** Deletes an image that was replaced; one that is in use is hidden and renamed. */
function retire({ desired, state, now }: Scene, { image }: Judged): Decision | undefined {
  const inUse = state.memory.inUse?.find(({ imageID }) => imageID === image.id);
  if (inUse === undefined || msSince(inUse.at, now) >= inUseMs)
    return step({ kind: 'delete', image, why: 'another image with the declared data has replaced it' });
  const wanted = { name: retiredName(desired, image.id), hidden: true, tags: [] };
  const operations = diffImage(image, wanted, { purge: false, keep: () => true });
  return operations.length === 0 ? undefined : step({ kind: 'patch', image, operations, keys: [] });
}

function whenDeactivated(scene: Scene, chosen: Judged, isRight: boolean): Decision {
  const { id } = chosen.image;
  // Data that was never verified must not become visible, because an administrator can reactivate it at any time.
  const patch = isRight ? patchTo(scene, chosen, wantedOf(scene, chosen)) : undefined;
  if (patch !== undefined) return patch;
  const deactivated = `image ${id} was deactivated by an administrator of the cloud`;
  const remedy = 'only an administrator can reactivate it';
  return isRight
    ? blocked('Deactivated', `${deactivated}; ${remedy}`)
    : blocked('NotVerifiable', `${deactivated}, so its data cannot be read and verified; ${remedy}`);
}

/** How often in an hour a vanished owner mark is restored. */
const mostRestored = 3;

/** The change that makes the record as wanted, if it is not. */
function patchTo(scene: Scene, { image, ownership }: Judged, wanted: WantedImage): Decision | undefined {
  const { desired, state, now } = scene;
  const { memory } = state;
  const operations = diffImage(image, wanted, { purge: true, keep: keepsProperty(desired, memory, now) });
  if (operations.length === 0) return undefined;
  const isUnmarked = ownership.kind === 'created' && !ownership.isMarked;
  const { marks } = memory;
  const isContested = marks !== undefined && marks.restored >= mostRestored && msSince(marks.at, now) < contestMs;
  if (isUnmarked && isContested) return blocked('MarkContested', contested(image));
  return withKeys(scene, { kind: 'patch', image, operations, keys: desired.propertyKeys });
}

/**
 * With propertyPolicy Merge, only the memory says which properties were declared, and always only the memory says which projects own
 * images. So it is written before new ones reach Glance: after a crash, a property that leaves the declaration then still leaves
 * Glance, and an image whose owner is declared differently by then is still ours.
 */
function withKeys({ desired, state }: Scene, changing: Extract<PlanStep, { kind: 'create' | 'patch' }>): Decision {
  const { memory } = state;
  const known = desired.purge ? memory : withPropertyKeys(memory, changing.keys);
  const { owners: before = [] } = memory;
  const { declaredOwner } = desired;
  const isKnown = declaredOwner === undefined || declaredOwner === memory.owner;
  const owners = isKnown ? before : [...new Set([...before, declaredOwner])].sort();
  if (known === memory && owners.length === before.length) return step(changing);
  return step({ kind: 'record', memory: { ...known, ...(owners.length === 0 ? {} : { owners }) } });
}

function contentOf({ desired }: Scene): Content {
  if (desired.content === undefined) throw new Error('an image without content needs no data');
  return desired.content;
}

function takenOver({ image: { owner } }: Desired, { image, ownership }: Revision): string {
  const why = ownership.kind === 'foreign' ? ownership.why : 'project';
  const left = `image ${image.id} ${whyForeign(image, why)}, and is left as it is`;
  const again = 'To get another image, delete this GlanceImage and create it again';
  if (why !== 'project') return `${left}. ${again}`;
  return (
    `${left}. To take it back, run ` +
    `\`openstack image set --project ${owner} ${image.id}\` as an administrator of the cloud. To keep it there, declare ` +
    `spec.image.owner: ${image.owner}. ${again}`
  );
}

function contested({ id }: Image): string {
  return (
    `another program removes the owner mark of image ${id} again and again: it was restored ${mostRestored} times within an hour. ` +
    'Exempt the properties whose names begin with glance_image_operator_ from that program'
  );
}

function blocked(code: ErrorCode, message: string): Decision {
  return next({ kind: 'blocked', code, message });
}

function next(one: Next): Decision {
  return { kind: 'next', next: one };
}

function step(one: PlanStep): Extract<Decision, { kind: 'step' }> {
  return { kind: 'step', step: one };
}

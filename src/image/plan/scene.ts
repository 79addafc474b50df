/**
 * What the parts of a plan work on: the images of a resource, each with its stage for the present declaration, and the decisions.
 * The change of a record is decided here, because every part needs it.
 */

import type { Image } from '../../glance/image.ts';
import { diffImage } from '../../glance/patch.ts';
import type { WantedImage } from '../../glance/translation.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import type { Content } from '../model/content.ts';
import { type Desired, keepsProperty } from '../model/desired.ts';
import { type Memory, mostImages, msSince, withPropertyKeys } from '../model/memory.ts';
import type { Revision, Stage } from '../model/revisions.ts';
import { contestMs } from '../model/simulate.ts';
import type { Next, PlanStep, State } from '../model/step.ts';

export type Choice =
  | { kind: 'next'; next: Next }
  /** `final`: what follows at once, without another look. */
  | { kind: 'step'; step: PlanStep; final?: Next };

export interface Judged extends Revision {
  stage: Stage;
  /** Consumers may know it: it is not deleted before another image is promoted. */
  isPublished: boolean;
  /** It is the image to use, and may stay that. */
  isInUse: boolean;
}

export interface Scene {
  desired: Desired;
  state: State;
  judged: readonly Judged[];
  now: Date;
}

export function declaredContent({ desired }: Scene): Content {
  if (desired.content === undefined) throw new Error('an image without content needs no data');
  return desired.content;
}

/** How often in an hour a vanished owner mark is restored. */
const mostRestored = 3;

/** The change that makes the record as wanted, if it is not. */
export function patchTo(scene: Scene, { image, ownership }: Judged, wanted: WantedImage): Choice | undefined {
  const { desired, state, judged, now } = scene;
  const { memory } = state;
  const isAdopted = ownership.kind === 'adopted';
  const due = isAdopted && judged.length === 1 ? withoutUndeclared(wanted, desired, image) : wanted;
  const operations = diffImage(image, due, { purge: true, keep: keepsProperty(desired, memory, now) });
  if (operations.length === 0) return undefined;
  const isNew = isAdopted && !ownership.isTaken;
  const isUnmarked = (ownership.kind === 'created' || isAdopted) && !ownership.isMarked && !isNew;
  if (isUnmarked && isContested(memory, now)) return blocked('MarkContested', contested(image));
  const change = { kind: 'patch' as const, image, operations, keys: desired.propertyKeys };
  return withKeys(scene, isNew ? { ...change, adopts: true } : change);
}

/** Another program removes a mark again and again. */
export function isContested({ marks }: Memory, now: Date): boolean {
  return marks !== undefined && marks.restored >= mostRestored && msSince(marks.at, now) < contestMs;
}

/** Only what is declared may change an image that existed before. */
function withoutUndeclared(wanted: WantedImage, { leftAlone, content }: Desired, image: Image): WantedImage {
  const isNeeded = (field: string) =>
    field === 'containerFormat' && content !== undefined && image.containerFormat === null;
  const undeclared: readonly string[] = leftAlone.filter((field) => !isNeeded(field));
  return Object.fromEntries(Object.entries(wanted).filter(([field]) => !undeclared.includes(field)));
}

/**
 * With propertyPolicy Merge, only the memory says which properties were declared, and always only the memory says which projects own
 * images. So it is written before new ones reach Glance: after a crash, a property that leaves the declaration then still leaves
 * Glance, and an image whose owner is declared differently by then is still ours.
 */
export function withKeys({ desired, state }: Scene, changing: Extract<PlanStep, { kind: 'create' | 'patch' }>): Choice {
  const { memory } = state;
  const known = desired.purge ? memory : withPropertyKeys(memory, changing.keys);
  const { owners: before = [] } = memory;
  const { declaredOwner } = desired;
  const isKnown = declaredOwner === undefined || declaredOwner === memory.owner || before.includes(declaredOwner);
  const owners = isKnown ? before : [declaredOwner, ...before].slice(0, mostImages).sort();
  if (known === memory && isKnown) return step(changing);
  return step({ kind: 'record', memory: { ...known, ...(owners.length === 0 ? {} : { owners }) } });
}

function contested({ id }: Image): string {
  return (
    `another program removes the owner mark of image ${id} again and again: it was restored ${mostRestored} times within an hour. ` +
    'Exempt the properties whose names begin with glance_image_operator_ from that program'
  );
}

export function blocked(code: ErrorCode, message: string): Choice {
  return followedBy({ kind: 'blocked', code, message });
}

export function followedBy(one: Next): Choice {
  return { kind: 'next', next: one };
}

export function step(one: PlanStep): Extract<Choice, { kind: 'step' }> {
  return { kind: 'step', step: one };
}

/** Of two ranks, each a list of numbers. */
export function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value - other;
  }
  return 0;
}

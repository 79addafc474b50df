/**
 * Performs the steps of plans and deletions: the only place that changes images in Glance.
 *
 * Invariants: before a step changes an image, one gate checks that the image is ours. A step ends in what Glance then holds, and
 * performing it again after a lost response leads to the same end. The finalizer is added before the first change.
 */
import type { ImageClient } from '../../glance/client/index.ts';
import { Conflict, GlanceUnavailable, ImageNotFound, NotAuthorized } from '../../glance/errors.ts';
import type { Image } from '../../glance/image.ts';
import { type JsonPatchOperation, keyIn } from '../../glance/patch.ts';
import type { Clock } from '../../lib/clock.ts';
import { attempt, OperatorError } from '../../lib/errors.ts';
import type { Cloud } from '../access/clouds.ts';
import type { StatusOutcome } from '../access/resources.ts';
import { imageIDOf } from '../model/identity.ts';
import { mostKeys, withInUse, withoutImage } from '../model/memory.ts';
import { isMadeElsewhere, ownershipOf } from '../model/ownership.ts';
import { publishedData } from '../model/published-data.ts';
import type { Change } from '../model/report.ts';
import type { Observed, Revision } from '../model/revisions.ts';
import { remember, simulate, withoutRevision, withRevision } from '../model/simulate.ts';
import type { PlanStep, State } from '../model/step.ts';
import type { MemberReadings } from '../observe/member-readings.ts';
import {
  claimOf,
  find,
  isOfOtherCluster,
  type Look,
  observeMarked,
  revisionOf,
  withFound,
} from '../observe/observe.ts';
import { isInMove } from '../plan/takeover.ts';
import { useOf, whyNoRoom } from './before-step.ts';
import type { OwnConfigMaps } from './config-maps.ts';
import { asProtected, hiddenMark, markProtected, reservedKey } from './mark-protection.ts';
import { addMember, changeState, removeMember } from './sharing.ts';
import { checkWebDownload, type WebDownloads } from './web-download.ts';

export interface PerformContext extends Look {
  images: ImageClient;
  servers: Cloud['servers'];
  webDownloads: WebDownloads;
  memberReadings: MemberReadings;
  configMaps: OwnConfigMaps;
  clock: Clock;
  /** Adds the finalizer and the identity, unless they are there. False: the resource is gone, or is being deleted. */
  guard: () => Promise<boolean>;
  /** The same, and that the API server has what is declared: a late cache may show a resource that an earlier leader has released. */
  confirm: () => Promise<'current' | 'gone' | 'outdated'>;
  /** Writes the memory into the status, which shows the images as they are. */
  record: (state: State) => Promise<StatusOutcome>;
}

/** `changed`: the state is not the predicted one, and a new plan is needed. */
export type Performed =
  | { kind: 'done' | 'changed'; state: State; changes: readonly Change[] }
  | { kind: 'failed'; state: State; changes: readonly Change[]; error: unknown }
  /** The resource is gone, or another one than this plan is for. */
  | { kind: 'gone' }
  | { kind: 'outdated' };

export async function perform(step: PlanStep, state: State, context: PerformContext): Promise<Performed> {
  if ('image' in step && step.kind !== 'create') requireOwn(step.image, state, context);
  try {
    return await change(step, state, context);
  } catch (error) {
    context.signal.throwIfAborted();
    return failed(state, error);
  }
}

async function change(step: PlanStep, state: State, context: PerformContext): Promise<Performed> {
  if (step.kind === 'record') {
    const next = { ...state, memory: step.memory };
    const written = await context.record(next);
    switch (written) {
      case 'written':
        return done(next, []);
      case 'rejected':
        return failed(state, notRecorded());
      case 'gone':
      case 'outdated':
        return { kind: written };
    }
  }
  const confirmation = await context.confirm();
  if (confirmation !== 'current') return { kind: confirmation };
  switch (step.kind) {
    case 'create':
      return create(step, state, context);
    case 'patch':
      return patch(step, state, context);
    case 'import':
      return startImport(step, state, context);
    case 'removeFromStore':
      return removeFromStore(step, state, context);
    case 'delete':
      return remove(step, state, context);
    case 'addMember':
    case 'removeMember':
      return changeMember(step, state, context);
    case 'deactivate':
    case 'reactivate': {
      await changeState(step, context);
      return predicted(step, state, context, { kind: 'updated', what: [`state (${step.kind}d)`] });
    }
    case 'publish':
      return publish(step, state, context);
    case 'unpublish':
      await context.configMaps.remove(step.configMap, context.signal);
      return predicted(step, state, context);
  }
}

/** Done, with the effect that was planned. */
function predicted(step: PlanStep, state: State, { clock }: PerformContext, ...changes: Change[]): Performed {
  return done(simulate(state, step, clock.now()), changes);
}

/** The image of the step may be a predicted one. */
async function publish(step: StepOf<'publish'>, state: State, context: PerformContext): Promise<Performed> {
  const image = state.observed.revisions.find((one) => one.image.id === step.image.id)?.image ?? step.image;
  const actual = { ...step, image };
  await context.configMaps.write(step.configMap, publishedData(actual), context.signal);
  return predicted(actual, state, context, { kind: 'published', configMap: step.configMap });
}

async function changeMember(
  step: StepOf<'addMember' | 'removeMember'>,
  state: State,
  context: PerformContext,
): Promise<Performed> {
  if (step.kind === 'addMember') await addMember(step, context);
  else await removeMember(step, context);
  const what = `member ${step.project} ${step.kind === 'addMember' ? 'added' : 'removed'}`;
  return predicted(step, state, context, { kind: 'updated', what: [what] });
}

/** The next step relies on this memory, so it must not be done. */
export function notRecorded(): OperatorError {
  return new OperatorError(
    'the API server rejects the memory of the operator in the status, so nothing is changed that depends on it; the log of the operator ' +
      'has the reason',
    { code: 'KubernetesRejected' },
  );
}

type StepOf<Kind extends PlanStep['kind']> = Extract<PlanStep, { kind: Kind }>;

/** The gate. Plans hold no step for a foreign image, so this is never reached by one. */
function requireOwn(image: Image, { memory }: State, { owner }: Look): void {
  const ownership = ownershipOf(image, claimOf(owner, memory));
  if (ownership.kind === 'foreign') throw new Error(`image ${image.id} is foreign (${ownership.why})`);
  if (ownership.kind === 'observed') throw new Error(`image ${image.id} is only observed`);
}

/** A conflict means that the ID was used before: by us, when a response was lost, or by an image that is gone for good. */
async function create(step: StepOf<'create'>, state: State, context: PerformContext): Promise<Performed> {
  const { images, signal, clock } = context;
  const { imageID, number } = step;
  const noRoom = state.observed.revisions.length === 0 ? undefined : await whyNoRoom(images, signal);
  if (noRoom !== undefined) return failed(state, noRoom);
  let image: Image;
  const wasSent = context.recent.onItsWayMs(imageID) > 0;
  context.recent.sending(imageID);
  try {
    image = await images.create(imageID, step.image, signal);
  } catch (error) {
    if (error instanceof Conflict) return takeOrSkip(step, state, context, wasSent);
    context.recent.sending(imageID);
    return failed(state, asProtected(error, 'create'));
  }
  if (image.id !== imageID) return failed(state, await withdrawn(image, imageID, state, context));
  context.recent.created(imageID);
  context.recent.unsent(imageIDOf(context.owner.uid, number + 1));
  const memory = remember(state.memory, step, clock.now());
  // A mark that the response lacks must not make the image foreign: it was just created.
  const own = { number, image, ownership: { kind: 'created' as const, number, isMarked: true }, members: [] };
  const after = { observed: withRevision(state.observed, own), memory };
  const hidden = hiddenMark(image, step.image.properties ?? {});
  return hidden === undefined
    ? done(after, [{ kind: 'created', id: imageID }])
    : failed(withHiddenMark(after, hidden), markProtected(hidden, 'read'));
}

/** `wasSent`: an earlier request, of this process or of one before it, may have created it. */
async function takeOrSkip(
  { imageID, number }: StepOf<'create'>,
  state: State,
  context: PerformContext,
  wasSent: boolean,
): Promise<Performed> {
  const { images, owner, signal, recent } = context;
  const { observed, memory } = state;
  const image = await find(images, imageID, signal);
  const revision = image && revisionOf(image, claimOf(owner, memory));
  const next = { ...memory, next: Math.max(memory.next, number + 1) };
  if (revision?.ownership.kind === 'created') {
    const taken = withFound(next, revision);
    return changed({ observed: withRevision(observed, revision), memory: taken });
  }
  if (revision !== undefined && isOfOtherCluster(revision))
    return changed({ observed: withRevision(observed, revision), memory: { ...memory, incomplete: true } });
  const seen = observed.listed
    ? { observed, memory: next }
    : await observeMarked(context, { observed, memory: next, gone: [] });
  const isUnseen = image === undefined && !seen.memory.images.includes(imageID);
  if (isUnseen && wasSent && recent.usedMs(imageID) > 0) return failed(state, notYetKnown(imageID));
  return changed({ observed: seen.observed, memory: seen.memory });
}

/** Exactly-once creation relies on IDs that the client chooses; a server that assigns others cannot be used. */
async function withdrawn(
  image: Image,
  asked: string,
  { memory }: State,
  { images, owner, signal }: PerformContext,
): Promise<OperatorError> {
  const isMade = isMadeElsewhere(image, claimOf(owner, memory));
  if (isMade) await images.remove(image.id, signal);
  return new OperatorError(
    `Glance created image ${image.id} although ${asked} was requested; ${isMade ? 'the new image was deleted' : 'it is left as it is'}`,
    { code: 'InvalidRequest' },
  );
}

async function patch(step: StepOf<'patch'>, state: State, context: PerformContext): Promise<Performed> {
  const { images, signal, clock } = context;
  const { image, operations } = step;
  try {
    const after = await images.patch(image.id, operations, signal);
    const hidden = hiddenMark(after, marksIn(operations));
    const next = { ...replaced(state, after, context), memory: remember(state.memory, step, clock.now()) };
    if (hidden !== undefined) return failed(withHiddenMark(next, hidden), markProtected(hidden, 'read'));
    const changes: Change[] = [{ kind: 'updated', what: operations.map(keyIn) }];
    return endsMove(state, next, context) ? listAgain(next, changes, context) : done(next, changes);
  } catch (error) {
    if (error instanceof ImageNotFound) return vanished(image, state, context);
    // A property that was to be removed is gone already: look, and plan again.
    if (error instanceof Conflict) return look(image, state, context);
    if (error instanceof NotAuthorized) return whenForbidden(error, step, state, context);
    return failed(state, asHidden(error, step, state));
  }
}

/** Whether the last image that had the mark of another cluster has that of this one now. */
function endsMove({ observed: before }: State, { observed: after }: State, { owner: { cluster } }: Look): boolean {
  const remains = ({ revisions }: Observed) => revisions.some((one) => isInMove(one, cluster));
  return remains(before) && !remains(after);
}

/**
 * The operator of the other cluster may have created an image after the list and before its other images were marked. From then on it
 * creates none. Where this list fails, the next reconcile asks for it.
 */
async function listAgain(state: State, changes: Change[], context: PerformContext): Promise<Performed> {
  const { observed, memory } = state;
  const seen = await attempt(context.signal, () => observeMarked(context, { observed, memory, gone: [] }));
  if (!seen.ok) {
    const incomplete = { observed, memory: { ...memory, incomplete: true as const } };
    return { kind: 'failed', state: incomplete, changes, error: seen.error };
  }
  const isNew = ({ image: { id } }: Revision) => observed.revisions.every(({ image }) => image.id !== id);
  const added = seen.value.observed.revisions.filter(isNew);
  if (added.length === 0) return done(state, changes);
  return {
    kind: 'changed',
    state: { observed: added.reduce(withRevision, observed), memory: seen.value.memory },
    changes,
  };
}

/** Glance fails with a 500 when a property is added that it has and does not show. */
function asHidden(error: unknown, { operations }: StepOf<'patch'>, { memory: { hiddenMark: hidden } }: State): unknown {
  const isAdded = hidden !== undefined && Object.hasOwn(marksIn(operations), hidden);
  return isAdded && error instanceof GlanceUnavailable ? markProtected(hidden, 'read', error) : error;
}

function withHiddenMark(state: State, hidden: string): State {
  return { ...state, memory: { ...state.memory, hiddenMark: hidden } };
}

/** A property that Glance does not let us remove stays, so that the rest of the change can be made. */
async function whenForbidden(
  error: NotAuthorized,
  step: StepOf<'patch'>,
  state: State,
  { clock }: PerformContext,
): Promise<Performed> {
  const removals = step.operations.flatMap((one) => (one.op === 'remove' ? [keyIn(one)] : []));
  const reserved = reservedKey(error);
  const stuck = reserved !== undefined && removals.includes(reserved) ? [reserved] : [];
  const isNew = reserved !== undefined && !Object.hasOwn(step.image.properties, reserved);
  if (stuck.length === 0) return failed(state, asProtected(error, isNew ? 'create' : 'update'));
  const known = state.memory.unremovable?.keys ?? [];
  const unremovable = { keys: [...new Set([...known, ...stuck])].slice(-mostKeys), at: clock.now().toISOString() };
  return changed({ ...state, memory: { ...state.memory, unremovable } });
}

function marksIn(operations: readonly JsonPatchOperation[]): Record<string, unknown> {
  return Object.fromEntries(operations.flatMap((one) => (one.op === 'remove' ? [] : [[keyIn(one), one.value]])));
}

/** A conflict means that an import runs already: ours, when its response was lost. */
async function startImport(step: StepOf<'import'>, state: State, context: PerformContext): Promise<Performed> {
  const { images, webDownloads, signal, clock } = context;
  const { image, request } = step;
  if (request.method.name === 'web-download') await checkWebDownload(request.method.uri, webDownloads, signal);
  const memory = remember(state.memory, step, clock.now());
  try {
    await images.importImage(image.id, request, signal);
  } catch (error) {
    if (error instanceof ImageNotFound) return vanished(image, state, context);
    if (!(error instanceof Conflict)) return failed(state, error);
  }
  return look(image, { ...state, memory }, context);
}

async function removeFromStore(
  step: StepOf<'removeFromStore'>,
  state: State,
  context: PerformContext,
): Promise<Performed> {
  const { image, store } = step;
  await context.images.removeFromStore(image.id, store, context.signal);
  const seen = await look(image, state, context);
  return seen.kind === 'changed'
    ? { ...seen, changes: [{ kind: 'updated', what: [`stores (${store} removed)`] }] }
    : seen;
}

async function remove(step: StepOf<'delete'>, state: State, context: PerformContext): Promise<Performed> {
  const { images, recent, signal, clock } = context;
  const { image, why, mustGo, unlessInUse } = step;
  const use = unlessInUse === true ? await useOf(image.id, context, signal) : undefined;
  if (use !== undefined) return changed({ ...state, memory: withInUse(state.memory, image.id, use, clock.now()) });
  try {
    if (image.protected) await images.patch(image.id, [{ op: 'replace', path: '/protected', value: false }], signal);
    await images.remove(image.id, signal);
    recent.deleted(image.id);
  } catch (error) {
    // An upload that was cut writes the whole record back when Glance notices it, the protection included.
    const now =
      error instanceof NotAuthorized ? await attempt(signal, () => find(images, image.id, signal)) : undefined;
    if (now?.ok === true && now.value?.protected === true) return changed(replaced(state, now.value, context));
    const isRefused = error instanceof Conflict || error instanceof NotAuthorized;
    // An image that stays is as protected as before.
    if (isRefused && image.protected) await protectAgain(image, context);
    if (error instanceof Conflict && mustGo !== true) {
      const held = { why: error.message, isUnknown: false };
      return changed({ ...state, memory: withInUse(state.memory, image.id, held, clock.now()) });
    }
    if (!(error instanceof ImageNotFound)) return failed(state, error);
    if (recent.doubtMs(image.id) > 0) return failed(state, notYetKnown(image.id));
  }
  const observed = withoutRevision(state.observed, image.id);
  const memory = remember(state.memory, step, clock.now());
  return done({ observed, memory }, [{ kind: 'replaced', id: image.id, why }]);
}

/** Where this fails, a later plan does it, because the record of a retired image is compared too. */
async function protectAgain({ id }: Image, { images, signal }: PerformContext): Promise<void> {
  await attempt(signal, () => images.patch(id, [{ op: 'replace', path: '/protected', value: true }], signal));
}

async function look(image: Image, state: State, context: PerformContext): Promise<Performed> {
  const now = await find(context.images, image.id, context.signal);
  return now === undefined ? vanished(image, state, context) : changed(replaced(state, now, context));
}

function replaced({ observed, memory }: State, image: Image, { owner }: Look): State {
  return { observed: withRevision(observed, revisionOf(image, claimOf(owner, memory))), memory };
}

function vanished({ id }: Image, before: State, { recent }: Look): Performed {
  if (recent.doubtMs(id) > 0) return failed(before, notYetKnown(id));
  const state = { observed: withoutRevision(before.observed, id), memory: withoutImage(before.memory, id) };
  return { kind: 'changed', state, changes: [{ kind: 'vanished', id }] };
}

function notYetKnown(id: string): OperatorError {
  return new OperatorError(
    `Glance does not know image ${id}, which it may have created a moment ago: its databases may lag behind`,
    { code: 'ImageNotKnownYet' },
  );
}

function done(state: State, changes: readonly Change[]): Performed {
  return { kind: 'done', state, changes };
}

function changed(state: State): Performed {
  return { kind: 'changed', state, changes: [] };
}

function failed(state: State, error: unknown): Performed {
  return { kind: 'failed', state, changes: [], error };
}

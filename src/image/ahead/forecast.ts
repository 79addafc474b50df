/**
 * The forecast for one resource, until nothing is left to do: the steps of the plan, what follows them, and the
 * steps of the next plan. Data that is not read yet is taken for right.
 *
 * Invariants: nothing is decided here: the steps are those of `plan`, their effects those of `simulate`, and the end of a transfer is
 * read as the reconcile reads it. Nothing is written.
 */
import { isDeepStrictEqual } from 'node:util';
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { Image } from '../../glance/image.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { defaultLimits, type TransferPlan } from '../../transfer/plan.ts';
import { addressOf, type Content } from '../model/content.ts';
import type { Desired } from '../model/desired.ts';
import { fingerprintOn } from '../model/fingerprint.ts';
import { withFinding } from '../model/memory.ts';
import type { Member, Observed } from '../model/revisions.ts';
import { simulate, withMembersOf, withRevision } from '../model/simulate.ts';
import type { Next, PlanStep, State } from '../model/step.ts';
import { fillPlan, readTransfer, verifyPlan } from '../model/transfer.ts';
import { obeyPin } from '../plan/pin.ts';
import { plan } from '../plan/plan.ts';
import { remembered } from '../reconcile/follow.ts';

/** In the order in which they happen. */
export type Action =
  /** `before`: as everything is then. */
  | { kind: 'step'; step: PlanStep; before: State }
  /** The list or index of the publisher is read. */
  | { kind: 'resolve'; url: string; file: string | undefined; digest: string | undefined }
  | {
      kind: 'transfer';
      purpose: 'fill' | 'verify';
      image: Image;
      content: Content;
      source: SourceSize;
      /** It has begun already. */
      isRunning: boolean;
    }
  /** Glance works on an import. */
  | { kind: 'import'; image: Image }
  | { kind: 'inspect'; image: Image };

export type Outlook =
  /** The image is as declared then. */
  | { kind: 'settled'; image: Image }
  | { kind: 'idle'; why: string }
  | { kind: 'blocked'; code: ErrorCode; message: string }
  /** The next steps depend on something that cannot be known yet. */
  | { kind: 'unknown'; why: string };

export interface Forecast {
  actions: readonly Action[];
  end: Outlook;
  /** As everything is now, and after the steps. Absent where it was not looked at. */
  first?: State;
  last?: State;
}

/** `bytes`: undefined where the server does not announce it, or `problem`. */
export interface SourceSize {
  bytes?: number | undefined;
  problem?: string | undefined;
}

/** Requests that the forecast needs. */
export interface Enquiries {
  /** Undefined for an image that is not shared yet. Glance keeps its members, and does not show them. */
  members(image: Image): Promise<readonly Member[] | undefined>;
  source(content: Content): Promise<SourceSize>;
}

export interface Subject {
  resource: GlanceImage;
  desired: Desired;
  /** Origin of the image endpoint. */
  address: string;
}

/** Far more than any chain of plans that ends. */
const mostPlans = 200;

export async function forecast(subject: Subject, start: State, ask: Enquiries, now: Date): Promise<Forecast> {
  const actions: Action[] = [];
  let state = start;
  const ended = (end: Outlook): Forecast => ({ actions, end, first: start, last: state });
  for (let plans = 0; plans < mostPlans; plans++) {
    const { steps, next } = plan(subject.desired, state, now);
    for (const step of steps) {
      actions.push({ kind: 'step', step, before: state });
      state = simulate(state, step, now);
    }
    const followed = await afterNext(next, subject, state, ask, now);
    actions.push(...followed.actions);
    if (followed.kind === 'end') return ended(followed.end);
    // Without a change, the same end would follow again.
    if (steps.length === 0 && isDeepStrictEqual(followed.state, state)) return ended(endless);
    state = followed.state;
  }
  return ended(endless);
}

const endless: Outlook = { kind: 'unknown', why: 'the steps that follow do not end' };

type Followed = { actions: readonly Action[] } & ({ kind: 'end'; end: Outlook } | { kind: 'on'; state: State });

async function afterNext(
  next: Next,
  { resource, desired, address }: Subject,
  state: State,
  ask: Enquiries,
  now: Date,
): Promise<Followed> {
  const memory = () => remembered(state.memory, next, state.observed, desired, now);
  const end = (one: Outlook): Followed => ({ kind: 'end', end: one, actions: [] });
  switch (next.kind) {
    case 'settled': {
      const after = { ...state, memory: memory() };
      const again = plan(desired, after, now);
      const isOver = again.steps.length === 0 && again.next.kind === 'settled';
      return isOver ? end({ kind: 'settled', image: next.image }) : { kind: 'on', state: after, actions: [] };
    }
    case 'transfer': {
      const { image, content, purpose } = next;
      const source = purpose === 'fill' ? await ask.source(content) : { bytes: image.size ?? undefined };
      const before = { ...state, memory: memory() };
      const after = afterTransfer(resource, next, address, before, source.bytes, now);
      const action = { kind: 'transfer' as const, purpose, image, content, source, isRunning: false };
      return { kind: 'on', state: after, actions: [action] };
    }
    case 'inspect': {
      const { binding: fingerprint = '' } = obeyPin(desired, state, now);
      const found = { imageID: next.image.id, fingerprint, verdict: 'right' as const };
      const after = { ...state, memory: withFinding(state.memory, found) };
      return { kind: 'on', state: after, actions: [{ kind: 'inspect', image: next.image }] };
    }
    case 'readMembers': {
      let { observed } = state;
      for (const image of next.images) {
        const members = await ask.members(image);
        if (members === undefined)
          return end({ kind: 'unknown', why: `the members of image ${image.id} can be read once it is shared` });
        observed = withMembersOf(observed, image.id, members);
      }
      return { kind: 'on', state: { ...state, observed }, actions: [] };
    }
    case 'wait': {
      const after = afterWait(resource, next, desired, address, { ...state, memory: memory() }, now);
      return after ?? end({ kind: 'unknown', why: `image ${next.image.id}: ${next.why}` });
    }
    case 'importFailed':
      return end({ kind: 'blocked', code: 'ImportFailed', message: `Glance could not import ${next.what}` });
    case 'blocked':
      return end({ kind: 'blocked', code: next.code, message: next.message });
  }
}

/** As after a transfer that succeeds. */
function afterTransfer(
  resource: GlanceImage,
  { image, content, purpose }: Pick<Extract<Next, { kind: 'transfer' }>, 'image' | 'content' | 'purpose'>,
  address: string,
  state: State,
  size: number | undefined,
  now: Date,
): State {
  const planOf = purpose === 'fill' ? fillPlan : verifyPlan;
  const transferred = planOf(resource, image.id, content, { address, limits: defaultLimits });
  // The size of the image is known only where nothing is decompressed.
  const known = size !== undefined && content.decompress === 'None' ? size : undefined;
  const filled: Image =
    purpose === 'verify'
      ? image
      : { ...image, ...stored(image, transferred, state), status: 'active', size: known ?? null };
  const result = {
    image: filled,
    bytes: filled.size ?? 0,
    servedBytes: size ?? 0,
    digest: content.digest ?? '',
    imageDigest: content.digest ?? '',
    format: content.diskFormat,
    url: addressOf(content),
    resumes: 0,
    startedAt: now.toISOString(),
    durationMs: 0,
  };
  const news = readTransfer(resource, { kind: 'succeeded', plan: transferred, result }, state.memory, now);
  return {
    observed: withImage(state.observed, filled),
    memory: news.kind === 'verified' ? news.memory : state.memory,
  };
}

/** An upload reaches one store. */
function stored({ stores }: Image, { stores: wanted }: TransferPlan, { observed }: State): Pick<Image, 'stores'> {
  const named = wanted.kind === 'some' ? wanted.names : wanted.kind === 'all' ? observed.storeNames : undefined;
  return named === undefined ? (stores === undefined ? {} : { stores }) : { stores: named.slice(0, 1) };
}

/** Undefined where it is not known what comes. */
function afterWait(
  resource: GlanceImage,
  { image, phase }: Extract<Next, { kind: 'wait' }>,
  { content, fingerprint }: Desired,
  address: string,
  state: State,
  now: Date,
): Followed | undefined {
  if (phase === 'Importing') {
    return { kind: 'on', state: afterImport(image, content, state), actions: [{ kind: 'import', image }] };
  }
  const isOurs = fingerprint !== undefined && fingerprintOn(image) === fingerprint;
  if (content === undefined || !isOurs || image.status !== 'saving') return undefined;
  const after = afterTransfer(resource, { image, content, purpose: 'fill' }, address, state, undefined, now);
  const action = { kind: 'transfer' as const, purpose: 'fill' as const, image, content, source: {}, isRunning: true };
  return { kind: 'on', state: after, actions: [action] };
}

const notes = ['os_glance_import_task', 'os_glance_importing_to_stores', 'os_glance_failed_import'];
/** By which Glance computes its hash, unless it is configured otherwise. */
const usualHash = 'sha512';

function afterImport(image: Image, content: Content | undefined, { observed, memory }: State): State {
  const { import: running, ...rest } = memory;
  const [algorithm, value = ''] = content?.digest?.split(':') ?? [];
  const properties = Object.fromEntries(Object.entries(image.properties).filter(([key]) => !notes.includes(key)));
  const copies = running?.imageID === image.id && running.kind === 'copy' ? (running.stores ?? []) : [];
  const filled = image.status === 'active' ? {} : { hash: algorithm === usualHash ? { algorithm, value } : null };
  const stores = image.stores === undefined ? {} : { stores: [...new Set([...image.stores, ...copies])] };
  const after: Image = { ...image, ...filled, ...stores, status: 'active', properties };
  return { observed: withImage(observed, after), memory: rest };
}

function withImage(observed: Observed, image: Image): Observed {
  const before = observed.revisions.find((one) => one.image.id === image.id);
  return before === undefined ? observed : withRevision(observed, { ...before, image });
}

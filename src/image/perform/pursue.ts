/**
 * Plans and performs until nothing is left to do in this reconcile.
 *
 * Invariant: it returns what it learned, whatever happens; only an abort is thrown.
 */
import type { Image } from '../../glance/image.ts';
import { attempt, OperatorError } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { addressOf, type Content } from '../model/content.ts';
import type { Desired } from '../model/desired.ts';
import { type Memory, withFinding } from '../model/memory.ts';
import type { Change, VerifiedContent } from '../model/report.ts';
import { withMembersOf } from '../model/simulate.ts';
import type { Next, State } from '../model/step.ts';
import { hashOf } from '../model/verify.ts';
import { obeyPin } from '../plan/pin.ts';
import { plan } from '../plan/plan.ts';
import { type PerformContext, perform } from './perform.ts';
import { readMembers } from './sharing.ts';
import { faultOfFetched } from './web-download.ts';

export type Pursued = { kind: 'gone' } | { kind: 'outdated' } | ({ state: State; changes: readonly Change[] } & Ended);

type Ended =
  /** `content`: of data that was inspected. */
  { kind: 'next'; next: Next; content?: VerifiedContent | undefined } | { kind: 'failed'; error: unknown };

/** Each plan but the first follows from a change by others; far more than any honest chain of lost responses needs. */
const mostPlans = 40;
/** IDs that are found used up in one reconcile. Each costs two calls, and the next reconcile goes on behind them. */
const mostSkipped = 50;

export async function pursue(desired: Desired, start: State, context: PerformContext): Promise<Pursued> {
  const { clock, signal } = context;
  const changes: Change[] = [];
  let state = start;
  let content: VerifiedContent | undefined;
  for (let plans = 0, skipped = 0; plans < mostPlans; ) {
    const { steps, next } = plan(desired, state, clock.now());
    const before = state;
    const done = await performAll(steps, state, context);
    if (done.kind === 'gone' || done.kind === 'outdated') return done;
    changes.push(...done.changes);
    state = done.state;
    if (done.kind === 'failed') return { kind: 'failed', error: done.error, state, changes };
    if (done.kind === 'changed' && isSkip(before, state)) skipped++;
    else plans++;
    if (skipped === mostSkipped) return { kind: 'failed', error: usedUp(state.memory.next), state, changes };
    if (done.kind === 'changed') continue;
    if (next.kind === 'inspect') {
      const { memory } = state;
      const inspected = await attempt(signal, () =>
        inspect(next.image, next.content, obeyPin(desired, state, clock.now()), memory, context),
      );
      if (!inspected.ok) return { kind: 'failed', error: inspected.error, state, changes };
      state = { ...state, memory: inspected.value.memory };
      content = inspected.value.content;
      continue;
    }
    if (next.kind === 'readMembers') {
      const { images } = next;
      const read = await attempt(signal, () => withMembersRead(state, images, context));
      if (!read.ok) return { kind: 'failed', error: read.error, state, changes };
      state = read.value;
      continue;
    }
    // A step may have had another effect than was predicted. A blocked plan is reported before anything else is done.
    if (steps.length === 0 || next.kind === 'blocked') return { kind: 'next', next, content, state, changes };
  }
  return { kind: 'failed', error: contested(state), state, changes };
}

/** Whether an ID was found used up. */
function isSkip(before: State, after: State): boolean {
  return after.memory.next > before.memory.next && after.observed.revisions.length === before.observed.revisions.length;
}

type Performed = Awaited<ReturnType<typeof perform>>;

/** Performs the steps in their order, until one has another effect than planned. */
async function performAll(
  steps: ReturnType<typeof plan>['steps'],
  start: State,
  context: PerformContext,
): Promise<Performed> {
  const changes: Change[] = [];
  let state = start;
  for (const step of steps) {
    const performed = await perform(step, state, context);
    if (performed.kind === 'gone' || performed.kind === 'outdated') return performed;
    changes.push(...performed.changes);
    state = performed.state;
    if (performed.kind !== 'done') return { ...performed, changes };
  }
  return { kind: 'done', state, changes };
}

async function withMembersRead(state: State, images: readonly Image[], context: PerformContext): Promise<State> {
  let { observed } = state;
  for (const image of images) observed = withMembersOf(observed, image.id, await readMembers(image, context));
  return { ...state, observed };
}

/** Inspects data that Glance has downloaded itself. The result is remembered as a finding. */
async function inspect(
  image: Extract<Next, { kind: 'inspect' }>['image'],
  content: Content,
  { binding: fingerprint = '' }: Desired,
  memory: Memory,
  { images, webDownloads, signal }: PerformContext,
): Promise<{ memory: Memory; content: VerifiedContent | undefined }> {
  const fault = await faultOfFetched(images, image, content, webDownloads, signal);
  const base = { imageID: image.id, fingerprint };
  if (fault !== undefined) {
    const found = { ...base, verdict: 'wrong' as const, why: fault.message, code: fault.code };
    return { memory: withFinding(memory, found), content: undefined };
  }
  const hash = hashOf(image);
  const size = image.size === null ? {} : { size: image.size };
  const { digest = '' } = content;
  return {
    memory: withFinding(memory, { ...base, verdict: 'right', ...size, ...(hash === undefined ? {} : { hash }) }),
    content: { imageID: image.id, url: safeUrl(addressOf(content)), digest, imageDigest: digest, ...size },
  };
}

function usedUp(count: number): OperatorError {
  return new OperatorError(
    `the first ${count} image IDs of this resource are used up: their images were deleted, or belong to other projects. The ` +
      'operator tries the next IDs',
    { code: 'ImageIDsUsed' },
  );
}

function contested({ observed }: State): OperatorError {
  const id = observed.revisions.at(-1)?.image.id ?? '';
  return new OperatorError(`image ${id} does not converge: another client reverts every change immediately`, {
    code: 'Conflict',
  });
}

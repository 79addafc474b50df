/**
 * From what is declared to what Glance holds: observe, plan, act, until nothing is left to do by this reconcile. Law: it
 * ends in facts whatever happens, so that a failure half-way still tells what was seen before it.
 */

import { rfc3339 } from '../api/conditions.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import type { ImageClient } from '../glance/client/index.ts';
import type { Image } from '../glance/image.ts';
import { whyImportFailed } from '../glance/import-state.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError, unreachable } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { act, removeUnprotected } from './act.ts';
import { addressOf, type Content } from './content.ts';
import { type Desired, desire } from './desired.ts';
import type { Facts, Transferred } from './facts.ts';
import { type Claim, incarnationOf } from './identity.ts';
import { judge, observe } from './observe.ts';
import { type Action, type Memory, type Observation, plan } from './plan.ts';
import { faultOfFetched, isUninspected, type WebDownloads } from './web-download.ts';

export interface ConvergeOptions {
  resource: GlanceImage;
  claim: Claim;
  images: ImageClient;
  projectID: string;
  /** Names of all stores of the cloud; undefined where it has one without a name. */
  storeNames: (signal: AbortSignal) => Promise<readonly string[] | undefined>;
  clock: Clock;
  /** The image as a list or its transfer has shown it lately. It may end the pass, but nothing is done on its word. */
  seen?: Image | undefined;
  /** Called before the first change in Glance, so that deletion will find it. */
  beforeFirstDeed: () => Promise<void>;
  webDownloads: WebDownloads;
  signal: AbortSignal;
}

/** What is left to do by others than this reconcile: start the transfer. */
export type Rest = { kind: 'nothing' } | { kind: 'transfer'; imageID: string; content: Content };

/** Each round acts at least once; far more than any honest chain of lost answers needs. */
const maxRounds = 40;
/** IDs that are found used up in one reconcile. Passing one costs two calls, and the next reconcile goes on behind them. */
const maxPassedIDs = 50;

/** Adds to `facts` as it learns; throws what ends it early. */
export async function converge(facts: Facts, options: ConvergeOptions): Promise<Rest> {
  const { resource, claim, images, projectID, clock, signal } = options;
  const { status } = resource;
  const desired = desire(resource, claim, projectID);
  const memory: Memory = {
    propertyKeys: status.propertyKeys ?? [],
    transfer: status.transfer,
    sent: facts.sent ?? recorded(status),
    readyImageID: status.operation?.readyImageID,
    storeNames: desired.stores.kind === 'all' ? await options.storeNames(signal) : undefined,
  };
  const quiet = seenSettled(desired, memory, options);
  let observation = note(facts, desired, quiet ?? (await observe(images, claim, signal)));
  let passedIDs = 0;
  for (let round = 0; round < maxRounds; ) {
    memory.sent = await inspected(facts, desired, observation, memory, options);
    // One deed at a time: what it led to decides what comes next.
    const [action] = plan(desired, observation, memory, clock.now());
    switch (action?.kind) {
      case undefined:
        facts.propertyKeys = desired.propertyKeys;
        noteReady(facts, observation, memory);
        facts.end = { kind: 'converged' };
        return { kind: 'nothing' };
      case 'transfer':
        facts.propertyKeys = desired.propertyKeys;
        return { kind: 'transfer', imageID: action.image.id, content: action.content };
      case 'wait':
        facts.end = { kind: 'waiting', phase: action.phase, why: action.why, ms: action.ms };
        return { kind: 'nothing' };
      case 'importFailed':
        throw await importFailure(action, images, signal);
      case 'reject':
        await removeUnprotected(images, action.image, signal);
        facts.image = 'gone';
        facts.changes.push({ kind: 'replaced', id: action.image.id, why: action.message });
        throw new OperatorError(action.message, { code: action.reason });
      case 'refuse':
        throw new OperatorError(action.message, { code: action.reason });
      case 'create':
      case 'patch':
      case 'import':
      case 'uncopy':
      case 'replace': {
        await options.beforeFirstDeed();
        const done = await act(action, options);
        if (done.change !== undefined) facts.changes.push(done.change);
        observation = note(facts, desired, done.observation);
        // What the image before it was waiting for is over.
        if (action.kind === 'create') memory.transfer = undefined;
        if (action.kind !== 'create' || observation.kind !== 'absent') round++;
        else if (++passedIDs === maxPassedIDs) throw usedUp(observation.incarnation);
        // An import that has failed by now must not be asked for again as if it had never been.
        if (action.kind === 'import') {
          memory.transfer = { phase: 'Importing', bytes: 0, startedAt: rfc3339(clock.now()) };
        }
        break;
      }
      default:
        return unreachable(action);
    }
  }
  throw new OperatorError(
    `image ${resource.status.imageID ?? ''} does not converge: another client reverts every change immediately`,
    {
      code: 'Conflict',
    },
  );
}

/**
 * What is known of the data of the image: of data that Glance has fetched by itself, once it is inspected. Throws what is wrong
 * with it, after the image is deleted, unless it was Ready.
 */
async function inspected(
  facts: Facts,
  { content }: Desired,
  observation: Observation,
  { sent, readyImageID }: Memory,
  { images, webDownloads: { maxVirtualBytes }, signal }: ConvergeOptions,
): Promise<Transferred | undefined> {
  if (observation.kind !== 'present' || sent?.imageID === observation.image.id) return sent;
  const { image } = observation;
  if (!isUninspected(content, image)) return sent;
  const fault = await faultOfFetched(images, image, content, maxVirtualBytes, signal);
  if (fault === undefined) return fetched(content, image);
  if (image.id === readyImageID) throw fault;
  await removeUnprotected(images, image, signal);
  facts.image = 'gone';
  facts.changes.push({ kind: 'replaced', id: image.id, why: fault.message });
  throw fault;
}

/** What was seen lately, where that leaves nothing to do. */
function seenSettled(desired: Desired, memory: Memory, options: ConvergeOptions): Observation | undefined {
  const { seen, claim, clock } = options;
  if (seen === undefined) return undefined;
  const observation = judge(seen, claim, incarnationOf(claim.uid, seen.id, claim.incarnation) ?? 0, claim.recorded?.id);
  const settled = observation.kind === 'present' && plan(desired, observation, memory, clock.now()).length === 0;
  return settled ? observation : undefined;
}

function note(facts: Facts, { content }: Desired, observation: Observation): Observation {
  // What became foreign is not shown as ours: the status keeps what was seen of it before.
  if (observation.kind === 'takenOver') return observation;
  facts.image = observation.kind === 'absent' ? 'gone' : observation.image;
  facts.incarnation = observation.incarnation;
  // It has no data, so what comes into it next is not what was Ready.
  const isEmpty = observation.kind === 'present' && observation.image.status === 'queued';
  if (isEmpty && content !== undefined) facts.ready = { imageID: undefined };
  return observation;
}

function recorded({ imageID, content }: GlanceImageStatus): Transferred | undefined {
  return imageID === undefined || content === undefined ? undefined : { imageID, content };
}

function usedUp(count: number): OperatorError {
  return new OperatorError(
    `the first ${count} image IDs of this resource are used up: their images were deleted, or belong to other projects. The ` +
      'operator tries the next IDs',
    { code: 'ImageIDsUsed' },
  );
}

/** What Glance fetched by itself counts as sent once it is verified and inspected. */
function fetched(content: Content, { id, size }: Image): Transferred | undefined {
  const { digest } = content;
  if (digest === undefined) return undefined;
  const url = safeUrl(addressOf(content));
  return { imageID: id, content: { url, digest, imageDigest: digest, ...(size === null ? {} : { size }) } };
}

function noteReady(facts: Facts, observation: Observation, { sent }: Memory): void {
  if (observation.kind !== 'present') return;
  facts.ready = { imageID: observation.image.id };
  if (sent !== undefined) facts.sent ??= sent;
}

/** The words are in the last task of the image, if anywhere. */
async function importFailure(
  { image, what }: Extract<Action, { kind: 'importFailed' }>,
  images: ImageClient,
  signal: AbortSignal,
): Promise<OperatorError> {
  const why = whyImportFailed(await images.tasks(image.id, signal));
  return new OperatorError(`Glance could not import ${what} of image ${image.id}: ${why}`, {
    code: 'ImportFailed',
  });
}

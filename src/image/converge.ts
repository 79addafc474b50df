/**
 * From what is declared to what Glance holds: observe, plan, act, until nothing is left to do by this reconcile. Law: it
 * ends in facts whatever happens, so that a failure half-way still tells what was seen before it.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import type { ImageClient } from '../glance/client.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError, retry, unreachable } from '../lib/errors.ts';
import { act } from './act.ts';
import { type Content, desire } from './desired.ts';
import type { Facts } from './facts.ts';
import type { Identity } from './identity.ts';
import { observe } from './observe.ts';
import { type Observation, plan } from './plan.ts';

export interface ConvergeOptions {
  resource: GlanceImage;
  identity: Identity;
  images: ImageClient;
  projectID: string;
  clock: Clock;
  /** Called before the first change in Glance, so that deletion will find it. */
  beforeFirstDeed: () => Promise<void>;
  signal: AbortSignal;
}

/** What is left to do by others than this reconcile: start the transfer. */
export type Rest = { kind: 'nothing' } | { kind: 'transfer'; imageID: string; content: Content };

/** Each round acts at least once; far more than any honest chain of lost answers and burnt ids needs. */
const maxRounds = 40;

/** Adds to `facts` as it learns; throws what ends it early. */
export async function converge(facts: Facts, options: ConvergeOptions): Promise<Rest> {
  const { resource, identity, images, projectID, clock, signal } = options;
  const { status } = resource;
  const desired = desire(resource, identity, projectID);
  const memory = { propertyKeys: status.propertyKeys ?? [], transfer: status.transfer };
  let observation = note(facts, await observe(images, identity, status.imageID, signal));
  for (let round = 0; round < maxRounds; round++) {
    // One deed at a time: what it led to decides what comes next.
    const [action] = plan(desired, observation, memory, clock.now());
    switch (action?.kind) {
      case undefined:
        facts.propertyKeys = desired.propertyKeys;
        facts.end = { kind: 'converged' };
        return { kind: 'nothing' };
      case 'transfer':
        facts.propertyKeys = desired.propertyKeys;
        return { kind: 'transfer', imageID: action.image.id, content: action.content };
      case 'wait':
        facts.end = { kind: 'waiting', why: action.why, ms: action.ms };
        return { kind: 'nothing' };
      case 'refuse':
        throw new OperatorError(action.message, { code: action.reason, retry: retry.changeOrAfter(600_000) });
      case 'create':
      case 'patch':
      case 'replace': {
        await options.beforeFirstDeed();
        const done = await act(action, { images, identity, signal });
        if (done.change !== undefined) facts.changes.push(done.change);
        observation = note(facts, done.observation);
        break;
      }
      default:
        return unreachable(action);
    }
  }
  throw new OperatorError(
    `image ${resource.status.imageID ?? ''} does not come to rest: every change is undone at once`,
    {
      code: 'Conflict',
      retry: retry.backoff,
    },
  );
}

function note(facts: Facts, observation: Observation): Observation {
  facts.image = observation.kind === 'absent' ? 'gone' : observation.image;
  return observation;
}

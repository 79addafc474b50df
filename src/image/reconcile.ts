/**
 * One pass over one resource, top to bottom: gone? deleting? suspended? due? then converge, and summarise what was learned
 * in one status. Laws: a pass never streams data and never waits for what others do; whatever happens in it ends in the
 * status, in the words of the one who said it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { GlanceImage } from '../api/glanceimage.ts';
import { abandonAnnotation, finalizer, reconcileAtAnnotation } from '../api/group.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { parseDuration } from '../lib/duration.ts';
import { OperatorError, retry, unreachable } from '../lib/errors.ts';
import type { Key, Outcome } from '../lib/outcome.ts';
import type { Scheduler } from '../transfer/scheduler.ts';
import type { Cloud, Clouds } from './clouds.ts';
import { converge } from './converge.ts';
import { deleteImages } from './delete.ts';
import { dueOf } from './due.ts';
import { happenings } from './events.ts';
import type { Facts } from './facts.ts';
import { asFailure } from './failure.ts';
import { type Identity, identityOf } from './identity.ts';
import { ResourceGone, type Resources } from './resources.ts';
import { type Moment, summarise } from './status.ts';
import { cloudRefOf, transferPlan } from './transfer.ts';

export interface ReconcilerOptions {
  resources: Resources;
  clouds: Clouds;
  transfers: Scheduler;
  /** Name of this cluster in the owner mark. */
  cluster: string;
  clock: Clock;
  random: Random;
}

export function createReconciler(options: ReconcilerOptions): (key: Key, signal: AbortSignal) => Promise<Outcome> {
  const { resources, clouds, transfers, cluster, clock, random } = options;
  /** When each settled resource is compared next, in monotonic milliseconds. Forgotten with the resource. */
  const comparisons = new Map<Key, number>();

  /** How long nothing needs to be done, in milliseconds; 0 means now, Infinity until something changes. */
  function idleMs(key: Key, resource: GlanceImage): number {
    const { namespace } = resource.metadata;
    const due = dueOf(resource, resources.secretVersion(namespace, resource.spec.cloud.secretName), clock.now());
    switch (due.kind) {
      case 'now':
        return 0;
      case 'in':
        return due.ms;
      case 'settled': {
        if (due.intervalMs === 0) return Number.POSITIVE_INFINITY;
        // Settled before this process began: its checks are spread, so that a restart asks Glance nothing all at once.
        const at = comparisons.get(key) ?? clock.monotonic() + random() * due.intervalMs;
        comparisons.set(key, at);
        return Math.max(0, at - clock.monotonic());
      }
      default:
        return unreachable(due);
    }
  }

  async function openCloud(facts: Facts, resource: GlanceImage, signal: AbortSignal): Promise<Cloud> {
    facts.secret = { version: undefined };
    const secret = await clouds.read(cloudRefOf(resource), signal);
    facts.secret = { version: secret.version };
    const cloud = await secret.open(signal);
    refuseOtherCloud(resource.status, cloud);
    facts.cloud = { projectID: cloud.projectID, region: cloud.region };
    return cloud;
  }

  async function pursue(
    key: Key,
    facts: Facts,
    resource: GlanceImage,
    identity: Identity,
    signal: AbortSignal,
  ): Promise<void> {
    const transfer = transfers.get(key);
    if (transfer?.kind === 'queued' || transfer?.kind === 'running') {
      facts.end = { kind: 'transferring', state: transfer };
      return;
    }
    if (transfer?.kind === 'failed') throw transfer.error;
    if (transfer?.kind === 'succeeded') facts.uploaded = transfer.result;
    const { images, projectID } = await openCloud(facts, resource, signal);
    let guarded = resource.metadata.finalizers.includes(finalizer);
    const beforeFirstDeed = async () => {
      if (!guarded) await resources.addFinalizer(resource, signal);
      guarded = true;
    };
    const rest = await converge(facts, { resource, identity, images, projectID, clock, beforeFirstDeed, signal });
    if (rest.kind === 'nothing') return;
    transfers.start(key, transferPlan(resource, rest.imageID, rest.content));
    const started = transfers.get(key);
    if (started?.kind === 'queued' || started?.kind === 'running') facts.end = { kind: 'transferring', state: started };
  }

  /** Resolves once the image is dealt with as the resource says; the finalizer may go then. */
  async function release(facts: Facts, resource: GlanceImage, identity: Identity, signal: AbortSignal): Promise<void> {
    const { metadata, spec, status } = resource;
    if (metadata.annotations[abandonAnnotation] === 'true') {
      resources.event(
        resource,
        'Warning',
        'Abandoned',
        `let go by annotation; image ${status.imageID ?? '(none known)'} may still exist`,
      );
      return;
    }
    if (spec.deletionPolicy === 'Retain') {
      resources.event(
        resource,
        'Normal',
        'Retained',
        `image ${status.imageID ?? '(none)'} stays in Glance, as deletionPolicy says`,
      );
      return;
    }
    const { images } = await openCloud(facts, resource, signal);
    await deleteImages(facts, { images, identity, recordedID: status.imageID, protects: spec.image.protected, signal });
    for (const { type, reason, note } of happenings(status, status, facts))
      resources.event(resource, type, reason, note);
  }

  async function report(facts: Facts, resource: GlanceImage, signal: AbortSignal): Promise<GlanceImageStatus> {
    const { metadata, status: previous } = resource;
    const moment: Moment = {
      generation: metadata.generation,
      reconcileAt: metadata.annotations[reconcileAtAnnotation],
      deleting: isDeleting(resource),
      now: clock.now(),
      random: random(),
    };
    const status = summarise(facts, previous, moment);
    if (!isDeepStrictEqual(status, previous)) await resources.writeStatus(resource, status, signal);
    for (const { type, reason, note } of happenings(previous, status, facts))
      resources.event(resource, type, reason, note);
    return status;
  }

  function outcome(key: Key, facts: Facts, resource: GlanceImage, status: GlanceImageStatus): Outcome {
    switch (facts.end.kind) {
      case 'converged': {
        const intervalMs = parseDuration(resource.spec.interval);
        if (intervalMs === 0) return { kind: 'done' };
        const afterMs = jitter(intervalMs, 0.1, random);
        comparisons.set(key, clock.monotonic() + afterMs);
        return { kind: 'recheck', afterMs };
      }
      case 'waiting':
        return { kind: 'recheck', afterMs: facts.end.ms };
      case 'failed': {
        const at = status.nextAttemptTime;
        return at === undefined
          ? { kind: 'done' }
          : { kind: 'recheck', afterMs: Math.max(0, Date.parse(at) - clock.now().getTime()) };
      }
      case 'transferring':
      case 'suspended':
        return { kind: 'done' };
      default:
        return unreachable(facts.end);
    }
  }

  /** Resolves with the outcome, once the end of the pass is written down. */
  async function pass(key: Key, resource: GlanceImage, signal: AbortSignal): Promise<Outcome> {
    const identity = identityOf(resource, cluster);
    const facts: Facts = { changes: [], end: { kind: 'suspended' } };
    try {
      if (isDeleting(resource)) {
        await release(facts, resource, identity, signal);
        await resources.removeFinalizer(resource, signal);
        comparisons.delete(key);
        return { kind: 'done' };
      }
      if (!resource.spec.suspend) await pursue(key, facts, resource, identity, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ResourceGone) throw error;
      facts.end = { kind: 'failed', error: asFailure(error) };
    }
    const status = await report(facts, resource, signal);
    transfers.forget(key);
    return outcome(key, facts, resource, status);
  }

  return async (key, signal) => {
    const resource = resources.get(key);
    if (resource === undefined || (isDeleting(resource) && !resource.metadata.finalizers.includes(finalizer))) {
      comparisons.delete(key);
      await transfers.cancel(key);
      return { kind: 'done' };
    }
    if (isDeleting(resource) || resource.spec.suspend) await transfers.cancel(key);
    const waits = transfers.get(key) === undefined && (isDeleting(resource) || !resource.spec.suspend);
    const ms = waits ? idleMs(key, resource) : 0;
    if (ms > 0) return Number.isFinite(ms) ? { kind: 'recheck', afterMs: ms } : { kind: 'done' };
    try {
      return await pass(key, resource, signal);
    } catch (error) {
      // It vanished meanwhile, and the watch will say so.
      if (error instanceof ResourceGone) return { kind: 'done' };
      throw error;
    }
  };
}

function isDeleting(resource: GlanceImage): boolean {
  return resource.metadata.deletionTimestamp !== undefined;
}

/** The image lives where it was made: credentials that lead elsewhere would make a second one and forget the first. */
function refuseOtherCloud(status: GlanceImageStatus, cloud: Cloud): void {
  const home = status.cloud;
  if (home === undefined || status.imageID === undefined) return;
  if (home.projectID === cloud.projectID && home.region === cloud.region) return;
  const place = (projectID: string, region: string | undefined) =>
    `project ${projectID}${region === undefined ? '' : ` in ${region}`}`;
  throw new OperatorError(
    `the image is in ${place(home.projectID, home.region)}, but the credentials lead to ${place(cloud.projectID, cloud.region)}: ` +
      'restore the former ones, or delete this resource and create another',
    { code: 'CloudChanged', retry: retry.changeOrAfter(600_000) },
  );
}

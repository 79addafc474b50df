/**
 * One pass over one resource, top to bottom: gone? deleting? suspended? due? then converge, and summarise what was learned
 * in one status. Laws: a pass never streams data and never waits for what others do; whatever happens in it ends in the
 * status, in the words of the one who said it.
 */
import { isDeepStrictEqual } from 'node:util';
import { withDefaults } from '../api/defaults.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { abandonAnnotation, finalizer, reconcileAtAnnotation } from '../api/group.ts';
import type { GlanceImageStatus } from '../api/status.ts';
import type { Outcome } from '../controller/outcome.ts';
import type { Image } from '../glance/image.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { addToContext } from '../lib/context.ts';
import { parseDuration } from '../lib/duration.ts';
import { OperatorError, unreachable } from '../lib/errors.ts';
import type { Key } from '../lib/key.ts';
import type { TransferPlan } from '../transfer/plan.ts';
import type { Scheduler, TransferState } from '../transfer/scheduler.ts';
import { type Cloud, type Clouds, DestinationLearned } from './clouds.ts';
import { converge } from './converge.ts';
import { deleteImages } from './delete.ts';
import type { Comparison, Drift } from './drift.ts';
import { dueOf } from './due.ts';
import { happenings } from './events.ts';
import type { Facts } from './facts.ts';
import { asFailure } from './failure.ts';
import { claimOf, type Identity, identityOf } from './identity.ts';
import { missingSecret, ResourceGone, type Resources } from './resources.ts';
import { type Moment, recordedContent, summarise } from './status.ts';
import {
  cloudRefOf,
  consequenceOf,
  imageLeftBy,
  isSettled,
  isStillWanted,
  removeTransferred,
  sentBy,
  transferPlan,
} from './transfer.ts';
import { warningOf } from './warning.ts';
import type { WebDownloads } from './web-download.ts';

export interface ReconcilerOptions {
  resources: Resources;
  clouds: Clouds;
  drift: Drift;
  transfers: Scheduler;
  /** Of every transfer. */
  limits: TransferPlan['limits'];
  webDownloads: WebDownloads;
  /** Name of this cluster in the owner mark. */
  cluster: string;
  clock: Clock;
  random: Random;
}

/** What a pass compares the image with. */
type Turn = Exclude<Comparison, { kind: 'in' }>;

/** A list of a cloud is on its way; those who need it look again after this. */
const listPollMs = 2_000;

/** Scheduled drift checks within this time share one reading of their Secret. */
const sharedReadingMs = 10_000;

/** `grace` aborts a while after `signal`: what did not get done in time is written down meanwhile. */
type Reconcile = (key: Key, signal: AbortSignal, grace: AbortSignal) => Promise<Outcome>;

export function createReconciler(options: ReconcilerOptions): Reconcile {
  const { resources, clouds, drift, transfers, limits, webDownloads, cluster, clock, random } = options;

  /** Whether it is this resource's turn, and if so, what its image is compared with. */
  function turnOf(key: Key, resource: GlanceImage): Comparison {
    const due = dueOf(resource, resources.secretVersions(resource), clock.now());
    switch (due.kind) {
      case 'now':
        return { kind: 'live' };
      case 'in':
        return due;
      case 'settled':
        return drift.next(key, due.intervalMs);
      default:
        return unreachable(due);
    }
  }

  async function openCloud(facts: Facts, resource: GlanceImage, turn: Turn, signal: AbortSignal): Promise<Cloud> {
    addToContext({ cloud: resource.spec.cloud.name });
    const cloud = knownCloud(facts, resource, turn) ?? (await readCloud(facts, resource, signal));
    refuseOtherCloud(resource.status, cloud);
    facts.cloud = { projectID: cloud.projectID, region: cloud.region };
    return cloud;
  }

  /** A Secret that is known to be unchanged need not be read, unless the last pass failed. */
  function knownCloud(facts: Facts, resource: GlanceImage, turn: Turn): Cloud | undefined {
    if (resource.status.lastError !== undefined) return undefined;
    const version = resources.cloudVersion(resource, turn.kind === 'listed' ? sharedReadingMs : 0);
    const cloud = clouds.known(cloudRefOf(resource), version);
    if (cloud !== undefined) facts.secret = { version: resources.secretVersions(resource) };
    return cloud;
  }

  async function readCloud(facts: Facts, resource: GlanceImage, signal: AbortSignal): Promise<Cloud> {
    facts.secret = { version: resources.secretVersions(resource, missingSecret) };
    const secret = await clouds.read(cloudRefOf(resource), signal);
    facts.secret = { version: resources.secretVersions(resource, secret.version) };
    return secret.open(signal);
  }

  /** The transfer of this resource, unless it was for another declaration than the present one: that one is over. */
  async function currentTransfer(key: Key, resource: GlanceImage): Promise<TransferState | undefined> {
    const transfer = transfers.get(key);
    if (transfer === undefined || isStillWanted(transfer.plan, resource)) return transfer;
    await transfers.cancel(key);
    return undefined;
  }

  /** The image as it was seen lately: by the transfer that filled it, or in a list, where lists are asked and know it. */
  function seenImage(
    turn: Turn,
    { cache }: Cloud,
    { status }: GlanceImage,
    transfer: TransferState | undefined,
  ): Image | 'on its way' | undefined {
    if (transfer?.kind === 'succeeded') return imageLeftBy(transfer.result, status, clock.now());
    if (turn.kind === 'live' || status.imageID === undefined) return undefined;
    const sighting = cache.get(status.imageID, turn.sinceMs);
    switch (sighting.kind) {
      case 'seen':
        return sighting.image;
      case 'refreshing':
        return 'on its way';
      case 'unknown':
        return undefined;
      default:
        return unreachable(sighting);
    }
  }

  /** Resolves with false when a list has to come first. */
  async function pursue(
    key: Key,
    facts: Facts,
    resource: GlanceImage,
    identity: Identity,
    turn: Turn,
    signal: AbortSignal,
  ): Promise<boolean> {
    const transfer = await currentTransfer(key, resource);
    if (transfer?.kind === 'queued' || transfer?.kind === 'running') {
      facts.end = { kind: 'transferring', state: transfer };
      return true;
    }
    // It was verified, whatever may befall the rest of this pass.
    if (transfer?.kind === 'succeeded') facts.sent = sentBy(transfer.result);
    const failed = transfer?.kind === 'failed' ? transfer : undefined;
    const consequence = failed && consequenceOf(failed.error);
    if (consequence === 'tell') throw failed?.error;
    const cloud = await openCloud(facts, resource, turn, signal);
    const { images, projectID } = cloud;
    const claim = claimOf(resource, identity, projectID);
    const seen = seenImage(turn, cloud, resource, transfer);
    if (seen === 'on its way') return false;
    if (failed !== undefined && consequence === 'remove') {
      await removeTransferred(facts, failed.plan.imageID, images, claim, signal);
      throw failed.error;
    }
    let guarded = resource.metadata.finalizers.includes(finalizer);
    const beforeFirstDeed = async () => {
      if (!guarded) await resources.addFinalizer(resource, signal);
      guarded = true;
    };
    const rest = await converge(facts, {
      resource,
      claim,
      ...cloud,
      seen,
      clock,
      beforeFirstDeed,
      webDownloads,
      signal,
    });
    if (rest.kind === 'nothing') return true;
    // It waits for its data as if nobody stood in the way: then who did is the news.
    if (failed !== undefined) throw failed.error;
    transfers.start(key, transferPlan(resource, rest.imageID, rest.content, { address: cloud.address, limits }));
    const started = transfers.get(key);
    if (started?.kind === 'queued' || started?.kind === 'running') facts.end = { kind: 'transferring', state: started };
    return true;
  }

  /** Resolves once the image is dealt with as the resource says; the finalizer may go then. */
  async function release(facts: Facts, resource: GlanceImage, identity: Identity, signal: AbortSignal): Promise<void> {
    const { metadata, status } = resource;
    const { deletionPolicy, image } = withDefaults(resource.spec);
    if (metadata.annotations[abandonAnnotation] === 'true') {
      resources.event(
        resource,
        'Warning',
        'Abandoned',
        `abandoned by annotation; image ${status.imageID ?? '(none known)'} may still exist in Glance`,
      );
      return;
    }
    if (deletionPolicy === 'Retain') {
      resources.event(
        resource,
        'Normal',
        'Retained',
        `image ${status.imageID ?? '(none)'} is kept in Glance (deletionPolicy: Retain)`,
      );
      return;
    }
    const { images, projectID } = await openCloud(facts, resource, { kind: 'live' }, signal);
    const claim = claimOf(resource, identity, projectID);
    await deleteImages(facts, { images, claim, protects: image.protected, signal });
    for (const { type, reason, note } of happenings(status, status, facts))
      resources.event(resource, type, reason, note);
  }

  async function report(facts: Facts, resource: GlanceImage, signal: AbortSignal): Promise<GlanceImageStatus> {
    const { metadata, status: previous } = resource;
    const moment: Moment = {
      generation: metadata.generation,
      reconcileAt: metadata.annotations[reconcileAtAnnotation],
      deleting: isDeleting(resource),
      recordOnly: resource.spec.content === undefined,
      warning: warningOf(resource, {
        properties: (facts.image === 'gone' ? undefined : (facts.image ?? previous.image))?.properties,
        transferWarnings: recordedContent(facts, previous)?.warnings,
      }),
      now: clock.now(),
      random: random(),
    };
    const status = summarise(facts, previous, moment);
    if (!isDeepStrictEqual(status, previous)) await resources.writeStatus(resource, status, signal);
    for (const { type, reason, note } of happenings(previous, status, facts))
      resources.event(resource, type, reason, note);
    return status;
  }

  function outcome(
    key: Key,
    facts: Facts,
    resource: GlanceImage,
    status: GlanceImageStatus,
    startedMs: number,
  ): Outcome {
    switch (facts.end.kind) {
      case 'converged': {
        const intervalMs = parseDuration(resource.spec.interval);
        if (intervalMs === 0) return { kind: 'done' };
        return { kind: 'recheck', afterMs: drift.compared(key, startedMs, intervalMs) };
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
  async function pass(
    key: Key,
    resource: GlanceImage,
    turn: Turn,
    signal: AbortSignal,
    grace: AbortSignal,
  ): Promise<Outcome> {
    const startedMs = clock.monotonic();
    const identity = identityOf(resource, cluster);
    const facts: Facts = { changes: [], end: { kind: 'suspended' } };
    const transfer = transfers.get(key);
    try {
      if (isDeleting(resource)) {
        await release(facts, resource, identity, signal);
        await resources.removeFinalizer(resource, signal);
        drift.forget(key);
        return { kind: 'done' };
      }
      if (!resource.spec.suspend && !(await pursue(key, facts, resource, identity, turn, signal))) {
        return { kind: 'recheck', afterMs: listPollMs };
      }
    } catch (error) {
      grace.throwIfAborted();
      if (error instanceof ResourceGone || error instanceof DestinationLearned) throw error;
      // What was cut off fails in many ways; the deadline says why.
      facts.end = { kind: 'failed', error: asFailure(signal.aborted ? signal.reason : error) };
    }
    const status = await report(facts, resource, grace);
    if (transfer !== undefined && isSettled(transfer, facts)) transfers.forget(key, transfer);
    return outcome(key, facts, resource, status, startedMs);
  }

  return async (key, signal, grace) => {
    const resource = resources.get(key);
    if (resource === undefined || (isDeleting(resource) && !resource.metadata.finalizers.includes(finalizer))) {
      drift.forget(key);
      await transfers.cancel(key);
      return { kind: 'done' };
    }
    addToContext({ generation: resource.metadata.generation });
    if (isDeleting(resource) || resource.spec.suspend) await transfers.cancel(key);
    const waits = transfers.get(key) === undefined && (isDeleting(resource) || !resource.spec.suspend);
    const turn: Comparison = waits ? turnOf(key, resource) : { kind: 'live' };
    if (turn.kind === 'in') return Number.isFinite(turn.ms) ? { kind: 'recheck', afterMs: turn.ms } : { kind: 'done' };
    try {
      return await pass(key, resource, turn, signal, grace);
    } catch (error) {
      // It vanished meanwhile, and the watch will say so.
      if (error instanceof ResourceGone) return { kind: 'done' };
      if (error instanceof DestinationLearned) return { kind: 'again' };
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
    `the image is in ${place(home.projectID, home.region)}, but the credentials are for ${place(cloud.projectID, cloud.region)}: ` +
      'restore the previous credentials; to move the image, delete this resource while they are in place, then create it again with the new ones',
    { code: 'CloudChanged' },
  );
}

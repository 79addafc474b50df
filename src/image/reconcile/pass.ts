/** What one reconcile works with, and the values that its steps return. */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { finalizer } from '../../api/group.ts';
import type { Outcome } from '../../controller/outcome.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { OperatorError, unreachable } from '../../lib/errors.ts';
import type { Key } from '../../lib/key.ts';
import type { TransferPlan } from '../../transfer/plan.ts';
import type { Scheduler, TransferState } from '../../transfer/scheduler.ts';
import type { Clouds } from '../access/clouds.ts';
import type { Resources } from '../access/resources.ts';
import { dueOf } from '../model/due.ts';
import { type Identity, identityOf, imageIDOf } from '../model/identity.ts';
import { blankMemory, type Memory, recall, withCandidate } from '../model/memory.ts';
import type { Report } from '../model/report.ts';
import { retentionDueMs } from '../model/retention.ts';
import { readTransfer, type TransferNews } from '../model/transfer.ts';
import type { MemberReadings } from '../observe/member-readings.ts';
import type { Owner } from '../observe/observe.ts';
import type { ConfigMaps } from '../perform/config-maps.ts';
import type { WebDownloads } from '../perform/web-download.ts';
import type { Following, Pinning } from '../publishers/resolution.ts';
import { asFailure } from '../status/failure.ts';
import { isUnshown } from '../status/updating.ts';
import type { Comparison, Drift } from './drift.ts';
import { isUnguarded, type Stripped } from './guard.ts';

export interface ReconcilerOptions {
  resources: Resources;
  following: Following;
  clouds: Clouds;
  drift: Drift;
  memberReadings: MemberReadings;
  configMaps: ConfigMaps;
  stripped: Stripped;
  transfers: Scheduler;
  /** Of every transfer. */
  limits: TransferPlan['limits'];
  webDownloads: WebDownloads;
  /** Name of this cluster in the marks of images. */
  cluster: string;
  /** Names of other clusters whose images are taken over. */
  inheritFrom: readonly string[];
  clock: Clock;
  random: Random;
}

export interface ReconcileContext extends ReconcilerOptions {
  /** Aborts at the deadline. */
  signal: AbortSignal;
  /** Aborts a while later, so that a reconcile that is late can still write its status. */
  grace: AbortSignal;
}

/** What an image is compared with. */
export type Turn = Exclude<Comparison, { kind: 'notDue' }>;

export interface Pass {
  key: Key;
  resource: GlanceImage;
  identity: Identity;
  turn: Turn;
  startedMs: number;
  /** Of its Secrets as the reconcile began; undefined where none was read. */
  secretVersions: string | undefined;
  /** With what the transfer has shown. */
  memory: Memory;
  /** There may be images that the memory does not name. */
  isLost: boolean;
  /** Set if a later version of the operator wrote the memory. */
  newerVersion: number | undefined;
  transfer: TransferState | undefined;
  news: TransferNews;
  pinning: Pinning;
}

/** How a reconcile goes on after its steps. */
export type Reached =
  | { kind: 'report'; report: Report }
  /** The images are dealt with, and the finalizer can go. */
  | { kind: 'released' }
  /** Nothing was learned for the status. */
  | { kind: 'outcome'; outcome: Outcome };

/** Whether it is this resource's turn, and if so, what its image is compared with. */
export function turnOf(
  key: Key,
  pinning: Pinning,
  { resources, transfers, drift, clock }: Pick<ReconcilerOptions, 'resources' | 'transfers' | 'drift' | 'clock'>,
): Comparison {
  const { resource } = pinning;
  const isDeleting = resource.metadata.deletionTimestamp !== undefined;
  if (isUnshown(pinning, resource.status) && !isDeleting) return { kind: 'live' };
  if (transfers.get(key) !== undefined || (resource.spec.suspend && !isDeleting)) return { kind: 'live' };
  const due = dueOf(resource, resources.secretVersions(resource), clock.now());
  switch (due.kind) {
    case 'now':
      return { kind: 'live' };
    case 'notDue':
      return due;
    case 'settled': {
      if (isUnguarded(resource)) return { kind: 'live' };
      const retentionMs = retentionDueMs(resource, clock.now());
      if (retentionMs === 0) return { kind: 'live' };
      const next = drift.next(key, due.intervalMs);
      return next.kind !== 'notDue'
        ? next
        : { kind: 'notDue', ms: Math.min(next.ms, retentionMs ?? Number.POSITIVE_INFINITY) };
    }
    default:
      return unreachable(due);
  }
}

interface BeginContext extends Pick<ReconcileContext, 'cluster' | 'clock'> {
  resources: Pick<Resources, 'secretVersions'>;
  transfers: Pick<Scheduler, 'get'>;
}

export function begin(
  key: Key,
  pinning: Pinning,
  turn: Turn,
  { resources, transfers, cluster, clock }: BeginContext,
): Pass {
  const { resource } = pinning;
  const { uid, deletionTimestamp } = resource.metadata;
  const recollection = recall(resource);
  const recalled = recollection.kind === 'memory' ? recollection.memory : blankMemory(uid);
  const identity = identityOf(resource, cluster, recalled.identity);
  const isIdle = deletionTimestamp !== undefined || resource.spec.suspend;
  const named = identity.isOriginal ? recalled : { ...recalled, identity: identity.value };
  const memory = isIdle ? named : withCandidate(named, pinning.kind === 'candidate' ? pinning.source : undefined);
  const transfer = isIdle ? undefined : transfers.get(key);
  const news = readTransfer(resource, transfer, memory, clock.now());
  return {
    key,
    resource,
    identity,
    turn,
    startedMs: clock.monotonic(),
    secretVersions: resources.secretVersions(resource),
    memory: news.kind === 'none' || news.kind === 'obsolete' ? memory : news.memory,
    isLost: recollection.kind === 'memory' && recollection.isLost && !isFirstFill(resource, transfer),
    newerVersion: recollection.kind === 'newer' ? recollection.version : undefined,
    transfer,
    news,
    pinning,
  };
}

/** The first image of a resource is being filled: there is no other, and the first status is written when that has ended. */
function isFirstFill({ metadata: { uid } }: GlanceImage, transfer: TransferState | undefined): boolean {
  return transfer !== undefined && transfer.plan.method !== 'Verify' && transfer.plan.imageID === imageIDOf(uid, 0);
}

/** Part of a lost memory is not written down: it would look like all of it, and the other images would be forgotten. */
export function keptMemory(pass: Pass): Memory {
  const { memory } = pass;
  return isWorkedOn(pass) && memory.incomplete !== true ? blankMemory(memory.uid) : memory;
}

export function withReport(report: Report): Reached {
  return { kind: 'report', report };
}

/**
 * `fields`: what was learned before. Without Secrets among it, the failure is one of the Secrets as they were when the reconcile began: with
 * none in the status, or earlier ones, they would count as changed, and there would be another attempt at once.
 */
export function failed(pass: Pass, error: unknown, context: ReconcileContext, fields: Partial<Report> = {}): Reached {
  const { signal, resources } = context;
  // A call that is aborted fails in many ways; the reason of the abort is the cause.
  const cause = asFailure(signal.aborted ? signal.reason : error);
  const content = pass.news.kind === 'verified' ? pass.news.content : undefined;
  return withReport({
    memory: keptMemory(pass),
    content,
    changes: [],
    ...fields,
    secret: fields.secret ?? { version: pass.secretVersions ?? resources.secretVersions(pass.resource) },
    end: { kind: 'failed', error: cause },
  });
}

export function outcome(one: Outcome): Reached {
  return { kind: 'outcome', outcome: one };
}

export function newerOperator(version: number): OperatorError {
  return new OperatorError(
    `a later version of the operator has worked on this resource (its memory has version ${version}), and this version does not know ` +
      'what it means: install the later version again',
    { code: 'NewerOperator' },
  );
}

/** Such a field cannot be obeyed: the images stay as they are. */
export function unknownField(field: string): OperatorError {
  return new OperatorError(
    `the CRD is that of a later version of the operator, and this version does not know ${field}: upgrade the operator, or remove the ` +
      'field; until then nothing is changed',
    { code: 'NewerOperator' },
  );
}

/** The projects that may own the images, and the marks that they bear. */
export function ownerIn({ identity, resource }: Pass, projectID: string, inheritFrom: readonly string[]): Owner {
  const { image, import: imported } = resource.spec;
  const projects = image.owner === undefined ? [projectID] : [image.owner, projectID];
  return { ...identity, inheritFrom, projects, adopts: imported?.id };
}

/** Whether there may be images that the memory does not name: of a lost memory, of a lost response, or of an object that was moved here. */
export function isWorkedOn({ isLost, memory, identity, resource }: Pass): boolean {
  const isMoved = !identity.isOriginal;
  return memory.incomplete === true || (isLost && (resource.metadata.finalizers.includes(finalizer) || isMoved));
}

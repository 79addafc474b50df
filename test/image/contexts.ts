/** The context of a single reconcile, with everything around it in memory, and what reached it. */
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { ImageCache } from '../../src/glance/image-cache.ts';
import type { Cloud, ReadSecret } from '../../src/image/access/clouds.ts';
import type { StatusOutcome } from '../../src/image/access/resources.ts';
import type { Memory } from '../../src/image/model/memory.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import { declaredBy } from '../../src/image/publishers/resolution.ts';
import type { Comparison } from '../../src/image/reconcile/drift.ts';
import { begin, type Pass, type ReconcileContext, type Turn } from '../../src/image/reconcile/pass.ts';
import { defaultLimits, type TransferPlan } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { followsNothing } from './following.ts';
import { identity, projectID, type ResourceOptions, resourceOf } from './resource.ts';
import { now } from './states.ts';
import { noConfigMaps, nothingRecent, type StubGlance, stubGlance } from './stub-glance.ts';

export const key = 'demo/ubuntu';
export const place = { projectID, region: 'RegionOne', endpoint: 'https://glance.example.com/v2' };
const { signal } = new AbortController();

const noCache: ImageCache = { get: () => ({ kind: 'unknown', why: 'unavailable' }), size: 0, close: () => {} };

export function cloudOf({ images }: Pick<StubGlance, 'images'>, fields: Partial<Cloud> = {}): Cloud {
  return {
    images,
    cache: noCache,
    observed: noCache,
    recent: nothingRecent(),
    projectID,
    region: 'RegionOne',
    address: 'https://glance.example.com',
    place,
    storeNames: async () => undefined,
    servers: async () => 'noCompute',
    ...fields,
  };
}

export interface ContextOptions {
  glance?: StubGlance;
  resource?: ResourceOptions;
  /** Under the key of the resource. */
  transfer?: TransferState | undefined;
  /** Of the Secret; an error if it cannot be read. */
  secret?: ReadSecret | Error;
  /** From the session that is open. */
  known?: Cloud;
  last?: Cloud;
  comparison?: Comparison;
  secretVersions?: string;
  written?: StatusOutcome;
  guarded?: boolean;
  cannotStart?: boolean;
}

export interface Reached {
  statuses: GlanceImageStatus[];
  events: string[];
  started: TransferPlan[];
  forgotten: TransferState[];
}

export function contextOf(options: ContextOptions = {}): { context: ReconcileContext; reached: Reached; cloud: Cloud } {
  const { resource = {}, secret, known, last, comparison = { kind: 'live' }, secretVersions } = options;
  const { written = 'written', guarded = true, cannotStart = false } = options;
  const reached: Reached = { statuses: [], events: [], started: [], forgotten: [] };
  let transfer = options.transfer;
  const cloud = cloudOf(options.glance ?? stubGlance());
  const usual: ReadSecret = { version: '7', open: async () => cloud };
  const context: ReconcileContext = {
    resources: {
      get: () => resourceOf(resource),
      ofImage: () => [],
      secretVersions: (_, version) => version ?? secretVersions,
      cloudVersion: () => '7',
      addFinalizer: async () => guarded,
      confirm: async () => (guarded ? 'current' : 'gone'),
      removeFinalizer: async () => {},
      isEcho: () => false,
      async writeStatus(_, status) {
        reached.statuses.push(status);
        return written;
      },
      event: (_, type, reason) => void reached.events.push(`${type} ${reason}`),
    },
    clouds: {
      open: 0,
      destinationOf: () => undefined,
      known: () => known,
      last: () => last,
      close: async () => {},
      async read() {
        if (secret instanceof Error) throw secret;
        return secret ?? usual;
      },
    },
    drift: { next: () => comparison, compared: () => 5_000, onChange: () => {}, forget: () => {} },
    stripped: { waitMs: () => 0, forget: () => {} },
    transfers: {
      takeOver: async () => {},
      start(_, plan) {
        reached.started.push(plan);
        if (!cannotStart) transfer = { kind: 'queued', plan, position: 1, queuedAt: now.toISOString() };
      },
      get: () => transfer,
      cancel: async () => {},
      forget: (_, seen) => void reached.forgotten.push(seen),
      setLimits: () => {},
      drain: async () => {},
      ended: () => [],
      stop: async () => {},
    },
    limits: defaultLimits,
    webDownloads: { checkURL: async () => {}, maxVirtualBytes: 2 ** 40 },
    memberReadings: createMemberReadings(createVirtualClock()),
    configMaps: { of: () => noConfigMaps },
    cluster: identity.cluster,
    following: followsNothing,
    inheritFrom: [],
    clock: { ...createVirtualClock(), now: () => now },
    random: () => 0.5,
    signal,
    grace: signal,
  };
  return { context, reached, cloud };
}

/** The beginning of a reconcile of this resource. */
export function passOf(
  options: ContextOptions = {},
  fields: { memory?: Memory; turn?: Turn } = {},
): { pass: Pass } & ReturnType<typeof contextOf> {
  const made = contextOf(options);
  const pass = begin(key, declaredBy(resourceOf(options.resource)), fields.turn ?? { kind: 'live' }, made.context);
  return { ...made, pass: fields.memory === undefined ? pass : { ...pass, memory: fields.memory } };
}

/**
 * Looks at the cloud of one resource, as its reconcile does, and says what the operator is going to do.
 *
 * Invariant: it only reads. The parts of a cloud and of the cluster that it gets have no method that writes.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { ImageClient } from '../../glance/client/index.ts';
import type { Image } from '../../glance/image.ts';
import type { Clock } from '../../lib/clock.ts';
import { type Key, keyOf } from '../../lib/key.ts';
import type { Cloud } from '../access/clouds.ts';
import type { Content } from '../model/content.ts';
import { desire } from '../model/desired.ts';
import type { Report } from '../model/report.ts';
import type { Observed, Publication } from '../model/revisions.ts';
import { simulate } from '../model/simulate.ts';
import type { State } from '../model/step.ts';
import { readConfigMaps } from '../perform/config-maps.ts';
import { configMapsOf, publish } from '../plan/publication.ts';
import { declarationOf, type Following, type Pinning, pin } from '../publishers/resolution.ts';
import { mirror } from '../reconcile/observed-import.ts';
import { otherProject } from '../reconcile/open.ts';
import { begin, newerOperator, ownerIn, type Pass, unknownField } from '../reconcile/pass.ts';
import { publishedOf } from '../reconcile/publish-observed.ts';
import { seenState } from '../reconcile/seen.ts';
import { type Action, type Forecast, forecast, type Outlook, type SourceSize } from './forecast.ts';

/** A cloud that is only read. */
export type SeenCloud = Pick<Cloud, 'observed' | 'recent' | 'projectID' | 'address' | 'place' | 'storeNames'> & {
  images: Pick<ImageClient, 'get' | 'list'> & { members: Pick<ImageClient['members'], 'list'> };
};

export interface AheadContext {
  /** Opens the cloud of a resource. */
  cloudOf(resource: GlanceImage, signal: AbortSignal): Promise<SeenCloud>;
  configMap(resource: GlanceImage, name: string, signal: AbortSignal): Promise<Publication>;
  source(resource: GlanceImage, content: Content, signal: AbortSignal): Promise<SourceSize>;
  following: Following;
  /** Resolves when more is known of the publisher of this resource. */
  publisherHeard(key: Key, signal: AbortSignal): Promise<void>;
  cluster: string;
  inheritFrom: readonly string[];
  clock: Clock;
}

export async function lookAhead(declared: GlanceImage, context: AheadContext, signal: AbortSignal): Promise<Forecast> {
  const key = keyOf(declared.metadata.namespace, declared.metadata.name);
  const { spec, metadata } = declared;
  if (metadata.deletionTimestamp !== undefined)
    return { actions: [], end: { kind: 'unknown', why: 'it is being deleted, and that is not planned' } };
  if (spec.suspend) return idle('spec.suspend is true');
  if (declared.unknownField !== undefined) throw unknownField(declared.unknownField);
  const { pinning, actions } = await resolved(key, declared, context, signal);
  if (pinning.kind === 'open') {
    const why = pinning.error?.message ?? `the digest is not known until ${pinning.url} is read`;
    return { actions, end: { kind: 'unknown', why } };
  }
  const nothing = { transfers: { get: () => undefined }, resources: { secretVersions: () => undefined } };
  const pass = begin(key, pinning, { kind: 'live' }, { ...nothing, ...context });
  if (pass.newerVersion !== undefined) throw newerOperator(pass.newerVersion);
  const cloud = await context.cloudOf(pass.resource, signal);
  const look = spec.managementPolicy === 'Observe' ? observing : managing;
  const ahead = await look(pass, cloud, context, signal);
  return { ...ahead, actions: [...actions, ...ahead.actions] };
}

function idle(why: string): Forecast {
  return { actions: [], end: { kind: 'idle', why } };
}

/** Waits for the publisher, where the digest is left to it and none is pinned. */
async function resolved(
  key: Key,
  declared: GlanceImage,
  { following, publisherHeard, clock }: AheadContext,
  signal: AbortSignal,
): Promise<{ pinning: Pinning; actions: Action[] }> {
  const first = pin(key, declared, following, clock.now());
  if (first.kind !== 'open') return { pinning: first, actions: [] };
  let pinning: Pinning = first;
  while (pinning.kind === 'open' && pinning.error === undefined) {
    await publisherHeard(key, signal);
    pinning = pin(key, declared, following, clock.now());
  }
  const source = pinning.kind === 'pinned' ? pinning.source : undefined;
  return { pinning, actions: [{ kind: 'resolve', url: first.url, file: source?.url, digest: source?.digest }] };
}

async function managing(pass: Pass, cloud: SeenCloud, context: AheadContext, signal: AbortSignal): Promise<Forecast> {
  const { resource, identity, memory, pinning } = pass;
  const { projectID, place, address } = cloud;
  const refusal = otherProject(memory.place, place);
  if (refusal !== undefined) throw refusal;
  const desired = desire(resource, identity, projectID, declarationOf(pinning));
  const configMaps = await configMapsSeen(pass, memory, context, signal);
  const look = {
    images: cloud.images,
    recent: cloud.recent,
    owner: ownerIn(pass, projectID, context.inheritFrom),
    storeNames: desired.stores.kind === 'all' ? cloud.storeNames : undefined,
    signal,
  };
  const { state } = await seenState(pass, look, place, configMaps);
  const ask = {
    members: async ({ id }: Image) => {
      const present = state.observed.revisions.find(({ image }) => image.id === id);
      if (present?.image.visibility !== 'shared') return undefined;
      return (await cloud.images.members.list(id, signal)).map(({ memberId, status }) => ({
        project: memberId,
        status,
      }));
    },
    source: (content: Content) => context.source(resource, content, signal),
  };
  return forecast({ resource, desired, address }, state, ask, context.clock.now());
}

/** Of a resource that only observes an image, the ConfigMap alone is written. */
async function observing(pass: Pass, cloud: SeenCloud, context: AheadContext, signal: AbortSignal): Promise<Forecast> {
  const { resource, memory, turn } = pass;
  const { import: imported } = resource.spec;
  if (imported === undefined) return idle('it imports nothing');
  const mirrored = await mirror(imported, memory, cloud, turn, signal);
  if (mirrored.kind === 'refreshing') return idle('the images are being listed');
  const { report } = mirrored;
  const image = report.observed?.revisions[0]?.image;
  if (report.end.kind !== 'converged' || image === undefined) return { actions: [], end: outlookOf(report) };
  const configMaps = await configMapsSeen(pass, report.memory, context, signal);
  const actions: Action[] = [];
  let state: State = { observed: { revisions: [], listed: false, configMaps }, memory: report.memory };
  for (;;) {
    const next = configMaps && publish(publishedOf(image, resource), state.memory, state.observed.configMaps);
    if (next === undefined) return { actions, end: { kind: 'settled', image } };
    if (next.kind === 'blocked') return { actions, end: next };
    actions.push({ kind: 'step', step: next.step, before: state });
    state = simulate(state, next.step, context.clock.now());
  }
}

function outlookOf({ end }: Report): Outlook {
  if (end.kind === 'failed') return { kind: 'blocked', code: end.error.code, message: end.error.message };
  return { kind: 'unknown', why: end.kind === 'waiting' ? end.why : 'the image is not there yet' };
}

function configMapsSeen(
  { resource }: Pass,
  memory: Pass['memory'],
  { configMap }: AheadContext,
  signal: AbortSignal,
): Promise<Observed['configMaps']> {
  const read = (name: string) => configMap(resource, name, signal);
  return readConfigMaps(configMapsOf(resource, memory), { read }, signal);
}

/**
 * One resource with its reconciler, scheduler, and a Glance and an API server in memory, for orders of events that real servers
 * cannot be made to take. The Glance uses up IDs, loses no acknowledged change but those made while data is `saving`, and rejects what
 * the real one rejects. Data is a text, and its digests are those of the text.
 */
import { findCondition, isConvergedReason } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { finalizer } from '../../src/api/group.ts';
import type { Outcome } from '../../src/controller/outcome.ts';
import { Conflict, GlanceConnectionFailed } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { createImageCache } from '../../src/glance/image-cache.ts';
import type { Cloud } from '../../src/image/access/clouds.ts';
import { createRecentImages } from '../../src/image/access/recent.ts';
import type { Resources } from '../../src/image/access/resources.ts';
import { identityOf, ownerProperty } from '../../src/image/model/identity.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import { createDrift } from '../../src/image/reconcile/drift.ts';
import { createStripped } from '../../src/image/reconcile/guard.ts';
import { reconcile } from '../../src/image/reconcile/reconcile.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { attempt, OperatorError } from '../../src/lib/errors.ts';
import { executorOf } from '../../src/transfer/executor.ts';
import { defaultLimits, type TransferPlan, type TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { confirmed, projectID, resourceOf } from './resource.ts';
import { createStatusLaws } from './status-laws.ts';
import { followsNothing, noConfigMaps } from './stub-glance.ts';
import {
  type Call,
  cloudsOf,
  createGlance,
  type Fate,
  held,
  imagesOf,
  offlineClient,
  readable,
  resultOf,
  sha256,
  sha512,
  shownImages,
  verified,
  type WorldOptions,
} from './world-glance.ts';

class Crash extends Error {}

export function createWorld(options: WorldOptions) {
  const { spec, metadata = {}, storeNames, inheritFrom = [], cluster = 'test-cluster', glance } = options;
  const { configMaps = noConfigMaps, lateMs = 3_000 } = options;
  const { clock, ...holds } = glance ?? createGlance();
  const { images, data } = holds;
  const serverImages = new Set<string>();
  const random = () => 0.5;
  const key = 'demo/ubuntu';
  const log: string[] = [];
  const events: string[] = [];
  const calls = { reads: 0, writes: 0, statuses: 0, usage: {} };
  let fate: (call: Call) => Fate = () => 'ok';
  let onChange: () => void = () => {};
  const { status } = options;
  let resource: GlanceImage | undefined = resourceOf({ spec, metadata, ...(status === undefined ? {} : { status }) });
  const laws = createStatusLaws(holds);
  laws.declare(resource);
  let controllers = { signal: new AbortController(), grace: new AbortController() };
  let isCrashed = false;
  /** What a transfer makes of its source: the declared data, other data, or an error. */
  let source: (plan: TransferPlan) => string | OperatorError = (plan) => dataOf(plan.digest);
  let gate: Promise<void> | undefined;
  let open: () => void = () => {};
  const known = new Map<string, string>();
  let isReadingForbidden = false;

  function dataOf(digest: string | undefined): string {
    return known.get(digest ?? '') ?? 'unknown';
  }
  for (const text of ['a', 'b', 'c', 'd', 'other']) known.set(sha256(text), text);

  function crash(): never {
    isCrashed = true;
    controllers.signal.abort(new Crash('crash'));
    controllers.grace.abort(new Crash('crash'));
    throw new Crash('crash');
  }

  function expire(): void {
    controllers.signal.abort(new OperatorError('deadline', { code: 'TimedOut' }));
    controllers.signal.signal.throwIfAborted();
  }

  async function write<T>(call: Call, work: () => T): Promise<T> {
    controllers[['status', 'release'].includes(call.op) ? 'grace' : 'signal'].signal.throwIfAborted();
    const what = fate(call);
    const text = `${call.op} ${call.id?.slice(0, 4) ?? ''}`.trim();
    if (what === 'crash-late' || what === 'timeout-late')
      clock.schedule(lateMs, () => void attempt(neverAborted(), async () => work()));
    if (what === 'crash-before' || what === 'crash-late') crash();
    if (what === 'timeout-late') expire();
    if (what instanceof OperatorError) throw what;
    if (what === 'refused') throw new GlanceConnectionFailed('refused', 'GlanceUnavailable', { httpStatus: 503 });
    if (call.server === 'glance') calls.writes++;
    else calls.statuses++;
    const result = work();
    log.push(what === 'ok' ? text : `${text} (${what})`);
    onChange();
    if (what === 'crash-after') crash();
    if (what === 'timeout-after' && call.server === 'glance') expire();
    if (what === 'lost') throw new GlanceConnectionFailed('the response was lost', 'GlanceUnreachable', {});
    return result;
  }

  function put(image: Image): Image {
    images.set(image.id, image);
    return image;
  }

  function fill(id: string, text: string): Image {
    data.set(id, text);
    const stores = storeNames === undefined ? {} : { stores: storeNames.slice(0, 1) };
    return put({
      ...held(images, id),
      status: 'active',
      size: text.length,
      checksum: 'c',
      hash: { algorithm: 'sha512', value: sha512(text) },
      ...stores,
    });
  }

  const client = offlineClient(clock, random);

  const cache = createImageCache({
    list: client.list,
    scope: { kind: 'marked', mark: {} },
    keeps: () => false,
    onChange: () => {},
    clock,
    random,
  });
  const cloud: Cloud = {
    images: imagesOf({
      ...holds,
      client,
      calls,
      clock,
      write,
      fateOf: (call) => fate(call),
      isForeign,
    }),
    cache,
    observed: cache,
    recent: createRecentImages(clock),
    projectID,
    region: undefined,
    address: 'https://glance.example.com',
    place: { projectID, endpoint: 'https://glance.example.com' },
    storeNames: async () => storeNames,
    servers: async (id) => {
      const what = fate({ server: 'glance', op: 'servers', id });
      if (what instanceof OperatorError) throw what;
      return serverImages.has(id) ? 'used' : 'unused';
    },
  };

  function isForeign({ owner, properties }: Image): boolean {
    const mark = properties[ownerProperty];
    return (
      (owner !== projectID && owner !== resource?.spec.image.owner && !ours.has(owner ?? '')) ||
      (mark !== undefined && mark !== world.mark)
    );
  }
  const ours = new Set<string>();

  async function execute(plan: TransferPlan, signal: AbortSignal): Promise<TransferResult> {
    const { imageID: id } = plan;
    const startedAt = clock.now().toISOString();
    const result = (image: Image, text: string) => resultOf(plan, image, text, startedAt, clock.now());
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    aborted.catch(() => {});
    if (plan.method === 'Verify') {
      await Promise.race([gate, aborted]);
      return result(readable(images.get(id), isReadingForbidden), verified(data.get(id) ?? '', plan));
    }
    if (images.get(id)?.status !== 'queued') throw new Conflict('it is not queued', { httpStatus: 409 });
    const loaded = put({ ...held(images, id), status: 'saving' });
    log.push(`put ${id.slice(0, 4)}`);
    onChange();
    try {
      await Promise.race([gate, aborted]);
    } catch (error) {
      if (images.get(id)?.status === 'saving') put({ ...held(images, id), status: 'queued' });
      throw error;
    }
    if (!images.has(id)) throw new OperatorError('deleted during the upload', { code: 'ImageGone' });
    const text = source(plan);
    if (typeof text !== 'string') {
      put({ ...loaded, status: 'queued' });
      throw text;
    }
    put(loaded);
    const image = fill(id, text);
    log.push(`filled ${id.slice(0, 4)} with ${text}`);
    onChange();
    return result(image, text);
  }

  const resources: Resources = {
    get: () => resource,
    ofImage: () => [],
    secretVersions: () => '1',
    cloudVersion: () => '1',
    addFinalizer: (of, value) =>
      write({ server: 'kubernetes', op: 'finalizer' }, () => {
        if (resource === undefined || resource.metadata.uid !== of.metadata.uid) return false;
        if (resource.metadata.deletionTimestamp !== undefined) return false;
        const annotations = { 'glance-image-operator.dev/identity': value, ...resource.metadata.annotations };
        resource = { ...resource, metadata: { ...resource.metadata, finalizers: [finalizer], annotations } };
        return true;
      }),
    confirm: async ({ metadata }) => confirmed(metadata, resource?.metadata),
    removeFinalizer: (of) =>
      write({ server: 'kubernetes', op: 'release' }, () => {
        if (resource?.metadata.uid === of.metadata.uid) resource = undefined;
      }),
    isEcho: () => false,
    writeStatus: (of, status) =>
      write({ server: 'kubernetes', op: 'status' }, () => {
        if (resource === undefined || resource.metadata.uid !== of.metadata.uid) return 'gone';
        resource = { ...resource, status };
        laws.check(resource);
        return 'written';
      }),
    event: (_, type, reason) => void events.push(`${type} ${reason}`),
  };

  function start() {
    return {
      transfers: createScheduler({
        executor: executorOf((plan, { signal }) => execute(plan, signal)),
        limits: { total: 1, perNamespace: 1, perCloud: 1, perHost: 1 },
        clock,
        onChange: () => {},
      }),
      drift: createDrift({ resources, wake: () => {}, clock, random }),
      stripped: createStripped(clock),
      following: options.following?.(clock) ?? followsNothing,
      recent: createRecentImages(clock),
      opened: new Map<string | undefined, Cloud>(),
    };
  }
  let process = start();

  async function step(): Promise<Outcome | undefined> {
    controllers = { signal: new AbortController(), grace: new AbortController() };
    isCrashed = false;
    const context = {
      resources,
      clouds: cloudsOf({ ...cloud, recent: process.recent }, process.opened),
      ...process,
      limits: { ...defaultLimits, maxBytes: 1000, maxVirtualBytes: 1000 },
      webDownloads: { checkURL: async () => {}, maxVirtualBytes: 1000 },
      memberReadings: createMemberReadings(clock),
      configMaps: { of: () => configMaps },
      cluster,
      inheritFrom,
      clock,
      random,
      signal: controllers.signal.signal,
      grace: controllers.grace.signal,
    };
    let outcome: Outcome | undefined;
    try {
      outcome = await reconcile(key, context);
    } catch (error) {
      if (!isCrashed && !(error instanceof GlanceConnectionFailed)) throw error;
    }
    if (isCrashed) await world.restart();
    laws.assertKept();
    return outcome;
  }

  const world = {
    clock,
    cloud,
    ...holds,
    serverImages,
    ours,
    log,
    events,
    calls,
    mark: identityOf(resource, cluster).owner,
    step,
    fill,
    put,
    get resource() {
      return resource;
    },
    get status() {
      return resource?.status;
    },
    ready() {
      const ready = findCondition(resource?.status.conditions, 'Ready');
      return `${ready?.status} ${ready?.reason}`;
    },
    message: () => findCondition(resource?.status.conditions, 'Ready')?.message,
    isTransferring: () => ['queued', 'running'].includes(process.transfers.get(key)?.kind ?? ''),
    decide(next: typeof fate) {
      fate = next;
    },
    watch(next: () => void) {
      onChange = next;
    },
    serve(next: typeof source) {
      source = next;
    },
    /** Whether a policy of Glance forbids downloads. */
    forbidReading(forbidden: boolean) {
      isReadingForbidden = forbidden;
    },
    /** Transfers stop before their last byte until `release`. */
    hold() {
      gate = new Promise((resolve) => {
        open = resolve;
      });
    },
    async release() {
      gate = undefined;
      open();
      await clock.advance(0);
    },
    edit(change: Record<string, unknown>) {
      if (resource === undefined) return;
      const { metadata, status } = resource;
      const edited = resourceOf({ spec: change });
      resource = { ...edited, metadata: { ...metadata, generation: metadata.generation + 1 }, status };
      laws.declare(resource);
    },
    delete() {
      if (resource === undefined) return;
      if (!resource.metadata.finalizers.includes(finalizer)) resource = undefined;
      else {
        const { metadata } = resource;
        const deletionTimestamp = clock.now().toISOString();
        resource = { ...resource, metadata: { ...metadata, deletionTimestamp, generation: metadata.generation + 1 } };
      }
    },
    /** As another client of the API server. */
    setMetadata(change: Partial<GlanceImage['metadata']>) {
      if (resource !== undefined) resource = { ...resource, metadata: { ...resource.metadata, ...change } };
    },
    loseStatus() {
      if (resource !== undefined) resource = { ...resource, status: resourceOf({}).status };
    },
    loseOperation() {
      if (resource === undefined) return;
      const { operation: _, ...status } = resource.status;
      resource = { ...resource, status };
    },
    /** Changes an image as another client. */
    meddle(id: string, change: Partial<Image>) {
      const image = images.get(id);
      if (image !== undefined) put({ ...image, ...change });
    },
    foreignDelete(id: string) {
      images.delete(id);
      onChange();
    },
    async restart() {
      const old = process;
      process = start();
      await old.transfers.stop();
      await clock.advance(0);
    },
    /** Reconciles as the queue would, until nothing is left to do, or `most` reconciles were made. */
    async settle(most = 40): Promise<{ isSettled: boolean; reconciles: number }> {
      for (let reconciles = 0; reconciles < most; reconciles++) {
        const before = calls.statuses + calls.writes;
        const outcome = await step();
        await clock.advance(0);
        if (resource === undefined) return { isSettled: true, reconciles };
        const ready = findCondition(resource.status.conditions, 'Ready');
        const isQuiet = calls.statuses + calls.writes === before && !world.isTransferring();
        if (isQuiet && (isConvergedReason(ready?.reason) || resource.spec.suspend)) {
          if (resource.status.observedGeneration === resource.metadata.generation)
            return { isSettled: true, reconciles };
        }
        if (!world.isTransferring() && outcome?.kind === 'requeueAfter')
          await clock.advance(Math.max(outcome.afterMs, 1000));
      }
      return { isSettled: false, reconciles: most };
    },
    show: () => shownImages(holds),
  };
  return world;
}
export type World = ReturnType<typeof createWorld>;

/**
 * A fleet on paper: the real scheduler in virtual time, with an executor that models nodes, clouds and the start of a Pod. The
 * figures are exact and the same on every machine.
 *
 * Model: a run takes `startMs`, then moves its bytes. The runs of a node share its rate equally, and so do those into a cloud that
 * has one; the smaller share counts. A run goes to the node with the fewest runs.
 */
import { executorOf } from '../../src/transfer/executor.ts';
import type { TransferPlan, TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import type { TransferLimits } from '../../src/transfer/slots.ts';
import { createVirtualClock } from '../clock.ts';
import { imageIDOf, planOf, resultOf } from '../transfer/plans.ts';

export interface FleetImage {
  namespace: string;
  cloud: string;
  /** The host of its source. */
  host: string;
}

export interface Fleet {
  /** In the order in which they are declared, all at the same moment. */
  images: readonly FleetImage[];
  imageBytes: number;
  nodes: number;
  nodeBytesPerSecond: number;
  startMs: number;
  /** Of the clouds that are slower than the nodes. */
  cloudBytesPerSecond?: Readonly<Record<string, number>>;
  limits: TransferLimits;
}

export interface FleetFigures {
  /** When the last image was complete. */
  makespanMs: number;
  /** When the last image of each namespace, and of each cloud, was complete. */
  namespaceEndsMs: Readonly<Record<string, number>>;
  cloudEndsMs: Readonly<Record<string, number>>;
  /** The most runs at one moment: of all, and of one namespace, cloud, host and node. */
  most: { total: number; namespace: number; cloud: number; host: number; node: number };
  /** The most starts by which a namespace was ahead of another while both had waiting transfers. */
  mostAhead: number;
  starts: number;
}

interface Run extends FleetImage {
  node: number;
  /** Undefined while its Pod starts. */
  movedAt: number | undefined;
  moved: number;
  onProgress: (moved: number) => void;
  finish: () => void;
}

type Group = 'namespace' | 'cloud' | 'host' | 'node';

/** Virtual time after which a fleet that is not complete counts as stuck. */
const longestMs = 7 * 24 * 3_600_000;

export async function simulate(fleet: Fleet): Promise<FleetFigures> {
  const { images, imageBytes, nodes, startMs, limits } = fleet;
  const clock = createVirtualClock();
  const runs = new Set<Run>();
  const waiting = new Map<string, number>();
  const started = new Map<string, number>();
  const namespaceEndsMs: Record<string, number> = {};
  const cloudEndsMs: Record<string, number> = {};
  const most = { total: 0, namespace: 0, cloud: 0, host: 0, node: 0 };
  let mostAhead = 0;
  let starts = 0;
  let complete = 0;
  let cancelNext = () => {};

  const add = (counts: Map<string, number>, name: string, by: number) => counts.set(name, (counts.get(name) ?? 0) + by);
  const alike = (group: Group, value: string | number, of: Iterable<Run> = runs) =>
    [...of].filter((run) => run[group] === value).length;

  /** Bytes per millisecond. */
  function rateOf(run: Run, moving: readonly Run[]): number {
    const share = fleet.nodeBytesPerSecond / alike('node', run.node, moving);
    const cloud = fleet.cloudBytesPerSecond?.[run.cloud];
    return Math.min(share, cloud === undefined ? share : cloud / alike('cloud', run.cloud, moving)) / 1000;
  }

  /** Runs between two events move at the rates that `movingThen` gives them. */
  let movingThen: { run: Run; rate: number }[] = [];

  /** Moves the bytes since the last event, ends what is complete, and waits for the next end. */
  function proceed(): void {
    const now = clock.monotonic();
    cancelNext();
    for (const { run, rate } of movingThen) {
      run.moved = Math.min(imageBytes, run.moved + rate * (now - (run.movedAt ?? now)));
      run.movedAt = now;
      run.onProgress(Math.floor(run.moved));
    }
    for (const run of runs) if (imageBytes - run.moved < 1) end(run);
    const moving = [...runs].filter(({ movedAt }) => movedAt !== undefined);
    movingThen = moving.map((run) => ({ run, rate: rateOf(run, moving) }));
    const next = Math.min(...movingThen.map(({ run, rate }) => (imageBytes - run.moved) / rate));
    // The scheduler checks the pace of a run by its last progress.
    cancelNext = movingThen.length === 0 ? () => {} : clock.schedule(Math.min(Math.ceil(next), 60_000), proceed);
  }

  function end(run: Run): void {
    runs.delete(run);
    run.finish();
  }

  function begin(plan: TransferPlan, signal: AbortSignal, report: (moved: number) => void): Promise<TransferResult> {
    const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
    const { namespace, address: cloud } = plan.cloud;
    const host = plan.source.kind === 'http' ? new URL(plan.source.url).host : '';
    const node = Array.from({ length: nodes }, (_, at) => at).reduce((best, at) =>
      alike('node', at) < alike('node', best) ? at : best,
    );
    const run: Run = {
      ...{ namespace, cloud, host, node, movedAt: undefined, moved: 0, onProgress: report },
      finish: () => resolve(resultOf(imageBytes)),
    };
    runs.add(run);
    const cancelStart = clock.schedule(startMs, () => {
      run.movedAt = clock.monotonic();
      proceed();
    });
    signal.addEventListener('abort', () => {
      cancelStart();
      runs.delete(run);
      add(waiting, namespace, 1);
      movingThen = movingThen.filter((each) => each.run !== run);
      proceed();
      reject(signal.reason);
    });
    count(run);
    return promise;
  }

  function count(run: Run): void {
    starts += 1;
    most.total = Math.max(most.total, runs.size);
    for (const group of ['namespace', 'cloud', 'host', 'node'] as const)
      most[group] = Math.max(most[group], alike(group, run[group]));
    add(started, run.namespace, 1);
    add(waiting, run.namespace, -1);
    const behind = [...waiting].filter(([, number]) => number > 0).map(([name]) => started.get(name) ?? 0);
    mostAhead = Math.max(mostAhead, Math.max(...behind) - Math.min(...behind));
  }

  const scheduler = createScheduler({
    executor: executorOf((plan, { signal, onProgress }) =>
      begin(plan, signal, (bytes) =>
        onProgress({ bytes, servedBytes: bytes, total: imageBytes, phase: 'transferring' }),
      ),
    ),
    limits,
    clock,
    onChange(key) {
      const state = scheduler.get(key);
      if (state?.kind === 'failed') throw state.error;
      if (state?.kind !== 'succeeded') return;
      const { namespace, address } = state.plan.cloud;
      namespaceEndsMs[namespace] = clock.monotonic();
      cloudEndsMs[address] = clock.monotonic();
      complete += 1;
      scheduler.forget(key, state);
    },
  });
  for (const { namespace } of images) add(waiting, namespace, 1);
  for (const [index, { namespace, cloud, host }] of images.entries()) {
    const url = `https://${host}/image`;
    scheduler.start(
      `${namespace}/${index}`,
      planOf({ imageID: imageIDOf(`${index}`), namespace, address: cloud, url }),
    );
  }
  // The first to be declared find free slots; only then do namespaces take turns.
  started.clear();
  mostAhead = 0;
  while (complete < images.length && clock.monotonic() < longestMs) await clock.advance(60_000);
  if (complete < images.length) throw new Error(`${complete} of ${images.length} images were complete after a week`);
  return { makespanMs: Math.max(...Object.values(cloudEndsMs)), namespaceEndsMs, cloudEndsMs, most, mostAhead, starts };
}

/** No order of the transfers can be complete earlier. `by` is what that follows from. */
export interface Bound {
  ms: number;
  by:
    | 'the network of the nodes'
    | 'the limit of all'
    | 'the limit of a namespace'
    | 'the limit of a cloud'
    | 'the limit of a host';
}

export function boundOf({ images, imageBytes, nodes, nodeBytesPerSecond, startMs, limits }: Fleet): Bound {
  const moveMs = (imageBytes / nodeBytesPerSecond) * 1000;
  /** The runs of `images` in turns of `limit`, each as fast as on a node of its own. */
  const inTurns = (number: number, limit: number) => Math.ceil(number / limit) * (startMs + moveMs);
  const busiest = (group: 'namespace' | 'cloud' | 'host') =>
    Math.max(
      ...Map.groupBy(images, (image) => image[group])
        .values()
        .map(({ length }) => length),
    );
  const bounds: Bound[] = [
    { ms: startMs + (images.length * moveMs) / nodes, by: 'the network of the nodes' },
    { ms: inTurns(images.length, limits.total), by: 'the limit of all' },
    { ms: inTurns(busiest('namespace'), limits.perNamespace), by: 'the limit of a namespace' },
    { ms: inTurns(busiest('cloud'), limits.perCloud), by: 'the limit of a cloud' },
    { ms: inTurns(busiest('host'), limits.perHost), by: 'the limit of a host' },
  ];
  return bounds.reduce((last, bound) => (bound.ms > last.ms ? bound : last));
}

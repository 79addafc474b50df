/**
 * Decides when transfers run, and keeps the state of each.
 *
 * Guarantees: a key has at most one run at a time, even while a cancelled one has not settled; no start exceeds a limit, and a
 * transfer that cannot start yet does not delay others that can; no call throws, and only `cancel`, `drain` and `stop` wait.
 *
 * The caller that starts a transfer must forget it, so the result is kept until it has been handled. After a restart, `takeOver`
 * finds what durable executors have begun and what has ended meanwhile; of all else only Glance knows the state of an image.
 */

import type { Clock } from '../lib/clock.ts';
import { OperatorError } from '../lib/errors.ts';
import { createFairQueue } from '../lib/fair-queue.ts';
import type { Key } from '../lib/key.ts';
import { sourceOf } from '../source/registry.ts';
import { type Execution, type Executor, type FoundRun, RunDetached } from './executor.ts';
import { type Meter, silentObserver, startMeter, type TransferEnd, type TransferObserver } from './meter.ts';
import { GaveWay, watchPace } from './pace.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';
import { createCounter, createSlots, type Occupancy, type TransferLimits } from './slots.ts';

export type TransferState =
  /** `position` counts from 1, in the order in which transfers start as far as the limits allow. */
  | {
      kind: 'queued';
      plan: TransferPlan;
      position: number;
      /** RFC 3339. */
      queuedAt: string;
      /** Number of runs that gave way because they were slow while other transfers waited. */
      gaveWay?: number;
    }
  | ({
      kind: 'running';
      plan: TransferPlan;
      /** Over the last progress interval; 0 until the first one is over. */
      bytesPerSecond: number;
      /** RFC 3339. */
      startedAt: string;
    } & TransferProgress)
  | { kind: 'succeeded'; plan: TransferPlan; result: TransferResult }
  | { kind: 'failed'; plan: TransferPlan; error: unknown };

export interface Scheduler {
  /**
   * Takes over the runs of earlier processes, even beyond the limits; a transfer that has ended meanwhile is as one that ends now.
   * Must be called before the first `start`, once this process leads. Runs that cannot be found within a minute are taken over
   * later. Rejects with the signal's reason.
   */
  takeOver(signal: AbortSignal): Promise<void>;
  /**
   * Queues a transfer. Does nothing if an equal plan is queued or running under this key. Another plan replaces it, and starts when
   * the run of the old one has settled. A transfer that has ended is replaced. Ignored after `stop`.
   */
  start(key: string, plan: TransferPlan): void;
  get(key: string): TransferState | undefined;
  /** Removes the transfer in any state, without a call of `onChange`. Resolves when its run has settled. */
  cancel(key: string): Promise<void>;
  /** Removes the transfer if it still is in the state `seen`, in which it has ended. */
  forget(key: string, seen: TransferState): void;
  /** Running transfers continue, even beyond the new limits. */
  setLimits(limits: TransferLimits): void;
  /** Starts no more runs; new transfers are only queued. Resolves when all runs that end with this process have ended by themselves. */
  drain(): Promise<void>;
  /** The keys of transfers that have ended and are not forgotten. */
  ended(): Key[];
  /** Cancels everything, but leaves durable runs and outcomes to the next process. Resolves when all runs have settled. */
  stop(): Promise<void>;
}

export interface SchedulerOptions {
  /** A run must settle soon after its signal aborts. */
  executor: Executor;
  limits: TransferLimits;
  clock: Clock;
  /**
   * Called when a run ends, and while it makes progress: first after two seconds, so that a small upload causes only the last call,
   * then once every `progressIntervalMs` if anything has changed. Must not throw.
   */
  onChange: (key: Key) => void;
  /** Default 5000. */
  progressIntervalMs?: number;
  observer?: TransferObserver;
}

/** The reason with which a run is aborted by `cancel` and `stop`. */
export class TransferCancelled extends Error {
  constructor() {
    super('the transfer was cancelled');
    this.name = 'TransferCancelled';
  }
}

/** For the runs of earlier processes to be found. Other transfers do not wait longer. */
const takeOverMs = 60_000;

type Phase =
  | { kind: 'queued'; since: number; queuedAt: string; gaveWay: number }
  | { kind: 'running'; meter: Meter }
  | { kind: 'succeeded'; result: TransferResult }
  | { kind: 'failed'; error: unknown };

interface Transfer extends Occupancy {
  readonly key: string;
  readonly plan: TransferPlan;
  phase: Phase;
  /** Drops the outcome of a durable run. */
  release: () => void;
}

interface Run {
  readonly controller: AbortController;
  readonly execution: Execution;
  readonly settled: Promise<void>;
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { executor, clock, onChange, progressIntervalMs = 5000, observer = silentObserver } = options;
  let { limits } = options;
  /** In order of arrival. A cancelled transfer is removed at once. */
  const transfers = new Map<string, Transfer>();
  /** A cancelled run holds its slot here, and in the counters, until it has settled. */
  const runs = new Map<string, Run>();
  const slots = createSlots();
  const waitingFor = createCounter();
  const queue = createFairQueue<Transfer>(({ plan }) => plan.cloud.namespace);
  let mode: 'open' | 'draining' | 'stopped' = 'open';

  function hasRoom(transfer: Transfer): boolean {
    return runs.size < limits.total && hasRoomIf(transfer, runs.size);
  }

  function hasRoomIf(transfer: Transfer, running: number, without?: Transfer): boolean {
    return !runs.has(transfer.key) && slots.hasRoomIf(limits, transfer, running, without);
  }

  function runNext(): void {
    while (mode === 'open' && runs.size < limits.total) {
      const next = queue.take(hasRoom);
      if (next === undefined) return;
      begin(next);
    }
  }

  function begin(transfer: Transfer, found?: FoundRun): void {
    const { key, plan, cloud, phase } = transfer;
    const gaveWay = phase.kind === 'queued' ? phase.gaveWay : 0;
    const controller = new AbortController();
    if (phase.kind === 'queued' && found === undefined) {
      observer.spent(cloud, 'queued', clock.monotonic() - phase.since);
      waitingFor.remove(cloud);
    }
    slots.take(transfer);
    const onProgress = () => {
      if (isCurrent(transfer)) onChange(key);
    };
    const startedAt = found?.startedAt;
    const meter = startMeter({
      cloud,
      clock,
      intervalMs: progressIntervalMs,
      observer,
      onChange: onProgress,
      startedAt,
    });
    transfer.phase = { kind: 'running', meter };
    const how = { signal: controller.signal, onProgress: meter.report };
    const execution = found?.resume(how) ?? executor.start({ key, plan }, how);
    const settled = run(transfer, { meter, gaveWay, controller }, execution).then((end) => {
      runs.delete(key);
      slots.giveBack(transfer);
      if (end === 'gave way' && isCurrent(transfer)) enqueue(transfer, gaveWay + 1);
      count(cloud);
      if (end === 'detached') return;
      if (isCurrent(transfer)) onChange(key);
      else transfer.release();
      runNext();
    });
    runs.set(key, { controller, execution, settled });
    count(cloud);
  }

  function queuedNow(gaveWay: number): Extract<Phase, { kind: 'queued' }> {
    return { kind: 'queued', since: clock.monotonic(), queuedAt: clock.now().toISOString(), gaveWay };
  }

  /** Puts the transfer behind all others of its namespace. */
  function enqueue(transfer: Transfer, gaveWay: number): void {
    transfer.phase = queuedNow(gaveWay);
    queue.add(transfer);
    waitingFor.add(transfer.cloud);
  }

  /** Whether another transfer could start, or continue, if this one ended. */
  function isInTheWay(transfer: Transfer, { decoderMemory }: TransferProgress): boolean {
    if (mode !== 'open') return false;
    if (queue.some((other) => hasRoomIf(other, runs.size - 1, transfer))) return true;
    const waitsForMemory = ({ phase }: Transfer) =>
      phase.kind === 'running' && phase.meter.progress.decoderMemory === 'awaited';
    return decoderMemory === 'held' && [...transfers.values()].some(waitsForMemory);
  }

  /** Never rejects: a failure is a state. */
  async function run(
    transfer: Transfer,
    { meter, gaveWay, controller }: { meter: Meter; gaveWay: number; controller: AbortController },
    execution: Execution,
  ): Promise<'ended' | 'gave way' | 'detached'> {
    const { cloud } = transfer;
    const { signal } = controller;
    const stopWatch = watchPace({
      meter,
      clock,
      ageMs: Math.max(0, clock.now().getTime() - Date.parse(meter.startedAt)),
      gaveWay,
      knownSince: () => (execution.durable === undefined ? 0 : meter.reportedSince),
      isInTheWay: (progress) => isInTheWay(transfer, progress),
      abort: (reason) => controller.abort(reason),
    });
    let phase: Extract<Phase, { kind: 'succeeded' | 'failed' }>;
    try {
      phase = { kind: 'succeeded', result: await execution.ended };
    } catch (error) {
      phase = { kind: 'failed', error };
    }
    stopWatch();
    meter.stop();
    if (phase.kind === 'failed' && phase.error instanceof RunDetached) return 'detached';
    transfer.phase = phase;
    transfer.release = execution.durable?.release ?? transfer.release;
    observer.ended(cloud, endOf(phase, signal));
    return phase.kind === 'failed' && signal.reason instanceof GaveWay ? 'gave way' : 'ended';
  }

  function count(cloud: string): void {
    observer.counted(cloud, { queued: waitingFor.of(cloud), active: slots.toCloud(cloud) });
  }

  function isCurrent(transfer: Transfer): boolean {
    return transfers.get(transfer.key) === transfer;
  }

  function stateOf(transfer: Transfer): TransferState {
    const { plan, phase } = transfer;
    switch (phase.kind) {
      case 'queued':
        return {
          kind: 'queued',
          plan,
          position: queue.position(transfer) ?? 1,
          queuedAt: phase.queuedAt,
          ...(phase.gaveWay === 0 ? {} : { gaveWay: phase.gaveWay }),
        };
      case 'running': {
        const { startedAt, bytesPerSecond, progress } = phase.meter;
        return { kind: 'running', plan, ...progress, bytesPerSecond, startedAt };
      }
      case 'succeeded':
        return { kind: 'succeeded', plan, result: phase.result };
      case 'failed':
        return { kind: 'failed', plan, error: phase.error };
    }
  }

  function transferOf(key: string, plan: TransferPlan): Transfer {
    return {
      key,
      plan,
      cloud: plan.cloud.address,
      host: sourceHost(plan),
      namespace: plan.cloud.namespace,
      phase: queuedNow(0),
      release: () => {},
    };
  }

  async function cancel(key: string): Promise<void> {
    const transfer = transfers.get(key);
    transfers.delete(key);
    if (transfer?.phase.kind === 'queued') {
      queue.remove(transfer);
      waitingFor.remove(transfer.cloud);
      count(transfer.cloud);
    }
    if (transfer !== undefined && !isActive(transfer)) transfer.release();
    const running = runs.get(key);
    running?.controller.abort(new TransferCancelled());
    await running?.settled;
  }

  /** By a run of this process, because the earlier one was not found in time. No start would find that. */
  function isBegunElsewhere(key: string): boolean {
    const run = runs.get(key);
    return run !== undefined && run.execution.durable === undefined;
  }

  function take(found: FoundRun): void {
    const { key, plan } = found;
    const known = transfers.get(key);
    if (known === undefined) {
      const transfer = transferOf(key, plan);
      transfers.set(key, transfer);
      begin(transfer, found);
      // A resource that is gone is not reconciled by itself.
      onChange(key);
    } else if (!samePlan(known.plan, plan) || isBegunElsewhere(key)) drop(found);
    // Otherwise its start has found this run, or will.
  }

  async function takeAll(signal: AbortSignal): Promise<void> {
    const all = await executor.attach(signal);
    if (mode !== 'stopped') for (const found of all) take(found);
  }

  return {
    async takeOver(signal) {
      const over = Promise.withResolvers<void>();
      const cancelTimer = clock.schedule(takeOverMs, over.resolve);
      takeAll(signal).then(over.resolve, over.reject);
      await over.promise.finally(cancelTimer);
    },
    start(key, plan) {
      if (mode === 'stopped') return;
      const known = transfers.get(key);
      if (known !== undefined && isActive(known) && samePlan(known.plan, plan)) return;
      void cancel(key);
      const transfer = transferOf(key, plan);
      transfers.set(key, transfer);
      enqueue(transfer, 0);
      count(transfer.cloud);
      runNext();
    },
    get(key) {
      const transfer = transfers.get(key);
      return transfer && stateOf(transfer);
    },
    cancel,
    forget(key, { kind, plan }) {
      const transfer = transfers.get(key);
      const isSame = transfer?.plan === plan && transfer.phase.kind === kind;
      if (!isSame || isActive(transfer)) return;
      transfers.delete(key);
      transfer.release();
    },
    setLimits(next) {
      limits = next;
      runNext();
    },
    async drain() {
      if (mode === 'open') mode = 'draining';
      const ending = [...runs.values()].filter(({ execution }) => execution.durable === undefined);
      await Promise.all(ending.map(({ settled }) => settled));
    },
    ended: () => [...transfers.values()].filter((transfer) => !isActive(transfer)).map(({ key }) => key),
    async stop() {
      mode = 'stopped';
      const settled = [...runs.values()].map((run) => run.settled);
      for (const [key, transfer] of transfers)
        if (!isActive(transfer) || runs.get(key)?.execution.durable !== undefined) transfers.delete(key);
      for (const { execution } of runs.values()) execution.durable?.detach();
      const ending = [...runs].filter(([, { execution }]) => execution.durable === undefined).map(([key]) => key);
      // The last first, so that no other moves up in the queue meanwhile.
      await Promise.all([...settled, ...[...new Set([...ending, ...transfers.keys()])].reverse().map(cancel)]);
    },
  };
}

/** Cancels a run of an earlier process whose plan was replaced. */
function drop(found: FoundRun): void {
  const controller = new AbortController();
  const { ended, durable } = found.resume({ signal: controller.signal, onProgress: () => {} });
  const release = () => durable?.release();
  ended.then(release, release);
  controller.abort(new TransferCancelled());
}

function isActive({ phase }: Transfer): boolean {
  return phase.kind === 'queued' || phase.kind === 'running';
}

function endOf(phase: Extract<Phase, { kind: 'succeeded' | 'failed' }>, signal: AbortSignal): TransferEnd {
  if (phase.kind === 'succeeded') return phase;
  if (signal.aborted && !(signal.reason instanceof OperatorError)) return { kind: 'cancelled' };
  const code = phase.kind === 'failed' && phase.error instanceof OperatorError ? phase.error.code : 'InternalError';
  return { kind: 'failed', code };
}

/** An image that is read back comes from the cloud of the plan, for any number of Secrets. */
function sourceHost({ cloud, source, method }: TransferPlan): string {
  return method === 'Verify' ? cloud.address : sourceOf(source).host(cloud.namespace);
}

/** Plans are plain JSON that one function makes, so equal plans have their keys in the same order. */
function samePlan(a: TransferPlan, b: TransferPlan): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/**
 * Decides when transfers run, and keeps the state of each.
 *
 * Guarantees: a key has at most one run at a time, even while a cancelled one has not settled; no start exceeds a limit, and a
 * transfer that cannot start yet does not delay others that can; no call throws, and only `cancel`, `drain` and `stop` wait.
 *
 * The caller that starts a transfer must forget it, so the result is kept until it has been handled. States do not survive the
 * process: after a restart only Glance knows the state of an image.
 */

import type { Clock } from '../lib/clock.ts';
import { formatDuration } from '../lib/duration.ts';
import { OperatorError } from '../lib/errors.ts';
import { createFairQueue } from '../lib/fair-queue.ts';
import type { Key } from '../lib/key.ts';
import { sourceOf } from '../source/registry.ts';
import { type Meter, silentObserver, startMeter, type TransferEnd, type TransferObserver } from './meter.ts';
import { noProgress, type TransferPlan, type TransferProgress, type TransferResult } from './plan.ts';

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

/** Limits of running transfers. */
export interface TransferLimits {
  total: number;
  /** For one namespace. Below `total`, it also reserves the last free slot for a namespace without a running transfer. */
  perNamespace: number;
  /** For one cloud. */
  perCloud: number;
  /** For one source host. */
  perHost: number;
}

export interface Scheduler {
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
  /** Starts no more runs; new transfers are only queued. Resolves when all runs have ended by themselves. */
  drain(): Promise<void>;
  /** The keys of transfers that have ended and are not forgotten. */
  ended(): Key[];
  /** Cancels everything. Resolves when all runs have settled. */
  stop(): Promise<void>;
}

export interface SchedulerOptions {
  /** Runs one transfer. It must settle soon after its signal aborts. */
  execute: (
    plan: TransferPlan,
    options: { signal: AbortSignal; onProgress: (progress: TransferProgress) => void },
  ) => Promise<TransferResult>;
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

/** A run that is slower gives way if another transfer can start instead, or waits for memory of its decoder. */
const slowest = { bytes: 5 * 60 * 2 ** 20, windowMs: 5 * 60_000 };
/** The longest run, unless twice the time that its length needs at the slowest rate is longer. */
const longestRunMs = 24 * 3_600_000;

/** The reason with which a slow run is aborted. The transfer goes to the end of the queue. */
class GaveWay extends Error {}

/** The reason with which a run is aborted by `cancel` and `stop`. */
export class TransferCancelled extends Error {
  constructor() {
    super('the transfer was cancelled');
    this.name = 'TransferCancelled';
  }
}

type Phase =
  | { kind: 'queued'; since: number; queuedAt: string; gaveWay: number }
  | { kind: 'running'; meter: Meter }
  | { kind: 'succeeded'; result: TransferResult }
  | { kind: 'failed'; error: unknown };

interface Transfer {
  readonly key: string;
  readonly plan: TransferPlan;
  readonly cloud: string;
  readonly host: string;
  readonly namespace: string;
  phase: Phase;
}

interface Run {
  readonly controller: AbortController;
  readonly settled: Promise<void>;
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { execute, clock, onChange, progressIntervalMs = 5000, observer = silentObserver } = options;
  let { limits } = options;
  /** In order of arrival. A cancelled transfer is removed at once. */
  const transfers = new Map<string, Transfer>();
  /** A cancelled run holds its slot here, and in the counters, until it has settled. */
  const runs = new Map<string, Run>();
  const runsTo = createCounter();
  const runsFrom = createCounter();
  const runsOf = createCounter();
  const waitingFor = createCounter();
  const queue = createFairQueue<Transfer>(({ plan }) => plan.cloud.namespace);
  let mode: 'open' | 'draining' | 'stopped' = 'open';

  function hasRoom(transfer: Transfer): boolean {
    return runs.size < limits.total && hasRoomIf(transfer, runs.size, undefined);
  }

  /** Whether the transfer may start among `running` others, once the run of `without` has ended. */
  function hasRoomIf(transfer: Transfer, running: number, without: Transfer | undefined): boolean {
    const { key, cloud, host, namespace } = transfer;
    const fewer = (same: boolean) => (same ? 1 : 0);
    const own = runsOf.of(namespace) - fewer(without?.namespace === namespace);
    const isLast = running >= limits.total - 1;
    const isReserved = isLast && own > 0 && limits.perNamespace < limits.total;
    return (
      !runs.has(key) &&
      !isReserved &&
      own < limits.perNamespace &&
      runsTo.of(cloud) - fewer(without?.cloud === cloud) < limits.perCloud &&
      runsFrom.of(host) - fewer(without?.host === host) < limits.perHost
    );
  }

  function runNext(): void {
    while (mode === 'open' && runs.size < limits.total) {
      const next = queue.take(hasRoom);
      if (next === undefined) return;
      begin(next);
    }
  }

  function begin(transfer: Transfer): void {
    const { key, cloud, host, namespace, phase } = transfer;
    const gaveWay = phase.kind === 'queued' ? phase.gaveWay : 0;
    const controller = new AbortController();
    if (phase.kind === 'queued') observer.spent(cloud, 'queued', clock.monotonic() - phase.since);
    waitingFor.remove(cloud);
    runsTo.add(cloud);
    runsFrom.add(host);
    runsOf.add(namespace);
    const settled = run(transfer, controller).then((end) => {
      runs.delete(key);
      runsTo.remove(cloud);
      runsFrom.remove(host);
      runsOf.remove(namespace);
      if (end === 'gave way' && isCurrent(transfer)) enqueue(transfer, gaveWay + 1);
      count(cloud);
      if (isCurrent(transfer)) onChange(key);
      runNext();
    });
    runs.set(key, { controller, settled });
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

  /** Aborts a run that is too slow, or too long, at the end of each window. Returns a function that stops the checks. */
  function watchPace(transfer: Transfer, meter: Meter, controller: AbortController): () => void {
    const startedAt = clock.monotonic();
    let before: TransferProgress = meter.progress;
    const check = () => {
      const { progress } = meter;
      const isSlow = progress.phase !== 'finishing' && gainedBy(progress, before) < slowest.bytes;
      before = progress;
      const elapsedMs = clock.monotonic() - startedAt;
      if (elapsedMs >= longestOf(progress)) controller.abort(tooLong(elapsedMs, progress));
      else if (isSlow && isInTheWay(transfer, progress)) controller.abort(new GaveWay());
      else cancelCheck = clock.schedule(slowest.windowMs, check);
    };
    let cancelCheck = clock.schedule(slowest.windowMs, check);
    return () => cancelCheck();
  }

  /** Never rejects: a failure is a state. */
  async function run(transfer: Transfer, controller: AbortController): Promise<'ended' | 'gave way'> {
    const { key, plan, cloud } = transfer;
    const { signal } = controller;
    const onProgress = () => {
      if (isCurrent(transfer)) onChange(key);
    };
    const meter = startMeter({ cloud, clock, intervalMs: progressIntervalMs, observer, onChange: onProgress });
    transfer.phase = { kind: 'running', meter };
    const stopWatch = watchPace(transfer, meter, controller);
    try {
      const result = await execute(plan, { signal, onProgress: meter.report });
      transfer.phase = { kind: 'succeeded', result };
    } catch (error) {
      transfer.phase = { kind: 'failed', error };
    }
    stopWatch();
    meter.stop();
    observer.ended(cloud, endOf(transfer.phase, signal));
    return transfer.phase.kind === 'failed' && signal.reason instanceof GaveWay ? 'gave way' : 'ended';
  }

  function count(cloud: string): void {
    observer.counted(cloud, { queued: waitingFor.of(cloud), active: runsTo.of(cloud) });
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

  async function cancel(key: string): Promise<void> {
    const transfer = transfers.get(key);
    transfers.delete(key);
    if (transfer?.phase.kind === 'queued') {
      queue.remove(transfer);
      waitingFor.remove(transfer.cloud);
      count(transfer.cloud);
    }
    const running = runs.get(key);
    running?.controller.abort(new TransferCancelled());
    await running?.settled;
  }

  return {
    start(key, plan) {
      if (mode === 'stopped') return;
      const known = transfers.get(key);
      if (known !== undefined && isActive(known) && samePlan(known.plan, plan)) return;
      void cancel(key);
      const cloud = plan.cloud.address;
      const transfer: Transfer = {
        key,
        plan,
        cloud,
        host: sourceHost(plan),
        namespace: plan.cloud.namespace,
        phase: queuedNow(0),
      };
      transfers.set(key, transfer);
      enqueue(transfer, 0);
      count(cloud);
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
      if (isSame && !isActive(transfer)) transfers.delete(key);
    },
    setLimits(next) {
      limits = next;
      runNext();
    },
    async drain() {
      if (mode === 'open') mode = 'draining';
      await Promise.all([...runs.values()].map(({ settled }) => settled));
    },
    ended: () => [...transfers.values()].filter((transfer) => !isActive(transfer)).map(({ key }) => key),
    async stop() {
      mode = 'stopped';
      // The last first, so that no other moves up in the queue meanwhile.
      await Promise.all([...new Set([...runs.keys(), ...transfers.keys()])].reverse().map(cancel));
    },
  };
}

function isActive({ phase }: Transfer): boolean {
  return phase.kind === 'queued' || phase.kind === 'running';
}

/**
 * Bytes since then on the side with more bytes: compressed data grows, and a conversion reads the file before the first byte of the
 * image. A run whose thread has ended starts again at zero.
 */
function gainedBy(now: TransferProgress, before: TransferProgress): number {
  const isAgain = now.bytes < before.bytes || now.servedBytes < before.servedBytes;
  const { bytes, servedBytes } = isAgain ? noProgress : before;
  return Math.max(now.bytes - bytes, now.servedBytes - servedBytes);
}

function longestOf({ total }: TransferProgress): number {
  const slowestMs = ((total ?? 0) / slowest.bytes) * slowest.windowMs;
  return Math.max(longestRunMs, 2 * slowestMs);
}

function tooLong(elapsedMs: number, { servedBytes, total }: TransferProgress): OperatorError {
  const of = total === undefined ? '' : ` of ${total}`;
  return new OperatorError(
    `the transfer was not complete after ${formatDuration(elapsedMs)}: ${servedBytes}${of} bytes had arrived`,
    { code: 'SourceTooSlow' },
  );
}

function endOf(phase: Phase, signal: AbortSignal): TransferEnd {
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

/** Counts by name. A count of zero takes no memory. */
function createCounter() {
  const counts = new Map<string, number>();
  const of = (name: string) => counts.get(name) ?? 0;
  return {
    add: (name: string) => void counts.set(name, of(name) + 1),
    remove(name: string) {
      if (of(name) > 1) counts.set(name, of(name) - 1);
      else counts.delete(name);
    },
    of,
  };
}

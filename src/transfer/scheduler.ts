/**
 * Decides when transfers run, and knows how each of them stands. Laws: a key has at most one run at a time, even while a
 * cancelled one is still winding up; no call throws and none waits, but `cancel` and `stop`, which wait for runs to settle.
 *
 * States are kept until forgotten, so that a result outlives the moment it came; whoever starts a transfer forgets it. They
 * do not outlive the process: after a restart Glance, not this module, knows what became of an image.
 */
import type { Clock } from '../lib/clock.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';

export type TransferState =
  /** `position` counts from 1, which is the next to run. */
  | { kind: 'queued'; plan: TransferPlan; position: number }
  | {
      kind: 'running';
      plan: TransferPlan;
      bytes: number;
      total: number | undefined;
      /** Over the last progress interval; 0 until the first one is over. */
      bytesPerSecond: number;
      /** RFC 3339. */
      startedAt: string;
    }
  | { kind: 'succeeded'; plan: TransferPlan; result: TransferResult }
  | { kind: 'failed'; plan: TransferPlan; error: unknown };

export interface Scheduler {
  /**
   * Queues a transfer. Nothing happens if an equal plan is queued or running under that key; another plan takes its place,
   * once the run of the old one has settled. What had ended is replaced. Ignored after `stop`.
   */
  start(key: string, plan: TransferPlan): void;
  get(key: string): TransferState | undefined;
  /** Makes the transfer vanish, in whatever state it is, without a call of `onChange`. Resolves when its run has settled. */
  cancel(key: string): Promise<void>;
  /** Drops what has ended; leaves alone what has not. */
  forget(key: string): void;
  /** What is queued or running, in the order of its start. */
  active(): { key: string; state: TransferState }[];
  /** Cancels everything. Resolves when all runs have settled. */
  stop(): Promise<void>;
}

export interface SchedulerOptions {
  /** Does one transfer. It must settle soon after its signal aborts. */
  run: (
    plan: TransferPlan,
    options: { signal: AbortSignal; onProgress: (progress: TransferProgress) => void },
  ) => Promise<TransferResult>;
  /** How many run at once, in all. */
  concurrency: number;
  clock: Clock;
  /**
   * Called when a run ends, and now and then while it makes progress: first after a second, so that a small upload causes
   * no call but the last, then every `progressIntervalMs` if anything has changed. Must not throw.
   */
  onChange: (key: string) => void;
  /** Default 5000. */
  progressIntervalMs?: number;
}

const firstProgressMs = 1000;

/** The reason with which a run is aborted by `cancel` and `stop`. */
export class TransferCancelled extends Error {
  constructor() {
    super('the transfer was cancelled');
    this.name = 'TransferCancelled';
  }
}

type Phase =
  | { kind: 'queued' }
  | { kind: 'running'; startedAt: string; progress: TransferProgress; bytesPerSecond: number }
  | { kind: 'succeeded'; result: TransferResult }
  | { kind: 'failed'; error: unknown };

interface Transfer {
  readonly key: string;
  readonly plan: TransferPlan;
  phase: Phase;
}

interface Run {
  readonly controller: AbortController;
  readonly settled: Promise<void>;
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { run, concurrency, clock, onChange, progressIntervalMs = 5000 } = options;
  /** In the order of their start. A cancelled transfer is gone from here at once… */
  const transfers = new Map<string, Transfer>();
  /** …but holds its slot here until its run has settled. */
  const runs = new Map<string, Run>();
  let stopped = false;

  /** Limits per cloud and per host, and turns between namespaces, are a matter of this choice alone. */
  function nextToRun(): Transfer | undefined {
    if (stopped || runs.size >= concurrency) return undefined;
    return queued().find(({ key }) => !runs.has(key));
  }

  function queued(): Transfer[] {
    return [...transfers.values()].filter(({ phase }) => phase.kind === 'queued');
  }

  function runNext(): void {
    for (let next = nextToRun(); next !== undefined; next = nextToRun()) begin(next);
  }

  function begin(transfer: Transfer): void {
    const { key } = transfer;
    const controller = new AbortController();
    const settled = execute(transfer, controller.signal).then(() => {
      runs.delete(key);
      if (isCurrent(transfer)) onChange(key);
      runNext();
    });
    runs.set(key, { controller, settled });
  }

  /** Never rejects: a failure is a state. */
  async function execute(transfer: Transfer, signal: AbortSignal): Promise<void> {
    const progress: TransferProgress = { bytes: 0, total: undefined };
    const phase = { kind: 'running' as const, startedAt: clock.now().toISOString(), progress, bytesPerSecond: 0 };
    transfer.phase = phase;
    const onProgress = (seen: TransferProgress) => {
      phase.progress = seen;
    };
    const stopReporting = reportProgress(transfer, phase);
    try {
      transfer.phase = { kind: 'succeeded', result: await run(transfer.plan, { signal, onProgress }) };
    } catch (error) {
      transfer.phase = { kind: 'failed', error };
    } finally {
      stopReporting();
    }
  }

  function reportProgress(transfer: Transfer, phase: Extract<Phase, { kind: 'running' }>): () => void {
    let told = false;
    let seen = 0;
    let since = clock.monotonic();
    const tick = () => {
      const now = clock.monotonic();
      const { bytes } = phase.progress;
      const rate = Math.round(((bytes - seen) * 1000) / Math.max(now - since, 1));
      const changed = bytes !== seen || rate !== phase.bytesPerSecond;
      phase.bytesPerSecond = rate;
      seen = bytes;
      since = now;
      cancelTimer = clock.schedule(progressIntervalMs, tick);
      // The first is told in any case: that it runs at all is news to who waited in the queue.
      if ((changed || !told) && isCurrent(transfer)) onChange(transfer.key);
      told = true;
    };
    let cancelTimer = clock.schedule(firstProgressMs, tick);
    return () => cancelTimer();
  }

  function isCurrent(transfer: Transfer): boolean {
    return transfers.get(transfer.key) === transfer;
  }

  function stateOf({ plan, phase }: Transfer): TransferState {
    switch (phase.kind) {
      case 'queued':
        return { kind: 'queued', plan, position: queued().findIndex((one) => one.phase === phase) + 1 };
      case 'running': {
        const { startedAt, bytesPerSecond, progress } = phase;
        return { kind: 'running', plan, ...progress, bytesPerSecond, startedAt };
      }
      case 'succeeded':
      case 'failed':
        return { ...phase, plan };
    }
  }

  async function cancel(key: string): Promise<void> {
    transfers.delete(key);
    const running = runs.get(key);
    running?.controller.abort(new TransferCancelled());
    await running?.settled;
  }

  return {
    start(key, plan) {
      if (stopped) return;
      const known = transfers.get(key);
      if (known !== undefined && isActive(known) && samePlan(known.plan, plan)) return;
      void cancel(key);
      transfers.set(key, { key, plan, phase: { kind: 'queued' } });
      runNext();
    },
    get(key) {
      const transfer = transfers.get(key);
      return transfer && stateOf(transfer);
    },
    cancel,
    forget(key) {
      const transfer = transfers.get(key);
      if (transfer !== undefined && !isActive(transfer)) transfers.delete(key);
    },
    active: () =>
      [...transfers.values()].filter(isActive).map((transfer) => ({ key: transfer.key, state: stateOf(transfer) })),
    async stop() {
      stopped = true;
      await Promise.all([...new Set([...transfers.keys(), ...runs.keys()])].map(cancel));
    },
  };
}

function isActive({ phase }: Transfer): boolean {
  return phase.kind === 'queued' || phase.kind === 'running';
}

/** Plans are plain JSON, made in one place, so that equal ones have their keys in the same order. */
function samePlan(a: TransferPlan, b: TransferPlan): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Runs that outlive a scheduler, and processes that are killed: a durable executor in memory, as a cluster keeps runs. */
import type { ExecuteOptions, Execution, Executor, TransferRun } from '../../src/transfer/executor.ts';
import { RunDetached, runIDOf } from '../../src/transfer/executor.ts';
import type { TransferProgress, TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler, type Scheduler } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from './plans.ts';
import { ample, planOf, settle } from './schedulers.ts';

type Outcome = { kind: 'succeeded'; result: TransferResult } | { kind: 'failed'; error: unknown };

interface KeptRun extends TransferRun {
  startedAt: string;
  outcome: Outcome | undefined;
  progress: TransferProgress | undefined;
}

export interface Cluster {
  /** By run id. */
  runs: Map<string, KeptRun>;
  /** Run ids, once for each start that was no continuation. */
  begun: string[];
  end(id: string, outcome: Outcome): void;
  report(id: string, progress: TransferProgress): void;
  /** The executor of one process. After `kill` it does nothing, and nothing reaches it. */
  process(): { executor: Executor; kill(): void };
}

function createCluster(now: () => Date): Cluster {
  const runs = new Map<string, KeptRun>();
  const begun: string[] = [];
  const listeners = new Set<(id: string) => void>();
  const notify = (id: string) => {
    for (const listener of [...listeners]) listener(id);
  };

  function process() {
    let isAlive = true;

    function listen(id: string, { signal, onProgress }: ExecuteOptions): Execution {
      const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
      const close = () => {
        listeners.delete(look);
        signal.removeEventListener('abort', onAbort);
      };
      const look = (changed: string) => {
        const run = changed === id && isAlive ? runs.get(id) : undefined;
        if (run?.progress !== undefined) onProgress(run.progress);
        if (run?.outcome === undefined) return;
        close();
        if (run.outcome.kind === 'succeeded') resolve(run.outcome.result);
        else reject(run.outcome.error);
      };
      const onAbort = () => {
        if (!isAlive) return;
        close();
        runs.delete(id);
        // The process of the run needs a moment to end.
        setImmediate(() => isAlive && reject(signal.reason));
      };
      listeners.add(look);
      signal.addEventListener('abort', onAbort);
      look(id);
      return {
        ended: promise,
        durable: {
          detach() {
            close();
            reject(new RunDetached());
          },
          release() {
            if (isAlive && runs.get(id)?.outcome !== undefined) runs.delete(id);
          },
        },
      };
    }

    const executor: Executor = {
      start({ key, plan }, options) {
        if (!isAlive) return { ended: new Promise(() => {}) };
        const id = runIDOf(plan);
        if (runs.get(id)?.outcome !== undefined) runs.delete(id);
        if (!runs.has(id)) {
          begun.push(id);
          runs.set(id, { key, plan, startedAt: now().toISOString(), outcome: undefined, progress: undefined });
        }
        return listen(id, options);
      },
      attach: async () =>
        [...runs].map(([id, { key, plan, startedAt }]) => ({
          key,
          plan,
          startedAt,
          resume: (options) => listen(id, options),
        })),
    };
    return {
      executor,
      kill() {
        isAlive = false;
      },
    };
  }

  return {
    runs,
    begun,
    end(id, outcome) {
      const run = runs.get(id);
      if (run === undefined || run.outcome !== undefined) return;
      runs.set(id, { ...run, outcome });
      notify(id);
    },
    report(id, progress) {
      const run = runs.get(id);
      if (run === undefined) return;
      runs.set(id, { ...run, progress });
      notify(id);
    },
    process,
  };
}

export const { signal } = new AbortController();

export interface Operator {
  scheduler: Scheduler;
  changes: string[];
  kill(): void;
}

export function setUp(total = 4) {
  const clock = createVirtualClock();
  const cluster = createCluster(clock.now);
  /** A new process, which leads. */
  async function operator(): Promise<Operator> {
    const { executor, kill } = cluster.process();
    const changes: string[] = [];
    const onChange = (key: string) => changes.push(key);
    const scheduler = createScheduler({ executor, limits: { ...ample, total }, clock, onChange });
    await scheduler.takeOver(signal);
    await settle();
    return { scheduler, changes, kill };
  }
  return { clock, cluster, operator };
}

export const idOf = (name: string) => runIDOf(planOf(name));
export const succeed = (cluster: Cluster, name: string) =>
  cluster.end(idOf(name), { kind: 'succeeded', result: resultOf(7) });

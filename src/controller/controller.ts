/**
 * The controller of one kind: caches, triggers, queue, workers, metrics and probes under one name. A process may have several.
 *
 * Guarantees: reconciles start when every cache is complete and the process may write. Two controllers share nothing but the
 * registry of metrics, in which each has its name as a label, so a controller that is stuck or busy does not delay another.
 * Assumption: the triggers report every change after the caches were listed.
 */
import { abortable } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import { createBackoff } from './backoff.ts';
import type { Checks } from './health.ts';
import { idleWorkers, stuckWorkers } from './liveness.ts';
import type { Metrics } from './metrics.ts';
import { createQueue, type Flow } from './queue.ts';
import type { Component } from './supervisor.ts';
import type { Trigger } from './triggers.ts';
import { createWorkers, type Reconcile } from './workers.ts';

/** A local copy of objects of the API server. */
export interface Cache {
  /** Number of objects. */
  readonly size: number;
  /** Whether the first list is complete. */
  readonly synced: boolean;
  /** Resolves when it is; rejects with the signal's reason. */
  whenSynced(signal: AbortSignal): Promise<void>;
}

export interface ControllerOptions {
  /** Of the kind, in lower case. Part of metrics, probes and log lines. */
  name: string;
  /** Number of reconciles at the same time. */
  workers: number;
  /** By name: all caches that a reconcile reads. */
  caches: Readonly<Record<string, Cache>>;
  triggers: readonly Trigger[];
  /** Keys of one flow get at most half of the workers that other flows leave. */
  flowOf?: (key: Key) => Flow;
  reconcile: Reconcile;
  /** Resolves when this process may write. Default: at once. */
  whenAllowed?: (signal: AbortSignal) => Promise<void>;
  metrics: Pick<Metrics, 'controller'>;
  clock: Clock;
  random: Random;
  log: Logger;
}

export interface Controller extends Component {
  /** Checks for the probes, with the name of the controller. */
  readonly live: Checks;
  readonly ready: Checks;
  /** Resolves when none of the keys waits or is in work; rejects with the signal's reason. */
  whenIdle(keys: Iterable<Key>, signal: AbortSignal): Promise<void>;
}

/** A reconcile is cancelled after two minutes; one that ignores that is stuck. */
const stuckReconcileMs = 10 * 60_000;
/** A worker takes a key at least as often as reconciles have their deadline. */
const idleWorkersMs = 10 * 60_000;

export function createController(options: ControllerOptions): Controller {
  const { name, caches, triggers, reconcile, clock, random, log } = options;
  const metrics = options.metrics.controller({ name, workers: options.workers });
  const queue = createQueue({
    clock,
    workers: options.workers,
    ...(options.flowOf === undefined ? {} : { flowOf: options.flowOf }),
    observer: metrics.queue,
  });
  metrics.measure(queue);
  for (const trigger of triggers) trigger(queue.add);
  const workers = createWorkers({
    controller: name,
    count: options.workers,
    queue,
    backoff: createBackoff(random),
    reconcile,
    clock,
    log,
    observer: metrics.workers,
  });

  return {
    name: `controller-${name}`,
    live: {
      [`slow-reconciles-${name}`]: stuckWorkers(queue, stuckReconcileMs),
      [`workers-${name}`]: idleWorkers(workers, queue, idleWorkersMs),
    },
    ready: Object.fromEntries(
      Object.entries(caches).map(([cacheName, cache]) => [
        cacheName,
        () => (cache.synced ? undefined : 'the initial list has not completed'),
      ]),
    ),
    async run(stop, halt) {
      await Promise.all(Object.values(caches).map((cache) => cache.whenSynced(stop)));
      const objects = Object.fromEntries(Object.entries(caches).map(([cacheName, { size }]) => [cacheName, size]));
      log.info({ controller: name, objects }, 'Synced');
      await options.whenAllowed?.(stop);
      log.info({ controller: name, objects }, 'Ready');
      await workers.run(stop, halt);
    },
    async whenIdle(keys, signal) {
      await abortable(Promise.all([...keys].map((key) => queue.whenIdle(key, signal))), signal);
    },
  };
}

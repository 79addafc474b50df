/**
 * Prometheus metrics of the process and of its controllers. Invariant: metrics that controller-runtime and client-go have too
 * have the same names here, so that their dashboards and alerts work; each series exists from the start, so that no rate over
 * it is missing.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Clock } from '../lib/clock.ts';
import { programVersion } from '../lib/version.ts';
import { createMeters } from './meters.ts';
import type { Queue, QueueObserver } from './queue.ts';
import type { WorkersObserver } from './workers.ts';

export interface Metrics {
  /** For further metrics of the domain. */
  readonly registry: Registry;
  /** Of the controller with this name, which is a label of its series. */
  controller(options: { name: string; workers: number }): ControllerMetrics;
  /** Counts a call to the API server. */
  request(call: { method: string; host: string; code: string; durationMs: number }): void;
  watch(resource: string): WatchMetrics;
  /** Returns a function that records whether this process leads the election of this name. */
  election(name: string): (leads: boolean) => void;
  render(): Promise<{ contentType: string; text: string }>;
}

export interface ControllerMetrics {
  readonly queue: QueueObserver;
  readonly workers: WorkersObserver;
  /** Measures depth and running work of the queue at each scrape. */
  measure(queue: Queue): void;
}

export interface WatchMetrics {
  moved(progress: WatchStep): void;
  /** A list after the first has found a change that the watch did not report. */
  missed(): void;
}

/** The part of a watch's report that is measured. */
export type WatchStep =
  | { kind: 'listed'; objects: number }
  | { kind: 'connected' | 'event' | 'ended' }
  | { kind: 'failed'; reason: string };

const missedHelp = 'Changes found by a new list and not by the watch: those of an outage, or lost events';

/** controller-runtime's, in seconds. */
const reconcileBuckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const queueBuckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000];
const requestBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

export function createMetrics(clock: Clock): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const { counter, gauge, histogram } = createMeters(registry);

  const reconciles = counter('controller_runtime_reconcile_total', 'Reconciles by result', ['controller', 'result']);
  const perController = ['controller'] as const;
  const errors = counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed', perController);
  const panics = counter(
    'controller_runtime_reconcile_panics_total',
    'Reconciles that ended with an unexpected exception',
    perController,
  );
  const timeouts = counter(
    'controller_runtime_reconcile_timeouts_total',
    'Reconciles over the deadline',
    perController,
  );
  const durations = histogram(
    'controller_runtime_reconcile_time_seconds',
    'Time per reconcile',
    perController,
    reconcileBuckets,
  );
  const active = gauge('controller_runtime_active_workers', 'Busy workers', perController);
  const limit = gauge('controller_runtime_max_concurrent_reconciles', 'Number of workers', perController);

  const perQueue = ['name', 'controller'] as const;
  const depth = gauge('workqueue_depth', 'Keys waiting in the queue', [...perQueue, 'priority']);
  const adds = counter('workqueue_adds_total', 'Keys added', perQueue);
  const retries = counter('workqueue_retries_total', 'Keys added again after a failure', perQueue);
  const waits = histogram(
    'workqueue_queue_duration_seconds',
    'Time that keys waited in the queue',
    perQueue,
    queueBuckets,
  );
  const works = histogram('workqueue_work_duration_seconds', 'Time that keys were in work', perQueue, queueBuckets);
  const unfinished = gauge('workqueue_unfinished_work_seconds', 'Total time so far of the keys in work', perQueue);
  const longest = gauge(
    'workqueue_longest_running_processor_seconds',
    'Longest time so far of a key in work',
    perQueue,
  );

  const calls = counter('rest_client_requests_total', 'Calls to the API server', ['code', 'method', 'host']);
  const callTimes = histogram(
    'rest_client_request_duration_seconds',
    'Time per call to the API server',
    ['verb', 'host'],
    requestBuckets,
  );

  const perResource = ['resource'] as const;
  const objects = gauge('watch_listed_objects', 'Objects in the last list', perResource);
  const connected = gauge('watch_connected', 'Whether a watch is open', perResource);
  const lastMoved = gauge('watch_last_event_timestamp_seconds', 'When the watch last received data', perResource);
  const restarts = counter('watch_restarts_total', 'Watches that failed, by reason', ['resource', 'reason']);
  const missed = counter('watch_missed_changes_total', missedHelp, perResource);

  const leads = gauge('leader_election_master_status', 'Whether this process leads', ['name']);
  const build = gauge('glance_image_operator_build_info', 'Always 1; the version is a label', ['version']);

  build.set({ version: programVersion }, 1);

  const queues: { labels: { name: string; controller: string }; queue: Queue }[] = [];
  function measureQueues(): void {
    for (const { labels, queue } of queues) {
      for (const priority of ['fresh', 'periodic'] as const) depth.set({ ...labels, priority }, queue.depth(priority));
      const running = queue.running();
      unfinished.set(labels, running.reduce((sum, ms) => sum + ms, 0) / 1000);
      longest.set(labels, Math.max(0, ...running) / 1000);
    }
  }

  function controllerMetrics({ name, workers }: { name: string; workers: number }): ControllerMetrics {
    const controller = name;
    const labels = { name, controller };
    for (const result of ['success', 'error', 'requeue_after', 'requeue']) reconciles.inc({ controller, result }, 0);
    for (const each of [errors, panics, timeouts]) each.inc({ controller }, 0);
    durations.zero({ controller });
    active.set({ controller }, 0);
    limit.set({ controller }, workers);
    for (const each of [adds, retries]) each.inc(labels, 0);
    for (const each of [waits, works]) each.zero(labels);
    return {
      queue: {
        added: () => adds.inc(labels),
        taken: (waitedMs) => waits.observe(labels, waitedMs / 1000),
        done: (workedMs) => works.observe(labels, workedMs / 1000),
      },
      workers: {
        started: () => active.inc({ controller }),
        ended(result, durationMs) {
          active.dec({ controller });
          reconciles.inc({ controller, result });
          durations.observe({ controller }, durationMs / 1000);
          if (result !== 'error') return;
          errors.inc({ controller });
          retries.inc(labels);
        },
        timedOut: () => timeouts.inc({ controller }),
        panicked: () => panics.inc({ controller }),
      },
      measure: (queue) => void queues.push({ labels, queue }),
    };
  }

  function moved(resource: string, progress: WatchStep): void {
    switch (progress.kind) {
      case 'listed':
        objects.set({ resource }, progress.objects);
        break;
      case 'connected':
        connected.set({ resource }, 1);
        break;
      case 'event':
        break;
      case 'ended':
        connected.set({ resource }, 0);
        break;
      case 'failed':
        connected.set({ resource }, 0);
        restarts.inc({ resource, reason: progress.reason });
        return;
      default:
        progress satisfies never;
    }
    lastMoved.set({ resource }, clock.now().getTime() / 1000);
  }

  return {
    registry,
    controller: controllerMetrics,
    request({ method, host, code, durationMs }) {
      calls.inc({ code, method, host });
      callTimes.observe({ verb: method, host }, durationMs / 1000);
    },
    watch(resource) {
      connected.set({ resource }, 0);
      objects.set({ resource }, 0);
      lastMoved.set({ resource }, 0);
      restarts.inc({ resource, reason: 'Unreachable' }, 0);
      missed.inc({ resource }, 0);
      return { moved: (progress) => moved(resource, progress), missed: () => missed.inc({ resource }) };
    },
    election(name) {
      leads.set({ name }, 0);
      return (now) => leads.set({ name }, now ? 1 : 0);
    },
    async render() {
      measureQueues();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/**
 * Watches: for each kind of object a store, the watchers that keep it equal to the server, their heartbeat and their metrics.
 *
 * Invariant: each watch is a component with a name and a check of its own, so that a watch that hangs is named.
 */
import type { Checks } from '../controller/health.ts';
import { createHeartbeat } from '../controller/liveness.ts';
import type { Metrics } from '../controller/metrics.ts';
import type { Component } from '../controller/supervisor.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { createStore, runReflector, type Store, type StoreOptions } from '../kubernetes/reflector.ts';
import type { KubernetesObject, ResourceType } from '../kubernetes/resource.ts';
import { aborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';

/** The server ends a watch after five minutes at the latest, so three times that without an event means that it hangs. */
const silenceMs = 15 * 60_000;

export interface WatchedStoreOptions<T extends KubernetesObject> extends StoreOptions<T> {
  type: ResourceType<T>;
  labelSelector?: string | undefined;
  client: KubernetesClient;
  metrics: Pick<Metrics, 'watch'>;
  clock: Clock;
  random: Random;
  log: Logger;
}

export interface Watch<T extends KubernetesObject> {
  readonly store: Store<T>;
  readonly component: Component;
  readonly live: Checks;
}

/** Without namespaces it watches nothing, and its store is complete and empty. */
export function createWatch<T extends KubernetesObject>(options: WatchedStoreOptions<T>): Watch<T> {
  const { type, labelSelector, client, clock, random, log } = options;
  const name = `watch-${type.plural}`;
  const store = createStore<T>(options);
  if (store.namespaces?.length === 0) return { store, component: { name, run: aborted }, live: {} };

  const metrics = options.metrics.watch(type.plural);
  const heartbeat = createHeartbeat(clock, silenceMs);
  store.subscribe((change) => {
    if (change.origin === 'list' && store.synced) metrics.missed();
  });
  const reflector = {
    client,
    type,
    store,
    ...(labelSelector === undefined ? {} : { labelSelector }),
    clock,
    random,
    log,
    onProgress: (progress: Parameters<typeof metrics.moved>[0]) => {
      heartbeat.beat();
      metrics.moved(progress);
    },
  };
  return {
    store,
    component: { name, run: (stop) => runReflector(reflector, stop) },
    live: { [name]: heartbeat.check },
  };
}

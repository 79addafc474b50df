/**
 * Keeps a store equal to the server: one watcher per namespace that the store covers, one for all, or none where it covers
 * none. Law: it runs until its signal aborts and then throws the signal's reason.
 */
import { aborted } from '../lib/abort.ts';
import type { KubernetesObject } from './resource.ts';
import type { Store } from './store.ts';
import { type WatcherOptions, watchResource } from './watcher.ts';

export interface FollowOptions<T extends KubernetesObject> extends Omit<WatcherOptions<T>, 'scope'> {
  store: Store<T>;
  labelSelector?: string;
}

export async function follow<T extends KubernetesObject>(
  { store, labelSelector, ...options }: FollowOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  const selector = labelSelector === undefined ? {} : { labelSelector };
  const followOne = async (namespace: string | undefined) => {
    const scope = namespace === undefined ? selector : { namespace, ...selector };
    for await (const event of watchResource({ ...options, scope }, signal)) store.handle(event, namespace);
  };
  const watchers = (store.namespaces ?? [undefined]).map(followOne);
  await Promise.all([...watchers, aborted(signal)]);
  signal.throwIfAborted();
}
